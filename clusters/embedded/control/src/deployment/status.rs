//! The status of a Deployment: numbers and the two conditions. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use pace::Pace;

use super::rollout;

/// A status, and when time alone will change it.
pub(super) struct Made {
    pub(super) status: DeploymentStatus,
    pub(super) look_again: Option<Duration>,
}

/// Whether the rollout of `status` has come to its end.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = rollout::wanted(deployment);
    let number = |count: Option<i32>| count.unwrap_or(0);
    number(status.updated_replicas) == wanted
        && number(status.replicas) == wanted
        && number(status.available_replicas) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

pub(super) fn status(
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    new: Option<&ReplicaSet>,
    now: Timestamp,
    pace: Pace,
) -> Made {
    let number = |read: fn(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> i32| -> i32 {
        sets.iter().filter_map(|set| set.status.as_ref()).map(read).sum()
    };
    let some = |count: i32| Some(count).filter(|count| *count != 0);
    let replicas = number(|status| status.replicas);
    let available = number(|status| status.available_replicas.unwrap_or(0));
    let fresh = new.and_then(|new| sets.iter().find(|set| set.uid() == new.uid()));
    let updated = fresh.and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
    let before = deployment.status.clone().unwrap_or_default();
    let wanted = rollout::wanted(deployment);
    let total: i32 = sets.iter().filter_map(|set| set.spec.as_ref()?.replicas).sum();
    let mut made = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(replicas),
        updated_replicas: some(updated),
        ready_replicas: some(number(|status| status.ready_replicas.unwrap_or(0))),
        available_replicas: some(available),
        unavailable_replicas: some((total - available).max(0)),
        conditions: before.conditions.clone(),
        collision_count: before.collision_count,
        terminating_replicas: None,
    };
    let (_, unavailable) = rollout::surge_and_unavailable(deployment);
    let enough = available >= wanted - unavailable;
    set(
        &mut made,
        now,
        if enough {
            (
                "Available",
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.".to_owned(),
            )
        } else {
            (
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.".to_owned(),
            )
        },
    );
    let look_again = progress(deployment, &before, &mut made, new, now, pace);
    Made { status: made, look_again }
}

/// Sets `Progressing`; returns when its deadline passes.
fn progress(
    deployment: &Deployment,
    before: &DeploymentStatus,
    made: &mut DeploymentStatus,
    new: Option<&ReplicaSet>,
    now: Timestamp,
    pace: Pace,
) -> Option<Duration> {
    if deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true)) {
        set(made, now, ("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused".to_owned()));
        return None;
    }
    let known =
        before.conditions.iter().flatten().find(|condition| condition.type_ == "Progressing").cloned();
    let set_name = new.map(ResourceExt::name_any).unwrap_or_default();
    let done = format!("ReplicaSet \"{set_name}\" has successfully progressed.");
    if is_complete(deployment, made) {
        set(made, now, ("Progressing", "True", "NewReplicaSetAvailable", done));
        return None;
    }
    let Some(known) = known else {
        set(
            made,
            now,
            (
                "Progressing",
                "True",
                "NewReplicaSetCreated",
                format!("Created new replica set \"{set_name}\""),
            ),
        );
        return deadline(deployment, pace);
    };
    // A Deployment whose rollout is done stays done when pods come and go.
    let same_rollout = before.observed_generation == deployment.metadata.generation;
    if known.reason.as_deref() == Some("NewReplicaSetAvailable") && same_rollout {
        return None;
    }
    let went_on = made.updated_replicas > before.updated_replicas
        || made.ready_replicas > before.ready_replicas
        || made.available_replicas > before.available_replicas
        || made.replicas < before.replicas
        || !same_rollout;
    if went_on {
        set(
            made,
            now,
            (
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                format!("ReplicaSet \"{set_name}\" is progressing."),
            ),
        );
        touch(made, now);
        return deadline(deployment, pace);
    }
    overdue(deployment, made, &known, &set_name, now, pace)
}

/// Says so when the deadline has passed; else returns when it will.
fn overdue(
    deployment: &Deployment,
    made: &mut DeploymentStatus,
    known: &DeploymentCondition,
    set_name: &str,
    now: Timestamp,
    pace: Pace,
) -> Option<Duration> {
    if known.reason.as_deref() == Some("ProgressDeadlineExceeded") {
        return None;
    }
    let limit = deadline(deployment, pace)?;
    let since = known.last_update_time.as_ref().map_or(now, |time| time.0);
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    // Times in a status have whole seconds.
    if passed < limit {
        return Some(limit - passed + Duration::from_secs(1));
    }
    let message = format!("ReplicaSet \"{set_name}\" has timed out progressing.");
    set(made, now, ("Progressing", "False", "ProgressDeadlineExceeded", message));
    None
}

fn deadline(deployment: &Deployment, pace: Pace) -> Option<Duration> {
    let seconds = deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds).unwrap_or(600);
    // Kubernetes's word for "no deadline" is the largest number.
    (seconds != i32::MAX).then(|| pace.wait(Duration::from_secs(u64::try_from(seconds).unwrap_or(600))))
}

fn touch(status: &mut DeploymentStatus, now: Timestamp) {
    for condition in
        status.conditions.iter_mut().flatten().filter(|condition| condition.type_ == "Progressing")
    {
        condition.last_update_time = Some(Time(now));
    }
}

fn set(
    status: &mut DeploymentStatus,
    now: Timestamp,
    (kind, value, reason, message): (&str, &str, &str, String),
) {
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions.iter().find(|condition| condition.type_ == kind).cloned();
    if known.as_ref().is_some_and(|known| {
        known.status == value
            && known.reason.as_deref() == Some(reason)
            && known.message.as_deref() == Some(&message)
    }) {
        return;
    }
    let turned = known.as_ref().is_none_or(|known| known.status != value);
    let since = if turned { Some(Time(now)) } else { known.and_then(|known| known.last_transition_time) };
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(DeploymentCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: since,
    });
}
