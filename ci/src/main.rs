//! What this repository asks of itself: `cargo run -p ci -- check`, and the measurements that its README quotes.

mod bench;
mod cell;
mod check;
mod conformance;
mod docker_engine;
mod flakes;
mod host;
mod kill9;
mod leaks;
mod machine;
mod mutants;
mod pause;
mod process_tree;
mod real;
mod record;
mod report;
mod step;
mod suite_job;
mod test_job;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks and measurements of this repository. Exit code 0: all is well; 1: something is not; 2: wrong usage.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Format, lints, documentation, house rules, licences: everything that needs no test run.
    Check,
    /// House rules alone.
    Tidy,
    /// All tests; none may be left out for want of a program that hosted runners have.
    Test(test_job::Options),
    /// The suite on embedded clusters, with a report, as every push runs it.
    Push(suite_job::PushOptions),
    /// One cell of the nightly matrix: the suite on k3d, with a report.
    Nightly(suite_job::NightlyOptions),
    /// Sum up the reports of a night, and tell what fails that did not before.
    Report(report::Options),
    /// Boot time, time to the first 200, memory, the suite's wall time; prints JSON.
    Bench(bench::Options),
    /// Break one line at a time; every break must be noticed by the suite, in true words.
    Mutants(mutants::Options),
    /// Run the whole suite again and again until a case is not green.
    Flakes(flakes::Options),
    /// Run a command and name what it leaves on this machine.
    Leaks(leaks::Options),
    /// The suite on a real Kubernetes, held against the embedded one; needs root.
    Real(real::Options),
    /// Start a real Docker engine, without installing it, and bring k3s in a container up on it as far as that goes.
    DockerEngine(docker_engine::Options),
    /// Kill a run at random moments; nothing may be left of it after two seconds.
    Kill9(kill9::Options),
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<()> {
    let root = root();
    match options.command {
        Command::Check => check::run(&root),
        Command::Tidy => tidy::run(&root),
        Command::Test(options) => test_job::run(&root, &options),
        Command::Push(options) => suite_job::push(&root, &options),
        Command::Nightly(options) => suite_job::nightly(&root, &options),
        Command::Report(options) => report::run(&root, &options),
        Command::Bench(options) => bench::run(&root, &options),
        Command::Mutants(options) => mutants::run(&root, &options),
        Command::Flakes(options) => flakes::run(&root, &options),
        Command::Leaks(options) => leaks::run(&options),
        Command::Real(options) => real::run(&root, &options),
        Command::DockerEngine(options) => docker_engine::run(&root, &options),
        Command::Kill9(options) => kill9::run(&root, &options),
    }
}

/// The repository: this crate's parent directory.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(PathBuf::from).unwrap_or(own)
}
