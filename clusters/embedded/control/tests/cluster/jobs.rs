//! Jobs.

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::lab::{Lab, until};

fn job(spec: Value) -> Value {
    let containers = json!([{"name": "main", "image": "good"}]);
    let mut whole = json!({"template": {"spec": {"restartPolicy": "Never", "containers": containers}}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"metadata": {"name": "sum"}, "spec": whole})
}

fn conditions(job: &Job) -> Vec<String> {
    let status = job.status.clone().unwrap_or_default();
    let listed = status.conditions.into_iter().flatten().filter(|condition| condition.status == "True");
    listed.map(|condition| format!("{}:{}", condition.type_, condition.reason.unwrap_or_default())).collect()
}

/// The status of the only Job, once it has a condition.
async fn once(lab: &Lab, condition: &str) -> JobStatus {
    let jobs = until(&lab.api::<Job>(), |jobs| {
        jobs.iter().any(|job| conditions(job).iter().any(|met| met.starts_with(condition)))
    })
    .await;
    jobs[0].status.clone().unwrap()
}

/// Waits for `count` pods that run, and ends one.
async fn end_one(lab: &Lab, count: usize, phase: &str) -> Pod {
    let runs = |pod: &&Pod| pod.status.as_ref().is_some_and(|it| it.phase.as_deref() == Some("Running"));
    let pods = until(&lab.api::<Pod>(), |pods| pods.iter().filter(runs).count() == count).await;
    let pod = pods.into_iter().find(|pod| runs(&pod)).unwrap();
    let status = json!({"status": {"phase": phase}});
    lab.api::<Pod>()
        .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap()
}

async fn told(lab: &Lab, reason: &str) -> String {
    let of = |event: &Event| event.reason.as_deref() == Some(reason);
    let events = until(&lab.api::<Event>(), |events| events.iter().any(of)).await;
    events.into_iter().find(of).and_then(|event| event.message).unwrap()
}

#[tokio::test]
async fn a_job_has_its_pods_run_and_says_when_they_have() {
    let lab = Lab::new().await;
    let made = lab.create::<Job>(job(json!({"completions": 2, "ttlSecondsAfterFinished": 3600}))).await;
    let uid = made.uid().unwrap();
    let selector = made.spec.as_ref().unwrap().selector.clone().unwrap().match_labels.unwrap();
    assert_eq!(selector["batch.kubernetes.io/controller-uid"], uid);
    let first = end_one(&lab, 1, "Succeeded").await;
    assert!(first.name_any().starts_with("sum-"), "{}", first.name_any());
    for (label, value) in [
        ("controller-uid", uid.as_str()),
        ("batch.kubernetes.io/controller-uid", uid.as_str()),
        ("job-name", "sum"),
        ("batch.kubernetes.io/job-name", "sum"),
    ] {
        assert_eq!((first.labels()[label].as_str(), made.labels()[label].as_str()), (value, value));
    }
    assert_eq!(first.finalizers(), ["batch.kubernetes.io/job-tracking"]);
    end_one(&lab, 1, "Succeeded").await;
    let status = once(&lab, "Complete").await;
    assert_eq!(
        (status.succeeded, status.failed, status.active, status.ready),
        (Some(2), None, None, Some(0))
    );
    assert!(status.start_time <= status.completion_time && status.completion_time.is_some());
    let known = lab.api::<Job>().get("sum").await.unwrap();
    assert_eq!(conditions(&known), ["SuccessCriteriaMet:CompletionsReached", "Complete:CompletionsReached"]);
    assert_eq!(told(&lab, "Completed").await, "Job completed");
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    assert!(pods.len() == 2 && pods.iter().all(|pod| pod.finalizers().is_empty()), "{pods:?}");
}

#[tokio::test]
async fn a_job_whose_pods_fail_too_often_has_failed() {
    let lab = Lab::new().await;
    lab.create::<Job>(job(json!({"backoffLimit": 1}))).await;
    end_one(&lab, 1, "Failed").await;
    end_one(&lab, 1, "Failed").await;
    let status = once(&lab, "Failed").await;
    assert_eq!((status.failed, status.succeeded, status.completion_time), (Some(2), None, None));
    let known = lab.api::<Job>().get("sum").await.unwrap();
    assert_eq!(conditions(&known), ["FailureTarget:BackoffLimitExceeded", "Failed:BackoffLimitExceeded"]);
    assert_eq!(told(&lab, "BackoffLimitExceeded").await, "Job has reached the specified backoff limit");
}

