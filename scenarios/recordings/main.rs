//! Our cluster held against Seldon 2.9.1 on Kubernetes 1.33.1: for the same situation the same conditions, reasons,
//! printed columns, HTTP replies with their headers, and telling log lines.
//!
//! `expected/<situation>/` holds what was recorded, normalised; `differences.toml` what is known to differ, and why.
//! `cargo test --test recordings -- normalise log|table|http|status < recorded` normalises a recording.

mod address;
mod baseline;
mod difference;
mod expected;
mod http;
mod mismatch;
mod normal;
mod policy;
mod runtime;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use harness::clusters::intercept;
use harness::images::BUILTINS;
use harness::run::{Body, CaseSpec, Settings, case_id, run_case};
use harness::{Profile, Progress, Topology};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use reports::{Verdict, failure_block};
use scenarios::{settings_under_test, usual_jobs};
use tokio_util::sync::CancellationToken;

/// One situation that was recorded.
struct Situation {
    name: &'static str,
    topology: Topology,
    body: Body,
}

const SITUATIONS: &[Situation] = &[
    Situation {
        name: "baseline",
        topology: Topology::PerNamespace,
        body: |world| Box::pin(baseline::healthy(world)),
    },
    Situation {
        name: "mismatch",
        topology: Topology::PerNamespace,
        body: |world| Box::pin(mismatch::unschedulable(world)),
    },
    Situation {
        name: "address",
        topology: Topology::ClusterWide,
        body: |world| Box::pin(address::dialled(world)),
    },
    Situation {
        name: "scheduler-api-denied",
        topology: Topology::ClusterWide,
        body: |world| Box::pin(policy::scheduler_api_denied(world)),
    },
    Situation {
        name: "dns-denied",
        topology: Topology::ClusterWide,
        body: |world| Box::pin(policy::names_denied(world)),
    },
    Situation {
        name: "runtime-recreated",
        topology: Topology::PerNamespace,
        body: |world| Box::pin(runtime::recreated(world)),
    },
];

fn main() -> ExitCode {
    if let Some(code) = intercept(BUILTINS) {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, kind] = words.as_slice()
        && first == "normalise"
    {
        return normalise(kind);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(usual_jobs);
    let settings = match settings(&arguments) {
        Ok(settings) => settings,
        Err(missing) => {
            eprintln!("error: {missing:#}");
            return ExitCode::from(3);
        }
    };
    let trials = SITUATIONS.iter().map(|situation| trial(situation, settings.clone())).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// From a recording on standard input to a document on standard output.
fn normalise(kind: &str) -> ExitCode {
    let mut recorded = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut recorded) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let lines = match kind {
        "log" => normal::log(&recorded),
        "table" => normal::printed_tables(&recorded),
        "http" => http::from_curl(&recorded),
        "text" => recorded.lines().map(normal::text).collect(),
        other => {
            eprintln!("error: {other:?} is none of log, table, http, text");
            return ExitCode::from(2);
        }
    };
    println!("{}", lines.join("\n"));
    ExitCode::SUCCESS
}

/// `None` when tests are only listed: then nothing is fetched.
fn settings(arguments: &Arguments) -> anyhow::Result<Option<Arc<Settings>>> {
    if arguments.list {
        return Ok(None);
    }
    let records = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("recordings");
    Ok(Some(Arc::new(settings_under_test(records)?)))
}

fn trial(situation: &'static Situation, settings: Option<Arc<Settings>>) -> Trial {
    Trial::ignorable_test(situation.name, move || {
        let Some(settings) = &settings else { return Ok(Completion::ignored_with("only listed")) };
        let spec = CaseSpec {
            case: case_id("recordings", situation.name, Profile::Flannel, situation.topology, "embedded"),
            claim: format!("{} is as recorded", situation.name),
            seeds: &[],
            needs: &[],
            on_lent: None,
            profile: Profile::Flannel,
            topology: situation.topology,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let run = run_case(settings, &spec, situation.body, Progress::silent(), &stop);
        let record = runtime.block_on(run)?.record;
        match record.verdict {
            Some(Verdict::Passed) => Ok(Completion::Completed),
            Some(Verdict::Failed) => Err(Failed::from(record.message.unwrap_or_default())),
            _ => Err(Failed::from(failure_block(&record))),
        }
    })
}
