//! `run` and `list`.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use harness::clusters::{Cache, Cluster, kubeconfig, provision};
use harness::patience::Patience;
use harness::run::Settings;
use reports::{ExitCode, Record, Summary, Verdict, exit_code, junit, totals};
use scenarios::{Case, Filters, SuiteEvent, cases, run_suite};
use tokio_util::sync::CancellationToken;

use crate::live_line::LiveLine;
use crate::options::{Failure, RunOptions, Selection};

/// How many runs' records are kept below the cache directory.
const KEPT_RUNS: usize = 20;

/// Prints the selected cases.
pub(crate) fn list(selection: &Selection) -> Result<ExitCode, Failure> {
    for case in selected(selection)? {
        println!("{}", case.full_name());
    }
    Ok(ExitCode::AllPassed)
}

fn selected(selection: &Selection) -> Result<Vec<Case>, Failure> {
    let filters = Filters {
        words: selection.filter.clone(),
        profiles: selection.cni.iter().map(|&cni| cni.into()).collect(),
        topologies: selection.topology.iter().map(|&layout| layout.into()).collect(),
    };
    cases(&filters).map_err(Failure::usage)
}

/// Runs the selected cases.
pub(crate) fn run(options: RunOptions) -> Result<ExitCode, Failure> {
    let cases = selected(&options.selection)?;
    if cases.is_empty() {
        eprintln!("nothing to run: no selected scenario has that network and layout");
        return Ok(ExitCode::NothingRan);
    }
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let records = records_directory(&options, &cache)?;
    for file in [&options.junit, &options.json].into_iter().flatten() {
        writable(file)?;
    }
    let settings = settings(&options, &cache, records)?;
    let stop = stop_on_interrupt()?;
    let began = Instant::now();
    let live = LiveLine::new(cases.len());
    let shown = live.clone();
    let observe = move |event: SuiteEvent<'_>| shown.show(&event);
    let end = run_suite(&cases, &settings, jobs(&options), &stop, &observe);
    live.clear();
    let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    println!("\n{}", totals(&end.records, seconds));
    println!("records: {}", settings.records.display());
    for error in &end.errors {
        eprintln!("error: {error}");
    }
    write_reports(&options, &end.records, seconds)?;
    hold_kept(end.kept, &settings.records, &stop)?;
    if !end.errors.is_empty() {
        return Ok(ExitCode::Inconclusive);
    }
    Ok(verdict_of(&end.records, &stop))
}

fn verdict_of(records: &[Record], stop: &CancellationToken) -> ExitCode {
    match exit_code(records.iter().map(|record| record.verdict.unwrap_or(Verdict::Inconclusive))) {
        // What was not run was not judged.
        ExitCode::AllPassed | ExitCode::NothingRan if stop.is_cancelled() => ExitCode::Inconclusive,
        code => code,
    }
}

fn jobs(options: &RunOptions) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    options.jobs.map_or(processors.min(4), usize::from)
}

fn settings(options: &RunOptions, cache: &Cache, records: PathBuf) -> Result<Settings, Failure> {
    let programs = provision(cache, &|line| eprintln!("{line}")).map_err(Failure::machine)?;
    Ok(Settings {
        programs,
        pace: options.pace.into(),
        patience: patience()?,
        records,
        keep: options.keep.into(),
    })
}

/// The default patience times the variable's value.
pub(crate) fn patience() -> Result<Patience, Failure> {
    match std::env::var(Patience::VARIABLE) {
        Err(_) => Ok(Patience::default()),
        Ok(text) => match text.parse::<f64>() {
            Ok(factor) if (1.0..=100.0).contains(&factor) => Ok(Patience::scaled(factor)),
            Ok(_) | Err(_) => {
                Err(Failure::usage(format!("{} is {text:?}; it must be a number from 1 to 100", Patience::VARIABLE)))
            }
        },
    }
}

/// The directory asked for, or a new one below the cache; old ones there are removed.
fn records_directory(options: &RunOptions, cache: &Cache) -> Result<PathBuf, Failure> {
    let directory = match &options.records {
        Some(directory) => directory.clone(),
        None => {
            let all = cache.directory().join("records");
            forget_old_runs(&all);
            let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
            all.join(format!("{now}-{}", std::process::id()))
        }
    };
    let refused = |error: std::io::Error| {
        Failure::usage(format!("records cannot be kept in {}: {error}; name a writable directory with --records", directory.display()))
    };
    fs::create_dir_all(&directory).map_err(refused)?;
    fs::read_dir(&directory).map_err(refused)?;
    tempfile::tempfile_in(&directory).map_err(refused)?;
    Ok(directory)
}

/// Best effort: a directory that cannot be listed or removed is simply kept.
fn forget_old_runs(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else { return };
    let mut runs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    runs.sort();
    for old in &runs[..runs.len().saturating_sub(KEPT_RUNS - 1)] {
        let _ = fs::remove_dir_all(old);
    }
}

fn writable(file: &Path) -> Result<(), Failure> {
    let opened = fs::File::options().create(true).append(true).open(file);
    opened.map(|_| ()).map_err(|error| Failure::usage(format!("{} cannot be written: {error}; name another file", file.display())))
}

fn write_reports(options: &RunOptions, records: &[Record], seconds: f64) -> Result<(), Failure> {
    let write = |file: &Path, text: String| {
        fs::write(file, text).map_err(|error| Failure::machine(format!("{} cannot be written: {error}", file.display())))
    };
    if let Some(file) = &options.json {
        let summary = serde_json::to_string_pretty(&Summary::of(records, seconds)).map_err(Failure::machine)?;
        write(file, summary)?;
    }
    if let Some(file) = &options.junit {
        write(file, junit(records).map_err(Failure::machine)?)?;
    }
    Ok(())
}

/// The first Ctrl-C (or SIGTERM) ends running cases in order; the second ends this process at once. Clusters end with
/// it either way.
pub(crate) fn stop_on_interrupt() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
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
                if std::io::stderr().is_terminal() {
                    eprintln!("\r\u{1b}[2Kending; Ctrl-C again to end at once");
                }
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
        fs::write(&file, kubeconfig("kept", cluster.access())).map_err(Failure::machine)?;
        println!("kept: {case}\n  export KUBECONFIG={}", file.display());
    }
    println!("Ctrl-C ends the kept clusters.");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    runtime.block_on(stop.cancelled());
    drop(kept);
    Ok(())
}
