//! Finished Jobs that are not to stay: `ttlSecondsAfterFinished`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};

use super::finished_at;
use crate::cluster::Cluster;
use crate::queue::{Queue, Trouble, unless_gone};
use crate::store::Key;

/// Starts the controller.
pub(super) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let jobs = queue.clone();
    cluster.stores.jobs.on_change(move |change| {
        if let Some(job) = change.after.filter(|job| remaining(job, Timestamp::now()).is_some()) {
            jobs.add(Key::of(job.as_ref()));
        }
    });
    let (cluster, again) = (cluster.clone(), queue.clone());
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("ttl-after-finished", move |key| {
        let (cluster, again) = (cluster.clone(), again.clone());
        async move { look(&cluster, &key, &again).await }
    }));
}

/// How much longer a finished Job stays; `None` when it stays for good, has not finished, or is going.
fn remaining(job: &Job, now: Timestamp) -> Option<Duration> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let ended = finished_at(job).filter(|_| job.metadata.deletion_timestamp.is_none())?;
    let passed = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).saturating_sub(passed))
}

async fn look(cluster: &Cluster, key: &Key, again: &Queue<Key>) -> Result<(), Trouble> {
    let Some(job) = cluster.stores.jobs.get(key) else { return Ok(()) };
    match remaining(&job, Timestamp::now()) {
        None => Ok(()),
        Some(Duration::ZERO) => {
            let same = Preconditions { uid: job.uid(), resource_version: job.resource_version() };
            // With its pods, and after them.
            let parameters = DeleteParams { preconditions: Some(same), ..DeleteParams::foreground() };
            let api: Api<Job> = Api::namespaced(cluster.client.clone(), &key.namespace);
            unless_gone(api.delete(&key.name, &parameters).await)?;
            Ok(())
        }
        Some(pause) => {
            again.add_after(key.clone(), pause);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::for_good(None, Some("Complete"), None)]
    #[case::has_not_finished(Some(60), None, None)]
    #[case::complete(Some(60), Some("Complete"), Some(50))]
    #[case::failed(Some(60), Some("Failed"), Some(50))]
    #[case::over(Some(5), Some("Failed"), Some(0))]
    #[case::at_once(Some(0), Some("Complete"), Some(0))]
    fn finished_jobs_stay_so_long(
        #[case] ttl: Option<i32>,
        #[case] end: Option<&str>,
        #[case] expected: Option<u64>,
    ) {
        let condition = |kind: &str| json!([{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let job: Job = serde_json::from_value(json!({
            "metadata": {"name": "j"},
            "spec": {"ttlSecondsAfterFinished": ttl, "template": {}},
            "status": {"conditions": end.map(condition)},
        }))
        .unwrap();
        let now = "2026-01-01T00:00:10Z".parse().unwrap();
        assert_eq!(remaining(&job, now), expected.map(Duration::from_secs));
    }
}
