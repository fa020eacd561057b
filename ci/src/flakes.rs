//! `flakes N`: the whole suite again and again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use crate::conformance::{Case, Subject};
use crate::machine::Machine;
use crate::record;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many times.
    #[arg(default_value_t = 30)]
    times: u32,
    /// Keep the count in ci/bench.
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    subject: Subject,
}

#[derive(Debug, Serialize)]
struct Count {
    command: String,
    build: String,
    machine: Machine,
    runs: u32,
    /// Cases by verdict, over all runs.
    verdicts: BTreeMap<String, u32>,
    seconds: Vec<f64>,
    /// What was not green, in the last run.
    not_green: Vec<Case>,
}

/// Runs the suite until it is not green, or N times.
///
/// # Errors
/// When a case was not green.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let conformance = options.subject.program(root)?;
    let mut count = Count {
        command: format!("cargo run -p ci -- flakes {}", options.times),
        build: options.subject.name(),
        machine: Machine::this(),
        runs: 0,
        verdicts: BTreeMap::new(),
        seconds: Vec::new(),
        not_green: Vec::new(),
    };
    let mut red = false;
    while count.runs < options.times && !red {
        let run = conformance.run(&[])?;
        count.runs += 1;
        red = run.code != Some(0);
        if let Some(summary) = run.summary {
            for case in &summary.cases {
                *count.verdicts.entry(case.verdict.clone()).or_default() += 1;
            }
            count.seconds.push(summary.seconds);
            count.not_green = summary.cases.into_iter().filter(|case| !case.is_green()).collect();
        }
        eprintln!("{:>3}/{}  {}", count.runs, options.times, if red { "not green" } else { "green" });
        if red {
            eprintln!("{}", run.output);
        }
    }
    record::publish(root, "flakes", &count, options.write)?;
    ensure!(!red, "run {} of {} was not green", count.runs, options.times);
    Ok(())
}
