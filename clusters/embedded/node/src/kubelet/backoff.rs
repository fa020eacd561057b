//! Back-off of restarts and of image pulls: 10 s, doubled each time up to 300 s, as kubelet 1.33.

use std::time::Duration;

use pace::Pace;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// The back-off of one container. Durations are real ones; only the waits shrink by the pace.
#[derive(Debug, Default, Clone)]
pub(crate) struct Backoff {
    current: Option<Duration>,
}

impl Backoff {
    /// How long to wait before the next start, after a run of `ran` (wall-clock). The first restart is immediate; a run of
    /// more than ten minutes makes the next one first again.
    pub(crate) fn after_run(&mut self, ran: Duration, pace: Pace) -> Option<Duration> {
        if ran > pace.wait(LONGEST * 2) {
            self.current = None;
        }
        let wait = self.current;
        self.current = Some(wait.map_or(FIRST, |it| (it * 2).min(LONGEST)));
        wait
    }

    /// How long to wait after a failed image pull: 10 s the first time.
    pub(crate) fn after_pull(&mut self) -> Duration {
        let wait = self.current.map_or(FIRST, |it| (it * 2).min(LONGEST));
        self.current = Some(wait);
        wait
    }
}

/// A duration as Go prints it: `10s`, `1m20s`, `5m0s`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, rest) => format!("{rest}s"),
        (minutes, rest) => format!("{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8)
            .map(|_| backoff.after_run(Duration::ZERO, Pace::REAL).map_or("at once".to_owned(), go_duration))
            .collect();
        assert_eq!(waits, ["at once", "10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]);
    }

    #[test]
    fn a_long_run_forgives_and_its_length_shrinks_with_the_pace() {
        let mut backoff = Backoff::default();
        backoff.after_run(Duration::ZERO, Pace::FAST);
        assert!(backoff.after_run(Duration::from_secs(11), Pace::FAST).is_some());
        assert!(backoff.after_run(Duration::from_secs(13), Pace::FAST).is_none());
    }

    #[test]
    fn pulls_wait_from_the_first_failure() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_pull().as_secs(), 10);
        assert_eq!(backoff.after_pull().as_secs(), 20);
    }
}
