//! How long a Job waits before it makes a pod in place of one that failed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use pace::Pace;

use crate::pods;

/// The wait after the first failure; it doubles with each, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// The failures of a Job since its last success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) last: Option<Timestamp>,
}

impl Failures {
    /// The record after some pods have ended.
    pub(super) fn after(self, succeeded: &[&Pod], failed: &[&Pod]) -> Failures {
        let last_success = succeeded.iter().map(|pod| finished(pod)).max();
        let counted: Vec<Timestamp> = failed
            .iter()
            .map(|pod| finished(pod))
            .filter(|time| last_success.is_none_or(|success| *time > success))
            .collect();
        let before = if last_success.is_some() { Failures::default() } else { self };
        let more = u32::try_from(counted.len()).unwrap_or(u32::MAX);
        Failures { count: before.count.saturating_add(more), last: counted.into_iter().max().or(before.last) }
    }

    /// How much longer to wait; zero when a pod may be made now.
    pub(super) fn remaining(self, now: Timestamp, pace: Pace) -> Duration {
        let (Some(last), 1..) = (self.last, self.count) else { return Duration::ZERO };
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.count - 1)).min(LONGEST);
        let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        pace.wait(doubled).saturating_sub(passed)
    }
}

/// When a pod ended: its last container's end, else when it was last not ready, else when it was deleted or made.
pub(super) fn finished(pod: &Pod) -> Timestamp {
    of_containers(pod)
        .or_else(|| {
            let ready = pods::condition(pod, "Ready").filter(|ready| ready.status == "False")?;
            Some(ready.last_transition_time.as_ref()?.0)
        })
        .or_else(|| {
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            let grace = jiff::SignedDuration::from_secs(grace);
            pod.metadata.deletion_timestamp.as_ref()?.0.checked_sub(grace).ok()
        })
        .or_else(|| Some(pod.metadata.creation_timestamp.as_ref()?.0))
        .unwrap_or_default()
}

fn of_containers(pod: &Pod) -> Option<Timestamp> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ends: Option<Vec<Timestamp>> = containers
        .iter()
        .map(|status| Some(status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0))
        .collect();
    ends?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn ended(second: i64) -> Pod {
        let time = at(second).to_string();
        let terminated = json!({"exitCode": 1, "finishedAt": time});
        let status = json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": terminated}});
        serde_json::from_value(json!({"metadata": {}, "status": {"containerStatuses": [status]}})).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[rstest]
    #[case::nothing_new((1, 5), &[], &[], (1, 5))]
    #[case::one_more((1, 5), &[], &[9], (2, 9))]
    #[case::two_more((0, 0), &[], &[9, 7], (2, 9))]
    #[case::a_success_forgets((3, 5), &[9], &[], (0, 0))]
    #[case::a_failure_before_the_success((3, 5), &[9], &[8], (0, 0))]
    #[case::a_failure_after_the_success((3, 5), &[9], &[8, 11], (1, 11))]
    fn failures_are_counted_since_the_last_success(
        #[case] before: (u32, i64),
        #[case] succeeded: &[i64],
        #[case] failed: &[i64],
        #[case] expected: (u32, i64),
    ) {
        let record = |(count, last): (u32, i64)| Failures { count, last: (last > 0).then(|| at(last)) };
        let [succeeded, failed] =
            [succeeded, failed].map(|times| times.iter().map(|time| ended(*time)).collect::<Vec<_>>());
        let after =
            record(before).after(&succeeded.iter().collect::<Vec<_>>(), &failed.iter().collect::<Vec<_>>());
        assert_eq!(after, record(expected));
    }

    #[rstest]
    #[case::none(0, 100, 0)]
    #[case::first(1, 100, 10)]
    #[case::second(2, 100, 20)]
    #[case::some_has_passed(2, 107, 13)]
    #[case::all_has_passed(1, 110, 0)]
    #[case::never_longer(40, 100, 600)]
    fn waits_double(#[case] count: u32, #[case] now: i64, #[case] seconds: u64) {
        let failures = Failures { count, last: Some(at(100)) };
        assert_eq!(failures.remaining(at(now), Pace::REAL), Duration::from_secs(seconds));
    }
}
