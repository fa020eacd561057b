//! Running many cases, a few at a time, each in a world and a thread of its own.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use harness::Progress;
use harness::clusters::Cluster;
use harness::run::{Finished, Settings, run_case};
use reports::Record;
use tokio_util::sync::CancellationToken;

use crate::case_list::Case;

/// What happens while a suite runs.
#[derive(Debug)]
pub enum SuiteEvent<'a> {
    /// A case began.
    Started(&'a Case),
    /// A case does or waits for something.
    Waiting(&'a Case, &'a str),
    /// A case ended.
    Finished(&'a Case, &'a Record),
}

/// What is left of a suite.
#[derive(Debug, Default)]
pub struct SuiteEnd {
    /// Closed records, in the order of the cases. Cases that were not begun have none.
    pub records: Vec<Record>,
    /// Clusters that were to be kept, with their cases' names.
    pub kept: Vec<(String, Cluster)>,
    /// Why records could not be written.
    pub errors: Vec<String>,
}

/// How many cases run at a time where nobody says: two for a processor, as each waits half of its time, and eight at most.
pub fn usual_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, |processors| usize::from(processors) * 2).min(8)
}

/// Runs `cases`, `jobs` at a time. When `stop` is cancelled, running cases end early and no new one begins.
pub fn run(
    cases: &[Case],
    settings: &Settings,
    jobs: usize,
    stop: &CancellationToken,
    observe: &(impl Fn(SuiteEvent<'_>) + Clone + Send + Sync + 'static),
) -> SuiteEnd {
    let next = AtomicUsize::new(0);
    let ended: Mutex<Vec<(usize, anyhow::Result<Finished>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, cases.len().max(1)) {
            scope.spawn(|| {
                while !stop.is_cancelled() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { break };
                    let finished = run_one(case, settings, stop, observe);
                    ended.lock().unwrap_or_else(PoisonError::into_inner).push((index, finished));
                }
            });
        }
    });
    let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.sort_by_key(|(index, _)| *index);
    let mut end = SuiteEnd::default();
    for (index, finished) in ended {
        match finished {
            Ok(finished) => {
                end.kept.extend(finished.kept.map(|cluster| (cases[index].full_name(), cluster)));
                end.records.push(finished.record);
            }
            Err(error) => end.errors.push(format!("{}: {error}", cases[index].full_name())),
        }
    }
    end
}

/// Runs one case on this thread.
///
/// # Errors
/// Only when the record cannot be written.
pub fn run_one(
    case: &Case,
    settings: &Settings,
    stop: &CancellationToken,
    observe: &(impl Fn(SuiteEvent<'_>) + Clone + Send + Sync + 'static),
) -> anyhow::Result<Finished> {
    observe(SuiteEvent::Started(case));
    let (told, owned) = (observe.clone(), *case);
    let progress = Progress::new(move |what| told(SuiteEvent::Waiting(&owned, what)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let finished = runtime.block_on(run_case(
        settings,
        &case.spec(settings.cluster),
        case.scenario.body,
        progress,
        stop,
    ))?;
    observe(SuiteEvent::Finished(case, &finished.record));
    Ok(finished)
}
