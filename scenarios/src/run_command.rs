//! `run` and `list`.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::Profile;
use harness::clusters::{Cache, Cluster, Onlooker, RealCluster, kubeconfig, provision, try_namespaces};
use harness::ground::Ground;
use harness::patience::Patience;
use harness::run::Settings;
use harness::seldon::Seldon;
use reports::{Agreement, ExitCode, Fidelity, PartOfRun, Record, Row, Verdict, compare, exit_code, totals};
use scenarios::{Case, Filters, SuiteEnd, SuiteEvent, cases, run_suite, usual_jobs};
use tokio_util::sync::CancellationToken;

use crate::destinations::Destinations;
use crate::given_command;
use crate::kubernetes_command::StartedCluster;
use crate::lent_command;
use crate::live_line::LiveLine;
use crate::options::{ClusterOption, Failure, RunOptions, Selection};
use crate::screen::{remark, say};
use crate::seldon_command;
use crate::{real_command, rehearsal_command, what_makes_sense};

/// Prints the selected cases.
pub(crate) fn list(selection: &Selection) -> Result<ExitCode, Failure> {
    for case in sharded(selection)?.0 {
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
    cases(&filters).map_err(Failure::usage)
}

fn sharded(selection: &Selection) -> Result<(Vec<Case>, Option<PartOfRun>), Failure> {
    let cases = selected(selection)?;
    Ok(match selection.shard {
        None => (cases, None),
        Some(shard) => (shard.of(&cases), Some(shard.part_of(cases.len()))),
    })
}

/// Runs the selected cases.
pub(crate) fn run(options: RunOptions) -> Result<ExitCode, Failure> {
    let (cases, shard) = sharded(&options.selection)?;
    what_makes_sense::check(&options)?;
    seldon_command::check(&options.seldon, &options.cluster)?;
    let cases = lent_command::place(&options, cases)?;
    if cases.is_empty() {
        remark(match options.selection.shard {
            None => "nothing to run: no selected scenario has that network and layout",
            Some(_) => "nothing to run: the shard is empty",
        });
        return Ok(ExitCode::NothingRan);
    }
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    if options.real.dry_run {
        return rehearsal_command::run(&options, &cache);
    }
    let destinations = Destinations::check(&options.reports, &cache)?;
    let patience = Patience::from_environment(options.pace.into()).map_err(Failure::usage)?;
    let stop = stop_on_interrupt()?;
    let wish = || stop.is_cancelled();
    let onlooker = Onlooker::new(&|line| remark(line), &wish);
    let mirror = options.real.mirror.as_deref();
    let seldon = seldon_command::provide(&options.seldon, mirror, &cache, &onlooker)?;
    let began = Instant::now();
    let (mut ends, mut failure) = (Vec::new(), None);
    for pass in passes(&options.cluster, &cases) {
        if failure.is_some() || stop.is_cancelled() {
            break;
        }
        let records = match options.cluster.len() {
            1 => destinations.records().to_owned(),
            _ => destinations.records().join(pass.cluster.word()),
        };
        let seldon = seldon.clone();
        let run =
            Run { options: &options, cases: &pass.cases, shard, patience, records, seldon, stop: &stop };
        match run.on(&pass, &cache, &destinations) {
            Ok((end, left)) => {
                ends.push((pass.cluster, end));
                failure = left;
            }
            // What ran before is reported all the same.
            Err(error) => failure = Some(error),
        }
    }
    let seconds = rounded(began.elapsed());
    let records: Vec<Record> = ends.iter().flat_map(|(_, end)| end.records.clone()).collect();
    let rows = compared(&options.cluster, &ends)?;
    if let Some(failure) = failure {
        if !records.is_empty() {
            destinations.write_reports(&records, rows, seconds)?;
        }
        return Err(failure);
    }
    destinations.write_reports(&records, rows.clone(), seconds)?;
    // Before clusters are held: the Ctrl-C that lets go of them interrupts no case.
    let mut code = match ends.iter().all(|(_, end)| end.errors.is_empty()) {
        true => verdict_of(&records, &stop),
        false => ExitCode::Inconclusive,
    };
    if let Some(rows) = rows {
        code = show_comparison(&rows, code);
    }
    let kept = ends.into_iter().flat_map(|(_, end)| end.kept).collect();
    hold_kept(kept, destinations.records(), &stop)?;
    Ok(code)
}

/// Cases that run on one kind of cluster, and where one serves several, on that one.
struct Pass {
    cluster: ClusterOption,
    cases: Vec<Case>,
}

fn passes(clusters: &[ClusterOption], cases: &[Case]) -> Vec<Pass> {
    let mut passes = Vec::new();
    for &cluster in clusters {
        match cluster {
            ClusterOption::Embedded | ClusterOption::Given => {
                passes.push(Pass { cluster, cases: cases.to_vec() });
            }
            ClusterOption::Kubernetes | ClusterOption::K3d | ClusterOption::K3s => {
                passes.extend(Profile::ALL.into_iter().filter_map(|profile| {
                    let cases: Vec<Case> =
                        cases.iter().filter(|case| case.profile == profile).copied().collect();
                    (!cases.is_empty()).then_some(Pass { cluster, cases })
                }))
            }
        }
    }
    passes
}

/// One pass over the cases.
struct Run<'a> {
    options: &'a RunOptions,
    cases: &'a [Case],
    shard: Option<PartOfRun>,
    patience: Patience,
    records: PathBuf,
    seldon: Seldon,
    stop: &'a CancellationToken,
}

