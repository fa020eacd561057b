//! `test`: all tests, as a job of a workflow runs them.

use std::path::Path;

use anyhow::{Context, ensure};
use clap::Args;

use crate::step::Step;
use crate::suite_job::NAMESPACES_FOR_EVERYBODY;

/// What a hosted runner has, so that no test may be left out for want of it.
const REQUIRED: &str = "helm,kernel,kubectl";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Change the machine as a fresh hosted runner needs it; asks for sudo.
    #[arg(long)]
    prepare_runner: bool,
}

/// Runs them; what they say is said as it comes.
///
/// # Errors
/// That one failed.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    if options.prepare_runner {
        let [program, arguments @ ..] = &NAMESPACES_FOR_EVERYBODY;
        Step { environment: &[], program, arguments }.run(root)?;
    }
    let tests = Step {
        environment: &[("CONFORMANCE_REQUIRE", REQUIRED)],
        program: "cargo",
        arguments: &["test", "--no-fail-fast"],
    };
    println!("$ {tests}");
    let status = tests.command(root).status().context("cannot start cargo")?;
    ensure!(status.success(), "{tests} ended with {status}");
    Ok(())
}
