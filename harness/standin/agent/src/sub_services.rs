//! Waiting for what the agent depends on: rclone, MLServer, its own servers.

use std::time::Duration;

use gonet::BackOff;
use pace::Pace;
use tokio::time::Instant;

use crate::durations::tenths;
use crate::log::Log;

/// The longest wait between two looks.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A start or restart of MLServer takes seconds that no pace shortens, so the limits stay above them.
const FLOOR_AFTER_START: Duration = Duration::from_secs(30);
const FLOOR_BEFORE_START: Duration = Duration::from_secs(90);

/// How grave it is when a service fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Serves requests, or steers the agent: critical at all times.
    Critical,
    /// Needed for changes only: critical at the start.
    Auxiliary,
    /// Never critical.
    Optional,
}

/// Whether the program starts or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Start,
    Running,
}

impl Phase {
    /// The limit of all waits together: 15 min at the start, 30 s later, unless set otherwise.
    pub(crate) fn limit(self, real: Duration, pace: Pace) -> Duration {
        let floor = match self {
            Phase::Start => FLOOR_BEFORE_START,
            Phase::Running => FLOOR_AFTER_START,
        };
        pace.wait(real).max(floor.min(real))
    }

    fn is_critical(self, weight: Weight) -> bool {
        match self {
            Phase::Start => weight != Weight::Optional,
            Phase::Running => weight == Weight::Critical,
        }
    }
}

/// One service that was waited for.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) weight: Weight,
    pub(crate) result: Result<(), String>,
}

/// Looks until `look` finds the service ready or `deadline` passes.
pub(crate) async fn until_ready(
    name: &'static str,
    weight: Weight,
    deadline: Instant,
    pace: Pace,
    log: &Log,
    look: impl AsyncFn() -> Result<(), String>,
) -> Outcome {
    let mut back_off = BackOff { max: LONGEST_WAIT, ..BackOff::CENKALTI }.waits();
    let result = loop {
        let Ok(seen) = tokio::time::timeout_at(deadline, look()).await else {
            break Err("context deadline exceeded".to_owned());
        };
        let Err(error) = seen else { break Ok(()) };
        let wait = back_off.next_wait();
        let again = Instant::now() + pace.wait(wait);
        if again >= deadline {
            break Err(error);
        }
        log.error_field(&error)
            .info(format!("Waiting for {name} service to become ready... next check in {}", tenths(wait)));
        tokio::time::sleep_until(again).await;
    };
    Outcome { name, weight, result }
}

/// Judges all outcomes of a round.
///
/// # Errors
/// `the following critical subservices are not ready: …`.
pub(crate) fn judge(outcomes: Vec<Outcome>, phase: Phase, log: &Log) -> Result<(), String> {
    let mut missing = Vec::new();
    for Outcome { name, weight, result } in outcomes {
        let Err(error) = result else { continue };
        log.error_field(&error).error(format!(
            "Giving up on waiting for {name} service to become ready; service marked as failed"
        ));
        if phase.is_critical(weight) {
            missing.push(name);
        } else {
            log.warn(format!("Non-critical subservice not ready: {name}"));
        }
    }
    if !missing.is_empty() {
        return Err(format!("the following critical subservices are not ready: {}", missing.join(", ")));
    }
    if phase == Phase::Start {
        log.info("All critical agent subservices ready.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use logrus::Level;
    use std::cell::Cell;

    fn log() -> Log {
        Log::new(Level::Fatal)
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_service_is_waited_for() {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            if looks.get() < 4 { Err("not yet".to_owned()) } else { Ok(()) }
        };
        let deadline = Instant::now() + Duration::from_secs(900);
        let outcome = until_ready("X", Weight::Critical, deadline, Pace::REAL, &log(), look).await;
        assert_eq!((outcome.result, looks.get()), (Ok(()), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_kept_when_the_limit_passes() {
        let begin = Instant::now();
        let look = async || Err("refused".to_owned());
        let deadline = begin + Duration::from_secs(30);
        let outcome = until_ready("X", Weight::Critical, deadline, Pace::REAL, &log(), look).await;
        assert_eq!(outcome.result, Err("refused".to_owned()));
        assert!(begin.elapsed() <= Duration::from_secs(30));
    }

    #[test]
    fn rclone_is_critical_only_at_the_start() {
        let outcome = || Outcome { name: "R", weight: Weight::Auxiliary, result: Err("x".to_owned()) };
        let text = "the following critical subservices are not ready: R";
        assert_eq!(judge(vec![outcome()], Phase::Start, &log()), Err(text.to_owned()));
        assert_eq!(judge(vec![outcome()], Phase::Running, &log()), Ok(()));
    }
}