#[tokio::test]
async fn the_indexes_of_a_job_are_completed_each_once() {
    let lab = Lab::new().await;
    let spec =
        json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimitPerIndex": 1});
    lab.create::<Job>(job(spec)).await;
    let failed = end_one(&lab, 3, "Failed").await;
    let index = failed.annotations()["batch.kubernetes.io/job-completion-index"].clone();
    assert!(failed.name_any().starts_with(&format!("sum-{index}-")), "{}", failed.name_any());
    assert_eq!(failed.labels()["batch.kubernetes.io/job-completion-index"], index);
    for left in [3, 2, 1] {
        end_one(&lab, left, "Succeeded").await;
    }
    let status = once(&lab, "Complete").await;
    assert_eq!(
        (status.completed_indexes.as_deref(), status.failed_indexes.as_deref()),
        (Some("0-2"), Some(""))
    );
    assert_eq!((status.succeeded, status.failed), (Some(3), Some(1)));
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    let again = pods.iter().find(|pod| {
        pod.annotations().get("batch.kubernetes.io/job-index-failure-count").is_some_and(|count| count == "1")
    });
    assert_eq!(again.unwrap().annotations()["batch.kubernetes.io/job-completion-index"], index);
}

#[tokio::test]
async fn a_job_that_is_suspended_gives_its_pods_up_and_makes_others_later() {
    let lab = Lab::new().await;
    lab.create::<Job>(job(json!({}))).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 1).await;
    let suspend = |wish: bool| {
        let patch = Patch::Merge(json!({"spec": {"suspend": wish}}));
        let jobs = lab.api::<Job>();
        async move { jobs.patch("sum", &PatchParams::default(), &patch).await.unwrap() }
    };
    suspend(true).await;
    until(&lab.api::<Pod>(), <[Pod]>::is_empty).await;
    let status = once(&lab, "Suspended").await;
    assert_eq!((status.failed, status.active), (None, None));
    suspend(false).await;
    end_one(&lab, 1, "Succeeded").await;
    assert_eq!(once(&lab, "Complete").await.failed, None);
    assert_eq!(told(&lab, "Resumed").await, "Job resumed");
}

#[tokio::test]
async fn pods_of_a_deleted_job_stay_unless_they_are_asked_to_go() {
    let lab = Lab::new().await;
    lab.create::<Job>(job(json!({}))).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 1).await;
    // Nothing said: they stay, free of their Job.
    lab.api::<Job>().delete("sum", &DeleteParams::default()).await.unwrap();
    until(&lab.api::<Job>(), <[Job]>::is_empty).await;
    let pods = until(&lab.api::<Pod>(), |pods| {
        pods.iter().all(|pod| pod.owner_references().is_empty() && pod.finalizers().is_empty())
    })
    .await;
    assert_eq!(pods.len(), 1);
    for parameters in [DeleteParams::background(), DeleteParams::foreground()] {
        lab.create::<Job>(job(json!({}))).await;
        until(&lab.api::<Pod>(), |pods| pods.len() == 2).await;
        lab.api::<Job>().delete("sum", &parameters).await.unwrap();
        until(&lab.api::<Pod>(), |pods| pods.len() == 1).await;
        until(&lab.api::<Job>(), <[Job]>::is_empty).await;
    }
}

#[tokio::test]
async fn a_finished_job_that_is_not_to_stay_goes_with_its_pods() {
    let lab = Lab::new().await;
    lab.create::<Job>(job(json!({"ttlSecondsAfterFinished": 0}))).await;
    end_one(&lab, 1, "Succeeded").await;
    until(&lab.api::<Job>(), <[Job]>::is_empty).await;
    until(&lab.api::<Pod>(), <[Pod]>::is_empty).await;
}
