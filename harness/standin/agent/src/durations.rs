//! The exponential back-off of cenkalti/backoff v4, which Seldon's agent uses for its waits.

use std::time::Duration;

use rand::RngExt;

/// Waits of 500 ms growing by half, each give or take half, up to `max`.
#[derive(Debug, Clone)]
pub(crate) struct BackOff {
    next: Duration,
    max: Duration,
}

impl BackOff {
    /// The library's defaults with another ceiling.
    pub(crate) fn up_to(max: Duration) -> BackOff {
        BackOff { next: Duration::from_millis(500), max }
    }

    /// The agent's wait between subscriptions: from 1 s to 15 s.
    pub(crate) fn subscription() -> BackOff {
        BackOff { next: Duration::from_secs(1), max: Duration::from_secs(15) }
    }

    /// The next wait, unscaled.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next.mul_f64(rand::rng().random_range(0.5..=1.5));
        self.next = self.next.mul_f64(1.5).min(self.max);
        wait
    }
}

/// A duration as Go prints it after rounding to 100 ms: `700ms`, `1.5s`, `0s`.
pub(crate) fn tenths(wait: Duration) -> String {
    let tenths = (wait.as_secs_f64() * 10.0).round() as u64;
    match tenths {
        0 => "0s".to_owned(),
        1..10 => format!("{}ms", tenths * 100),
        _ if tenths.is_multiple_of(10) => format!("{}s", tenths / 10),
        _ => format!("{}.{}s", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(20, "0s")]
    #[case(349, "300ms")]
    #[case(980, "1s")]
    #[case(1450, "1.5s")]
    #[case(12_000, "12s")]
    fn durations_are_printed_as_go_does(#[case] milliseconds: u64, #[case] text: &str) {
        assert_eq!(tenths(Duration::from_millis(milliseconds)), text);
    }

    #[test]
    fn waits_grow_to_the_ceiling() {
        let mut back_off = BackOff::subscription();
        let waits: Vec<_> = (0..12).map(|_| back_off.next()).collect();
        assert!(waits[0] <= Duration::from_millis(1500));
        assert!(waits[11] >= Duration::from_millis(7500) && waits[11] <= Duration::from_millis(22_500));
    }
}
