//! The waits of the operator, shortened by the pace.

use std::time::Duration;

use pace::Pace;

/// Waits up to this long are not shortened: below it a failing loop would only burn the processor.
const UNTOUCHED: Duration = Duration::from_millis(100);

/// A wait between attempts, shortened but never below 100 ms (or itself, when that is shorter).
pub(crate) fn shorten(pace: Pace, real: Duration) -> Duration {
    pace.wait(real).max(real.min(UNTOUCHED))
}

/// controller-runtime's wait after the `failures`-th failure in a row of one object (1 for the first): 5 ms,
/// doubling, at most 1000 s.
pub(crate) fn requeue(failures: u32) -> Duration {
    const BASE: Duration = Duration::from_millis(5);
    const CEILING: Duration = Duration::from_secs(1000);
    1u32.checked_shl(failures.saturating_sub(1))
        .and_then(|factor| BASE.checked_mul(factor))
        .map_or(CEILING, |wait| wait.min(CEILING))
}

/// grpc-middleware's wait before the `attempt`-th retry of a unary call (1 for the first): 200 ms, doubling.
pub(crate) fn call_retry(attempt: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(1, 5)]
    #[case(2, 10)]
    #[case(13, 20_480)]
    #[case(18, 655_360)]
    #[case(19, 1_000_000)]
    #[case(4_000, 1_000_000)]
    fn objects_are_taken_up_again_later_and_later(#[case] failures: u32, #[case] milliseconds: u64) {
        assert_eq!(requeue(failures), Duration::from_millis(milliseconds));
    }

    #[rstest]
    #[case(1, 200)]
    #[case(4, 1_600)]
    fn calls_are_retried_later_and_later(#[case] attempt: u32, #[case] milliseconds: u64) {
        assert_eq!(call_retry(attempt), Duration::from_millis(milliseconds));
    }

    #[rstest]
    #[case::short_ones_stay(5, 5)]
    #[case::then_a_floor(2_000, 100)]
    #[case::then_the_pace(50_000, 1_000)]
    fn the_pace_shortens_long_waits_only(#[case] real: u64, #[case] shortened: u64) {
        assert_eq!(shorten(Pace::FAST, Duration::from_millis(real)), Duration::from_millis(shortened));
    }

    proptest! {
        #[test]
        fn shorter_waits_stay_shorter(one in 0u64..2_000_000, other in 0u64..2_000_000) {
            let (small, large) = (one.min(other), one.max(other));
            let shortened = |ms| shorten(Pace::FAST, Duration::from_millis(ms));
            prop_assert!(shortened(small) <= shortened(large));
        }
    }
}
