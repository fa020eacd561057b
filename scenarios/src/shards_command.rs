//! `shards`: a run that is shared out among the pods of an Indexed Job; and the program of those pods.

use std::io::stdout;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use harness::clusters::Cache;
use harness::given::ClusterScope;
use harness::shards::{Handed, Plan, hand_over, manifests, run as run_shards};
use reports::{ExitCode, Joined, PartOfRun, read_shards};
use scenarios::{Filters, cases};

use crate::destinations::Destinations;
use crate::given_command::{connected_foothold, leave_foothold};
use crate::options::{Action, Failure, Options, ShardInPodOptions, ShardsOptions};
use crate::screen::{remark, say};
use crate::{reports_command, run_command};

/// Runs the cases in pods and reports them as one run.
pub(crate) fn run(options: &ShardsOptions) -> Result<ExitCode, Failure> {
    let filters = Filters {
        words: options.filter.clone(),
        profiles: options.cni.iter().map(|&cni| cni.into()).collect(),
        topologies: options.topology.iter().map(|&layout| layout.into()).collect(),
    };
    let count = cases(&filters).map_err(Failure::usage)?.len();
    if count == 0 {
        remark("nothing to run: no selected scenario has that network and layout");
        return Ok(ExitCode::NothingRan);
    }
    let seed: u32 = rand::random();
    let plan = plan(options, seed);
    if options.dry_run {
        let whole = serde_json::to_string_pretty(&manifests(&plan)).map_err(Failure::machine)?;
        say(whole);
        return Ok(ExitCode::AllPassed);
    }
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let destinations = Destinations::check(&options.reports, &cache)?;
    destinations.must_be_empty()?;
    destinations.prepare()?;
    let directories = in_pods(options, &plan, count, seed, &cache, destinations.records())?;
    say(format!("records: {}", destinations.records().display()));
    let Joined { mut records, gaps } = read_shards(&directories).map_err(Failure::machine)?;
    reports_command::report(&mut records, &gaps, &options.reports.files)
}

fn in_pods(
    options: &ShardsOptions,
    plan: &Plan,
    count: usize,
    seed: u32,
    cache: &Cache,
    records: &std::path::Path,
) -> Result<Vec<PathBuf>, Failure> {
    let stop = run_command::stop_on_interrupt()?;
    let foothold = connected_foothold(&options.at, ClusterScope::PodsAlone, seed, cache, &stop)?;
    remark(format!("{count} cases in {} pods of namespace {}", plan.shards, plan.namespace));
    let told = |handed: &Handed| {
        let Handed { shard, records, last_words } = handed;
        let part = PartOfRun { index: *shard, count: plan.shards, cases: count };
        remark(match last_words {
            Some(words) if part.own_cases() > 0 => {
                format!("shard {shard}/{} handed over nothing; its pod's last words: {words}", plan.shards)
            }
            _ => {
                let word = if *records == 1 { "record" } else { "records" };
                format!("shard {shard}/{} has ended, {records} {word}", plan.shards)
            }
        });
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    let ran = runtime.block_on(run_shards(&foothold, plan, records, &stop, &told));
    // What was made goes, however the run ended.
    let left = leave_foothold(foothold);
    let directories = ran.map_err(|error| Failure::machine(format!("{error:#}")))?;
    left.map(|()| directories)
}

fn plan(options: &ShardsOptions, seed: u32) -> Plan {
    let word = |value: Option<clap::builder::PossibleValue>| {
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    let mut arguments = options.filter.clone();
    for cni in &options.cni {
        arguments.extend(["--cni".to_owned(), word(cni.to_possible_value())]);
    }
    for layout in &options.topology {
        arguments.extend(["--topology".to_owned(), word(layout.to_possible_value())]);
    }
    arguments.extend(["--jobs".to_owned(), options.jobs.to_string()]);
    Plan {
        namespace: format!("seldon-conformance-shards-{seed:08x}"),
        shards: usize::from(options.shards),
        image: options.image.clone(),
        arguments,
    }
}

/// The program of a pod: runs its shard and hands the records over. Ends well when they are handed over, whatever the
/// verdicts: those are for whoever joins them.
pub(crate) fn in_pod(options: &ShardInPodOptions) -> Result<ExitCode, Failure> {
    let shard = format!("{}/{}", options.index + 1, options.shards);
    let records = options.records.to_string_lossy().into_owned();
    let line = ["seldon-conformance", "run", "--shard", &shard, "--records", &records].map(str::to_owned);
    let parsed = Options::try_parse_from(line.into_iter().chain(options.run.iter().cloned()));
    let Action::Run(run) = parsed.map_err(Failure::usage)?.action else {
        return Err(Failure::usage("a shard is told what `run` is told"));
    };
    let ended = run_command::run(*run);
    let handed =
        hand_over(&options.records, &mut stdout()).map_err(|error| Failure::machine(format!("{error:#}")))?;
    match ended? {
        ExitCode::NothingRan | ExitCode::AllPassed | ExitCode::SomethingFailed | ExitCode::Inconclusive => {
            remark(format!("handed over {handed} records"));
            Ok(ExitCode::AllPassed)
        }
        ExitCode::WrongUsage => Ok(ExitCode::WrongUsage),
    }
}