impl Run<'_> {
    fn on(
        self,
        pass: &Pass,
        cache: &Cache,
        destinations: &Destinations,
    ) -> Result<(SuiteEnd, Option<Failure>), Failure> {
        let Run { options, cases, stop, .. } = self;
        let (ground, standing) = ground(pass, &self, cache)?;
        let settings = Settings {
            ground,
            cluster: lent_command::word(options, pass.cluster),
            seldon: self.seldon,
            pace: options.pace.into(),
            patience: match pass.cluster.is_shared() {
                false => self.patience,
                true => self.patience.with_real_containers(),
            },
            records: self.records,
            keep: options.keep.into(),
            shard: self.shard,
        };
        let made = destinations
            .prepare()
            .and_then(|()| fs::create_dir_all(&settings.records).map_err(Failure::machine));
        if let Err(failure) = made {
            given_command::leave(settings.ground)?;
            return Err(failure);
        }
        let began = Instant::now();
        let jobs = jobs(pass.cluster, options).min(cases.len());
        remark(format!(
            "running {} {}, {jobs} at a time; records: {}",
            cases.len(),
            if cases.len() == 1 { "case" } else { "cases" },
            settings.records.display()
        ));
        let live = LiveLine::new(cases.len());
        let shown = live.clone();
        let observe = move |event: SuiteEvent<'_>| shown.show(&event);
        let end = run_suite(cases, &settings, jobs, stop, &observe);
        live.clear();
        let left = given_command::leave(settings.ground).and(standing.end());
        say(format!("\n{}", totals(&end.records, rounded(began.elapsed()))));
        let unbegun = cases.len() - end.records.len() - end.errors.len();
        if unbegun > 0 {
            say(format!("interrupted: {unbegun} of {} cases were not begun", cases.len()));
        }
        say(format!("records: {}", settings.records.display()));
        for error in &end.errors {
            remark(format!("error: {error}"));
        }
        Ok((end, left.err()))
    }
}

fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

/// Differences that are known, with their reasons.
const FIDELITY: &str = include_str!("../fidelity.toml");

/// How each case ended on both clusters, where there are two.
fn compared(
    clusters: &[ClusterOption],
    ends: &[(ClusterOption, SuiteEnd)],
) -> Result<Option<Vec<Row>>, Failure> {
    let [one, two] = *clusters else { return Ok(None) };
    let known: Fidelity = toml::from_str(FIDELITY).map_err(Failure::machine)?;
    let records_on = |wanted: ClusterOption| -> Vec<Record> {
        let there = ends.iter().filter(|(cluster, _)| *cluster == wanted);
        there.flat_map(|(_, end)| end.records.clone()).collect()
    };
    Ok(Some(compare(&records_on(one), &records_on(two), &known)))
}

/// Prints them, and makes of the run's exit code that of the comparison.
fn show_comparison(rows: &[Row], code: ExitCode) -> ExitCode {
    say("");
    rows.iter().for_each(say);
    let differing = rows.iter().filter(|row| row.agreement == Agreement::Differs).count();
    let compared = rows.iter().filter(|row| row.agreement != Agreement::NotCompared).count();
    say(format!("\n{compared} cases compared, {differing} differ for no known reason"));
    match (differing, compared) {
        (0, 0) if code == ExitCode::AllPassed => ExitCode::Inconclusive,
        (0, _) => code,
        _ => ExitCode::SomethingFailed,
    }
}

fn verdict_of(records: &[Record], stop: &CancellationToken) -> ExitCode {
    match exit_code(records.iter().map(|record| record.verdict.unwrap_or(Verdict::Inconclusive))) {
        // What was not run was not judged.
        ExitCode::AllPassed | ExitCode::NothingRan if stop.is_cancelled() => ExitCode::Inconclusive,
        code => code,
    }
}

fn jobs(cluster: ClusterOption, options: &RunOptions) -> usize {
    match cluster.is_shared() {
        false => options.jobs.map_or_else(usual_jobs, usize::from),
        // They share its roles and its kube-system.
        true => 1,
    }
}

/// What must live as long as the cases of a pass.
pub(crate) enum Standing {
    /// Nothing, or nothing of ours.
    Nothing,
    /// A Kubernetes of this machine's.
    Kubernetes(StartedCluster),
    /// One that a program of others started.
    Real(Box<RealCluster>),
}

impl Standing {
    fn end(self) -> Result<(), Failure> {
        match self {
            Standing::Nothing => Ok(()),
            Standing::Kubernetes(cluster) => {
                drop(cluster);
                Ok(())
            }
            Standing::Real(cluster) => real_command::end(*cluster),
        }
    }
}

/// Where the cases of `pass` run, and what must live as long as they do.
fn ground(pass: &Pass, run: &Run<'_>, cache: &Cache) -> Result<(Ground, Standing), Failure> {
    let profile = pass.cases.first().map_or(Profile::Flannel, |case| case.profile);
    match pass.cluster {
        ClusterOption::Embedded => {
            // Before minutes of fetching: nothing can run where there are no namespaces.
            try_namespaces().map_err(Failure::machine)?;
            let wish = || run.stop.is_cancelled();
            let onlooker = Onlooker::new(&|line| remark(line), &wish);
            let programs = provision(cache, &onlooker).map_err(Failure::machine)?;
            Ok((Ground::Embedded(programs), Standing::Nothing))
        }
        ClusterOption::Given => {
            let foothold = given_command::take(run.options, cache, run.stop)?;
            Ok((Ground::Given(foothold), Standing::Nothing))
        }
        ClusterOption::Kubernetes => {
            let started = StartedCluster::start(profile, run.options, &run.records, cache, run.stop)?;
            Ok((started.ground(), Standing::Kubernetes(started)))
        }
        ClusterOption::K3d | ClusterOption::K3s => {
            let (foothold, cluster) =
                real_command::take(pass.cluster, profile, run.options, cache, run.stop)?;
            Ok((Ground::Given(foothold), Standing::Real(Box::new(cluster))))
        }
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
