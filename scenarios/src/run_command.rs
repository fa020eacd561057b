//! `run` and `list`.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use harness::clusters::{Cache, Cluster, kubeconfig, provision, try_namespaces};
use harness::patience::Patience;
use harness::run::{Ground, Settings};
use reports::{ExitCode, Record, Verdict, exit_code, totals};
use scenarios::{Case, Filters, SuiteEvent, cases, run_suite, usual_jobs};
use tokio_util::sync::CancellationToken;

use crate::destinations::Destinations;
use crate::given_command;
use crate::live_line::LiveLine;
use crate::options::{ClusterOption, Failure, RunOptions, Selection};
use crate::screen::{remark, say};

/// Prints the selected cases.
pub(crate) fn list(selection: &Selection) -> Result<ExitCode, Failure> {
    for case in selected(selection)? {
        say(case.full_name());
    }
    Ok(ExitCode::AllPassed)
}

fn selected(selection: &Selection) -> Result<Vec<Case>, Failure> {
    let filters = Filters {
        words: selection.filter.clone(),
        profiles: selection.cni.iter().map(|&cni| cni.into()).collect(),
        topologies: selection.topology.iter().map(|&layout| layout.into()).collect(),
    };
    let cases = cases(&filters).map_err(Failure::usage)?;
    Ok(selection.shard.map_or(cases.clone(), |shard| shard.of(&cases)))
}

/// Runs the selected cases.
pub(crate) fn run(options: RunOptions) -> Result<ExitCode, Failure> {
    let cases = selected(&options.selection)?;
    if cases.is_empty() {
        remark("nothing to run: no selected scenario has that network and layout, or the shard is empty");
        return Ok(ExitCode::NothingRan);
    }
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let destinations = Destinations::check(&options, &cache)?;
    let patience = Patience::from_environment(options.pace.into()).map_err(Failure::usage)?;
    if options.cluster == ClusterOption::Given {
        given_command::check(&options)?;
    }
    let stop = stop_on_interrupt()?;
    let settings = Settings {
        ground: ground(&options, &cache, &stop)?,
        pace: options.pace.into(),
        patience,
        records: destinations.records().to_owned(),
        keep: options.keep.into(),
    };
    if let Err(failure) = destinations.prepare() {
        given_command::leave(settings.ground)?;
        return Err(failure);
    }
    let began = Instant::now();
    let jobs = jobs(&options).min(cases.len());
    remark(format!(
        "running {} {}, {jobs} at a time; records: {}",
        cases.len(),
        if cases.len() == 1 { "case" } else { "cases" },
        settings.records.display()
    ));
    let live = LiveLine::new(cases.len());
    let shown = live.clone();
    let observe = move |event: SuiteEvent<'_>| shown.show(&event);
    let end = run_suite(&cases, &settings, jobs, &stop, &observe);
    live.clear();
    let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    say(format!("\n{}", totals(&end.records, seconds)));
    let unbegun = cases.len() - end.records.len() - end.errors.len();
    if unbegun > 0 {
        say(format!("interrupted: {unbegun} of {} cases were not begun", cases.len()));
    }
    say(format!("records: {}", settings.records.display()));
    for error in &end.errors {
        remark(format!("error: {error}"));
    }
    destinations.write_reports(&end.records, seconds)?;
    given_command::leave(settings.ground)?;
    // Before clusters are held: the Ctrl-C that lets go of them interrupts no case.
    let code = if end.errors.is_empty() { verdict_of(&end.records, &stop) } else { ExitCode::Inconclusive };
    hold_kept(end.kept, &settings.records, &stop)?;
    Ok(code)
}

fn verdict_of(records: &[Record], stop: &CancellationToken) -> ExitCode {
    match exit_code(records.iter().map(|record| record.verdict.unwrap_or(Verdict::Inconclusive))) {
        // What was not run was not judged.
        ExitCode::AllPassed | ExitCode::NothingRan if stop.is_cancelled() => ExitCode::Inconclusive,
        code => code,
    }
}

fn jobs(options: &RunOptions) -> usize {
    match options.cluster {
        ClusterOption::Embedded => options.jobs.map_or_else(usual_jobs, usize::from),
        // They share its roles and its kube-system.
        ClusterOption::Given => 1,
    }
}

fn ground(options: &RunOptions, cache: &Cache, stop: &CancellationToken) -> Result<Ground, Failure> {
    match options.cluster {
        ClusterOption::Embedded => {
            // Before minutes of fetching: nothing can run where there are no namespaces.
            try_namespaces().map_err(Failure::machine)?;
            let programs = provision(cache, &|line| remark(line)).map_err(Failure::machine)?;
            Ok(Ground::Embedded(programs))
        }
        ClusterOption::Given => given_command::take(&options.given, cache, stop).map(Ground::Given),
    }
}

/// The first Ctrl-C (or SIGTERM) ends running cases in order; the second ends this process at once. Clusters end with
/// it either way.
pub(crate) fn stop_on_interrupt() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    let (ready, listening) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        runtime.block_on(async move {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            // The receiver waits below.
            let _ = ready.send(());
            for _ in 0..2 {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                if asked.is_cancelled() {
                    std::process::exit(i32::from(ExitCode::Inconclusive as u8));
                }
                let erase = if std::io::stderr().is_terminal() { "\r\u{1b}[2K" } else { "" };
                remark(format!("{erase}ending in order; interrupt again to end at once"));
                asked.cancel();
            }
        });
    });
    // Without signals the process still ends on Ctrl-C, only less politely.
    let _ = listening.recv();
    Ok(stop)
}

/// Says how to reach kept clusters and holds them until Ctrl-C.
fn hold_kept(kept: Vec<(String, Cluster)>, records: &Path, stop: &CancellationToken) -> Result<(), Failure> {
    if kept.is_empty() || stop.is_cancelled() {
        return Ok(());
    }
    for (index, (case, cluster)) in kept.iter().enumerate() {
        let file = records.join(format!("kept-{index}.kubeconfig"));
        let Some(access) = cluster.access() else { continue };
        fs::write(&file, kubeconfig("kept", access)).map_err(Failure::machine)?;
        say(format!("kept: {case}\n  export KUBECONFIG={}", file.display()));
    }
    say("Ctrl-C ends the kept clusters.");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    runtime.block_on(stop.cancelled());
    drop(kept);
    Ok(())
}
