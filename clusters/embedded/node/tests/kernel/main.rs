//! Real pods on a real node: namespaces, mounts, packets. Each case runs in a process of its own that is root in fresh user,
//! mount, PID, network, UTS and IPC namespaces, with an API server in the same process; when it ends, the kernel takes all of
//! it away. Runs as root and as an ordinary user. Where namespaces are not to be had it says so and the cases
//! are ignored; with `CONFORMANCE_REQUIRE=kernel` it fails instead.
//!
//! `cargo test -p embedded-node --test kernel [FILTER]`

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod world;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("builtin") => builtin(&arguments),
        Some("case") => world::run_case(&arguments[2]),
        Some("inside") => world::inside(&arguments[2]),
        _ => run_all(),
    }
}

fn builtin(arguments: &[String]) -> ExitCode {
    match arguments.get(2).map(String::as_str) {
        Some("container-init") => embedded_node::container_init(arguments[3..].to_vec()),
        // A program of ours, to see how one is run.
        Some("show") => {
            println!(
                "argv0={} arguments={:?} pace={:?}",
                arguments[0],
                &arguments[3..],
                std::env::var("CONFORMANCE_PACE")
            );
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("no builtin {other:?}");
            ExitCode::from(64)
        }
    }
}

fn run_all() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A case waits most of its time.
    arguments.test_threads.get_or_insert(6);
    let obstacle = world::obstacle();
    if let Some(why) = &obstacle {
        eprintln!("kernel cases are ignored: {why}");
        let required = std::env::var("CONFORMANCE_REQUIRE").unwrap_or_default();
        if required.split(',').any(|need| need == "kernel") {
            return ExitCode::FAILURE;
        }
    }
    let cases = cases::CASES.iter().map(|(name, _)| Trial::test(*name, || run_in_a_process_of_its_own(name)));
    let killed = Trial::test("killed::nothing_is_left", || Ok(cases::killed::nothing_is_left()?));
    let trials = cases.chain([killed]).map(|trial| trial.with_ignored_flag(obstacle.is_some()));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn run_in_a_process_of_its_own(case: &str) -> Result<(), Failed> {
    let output = Command::new("/proc/self/exe").args(["case", case]).output()?;
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if output.status.success() { Ok(()) } else { Err(format!("{}\n{said}", output.status).into()) }
}
