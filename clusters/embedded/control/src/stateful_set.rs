//! StatefulSets: pods with numbers, kept in order.

mod objects;
mod plan;
mod revisions;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::events::Tone;
use crate::queue::{Queue, Trouble};
use crate::store::Key;
use crate::{owner, pods};
use plan::{Step, View};
use revisions::Revisions;

const COMPONENT: &str = "statefulset-controller";

/// Starts the controller.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let sets = queue.clone();
    cluster.stores.stateful_sets.on_change(move |change| {
        if let Some(set) = change.after {
            sets.add(Key::of(set.as_ref()));
        }
    });
    let pods = queue.clone();
    cluster.stores.pods.on_change(move |change| {
        for pod in change.states() {
            if let Some(owner) = owner::controller(&pod.metadata).filter(|owner| owner.kind == "StatefulSet")
            {
                pods.add(Key::new(pod.namespace().unwrap_or_default(), &owner.name));
            }
        }
    });
    let (cluster, again) = (cluster.clone(), queue.clone());
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("statefulset", move |key| {
        let (cluster, again) = (cluster.clone(), again.clone());
        async move { look(&cluster, &key, &again).await }
    }));
}

fn pods_of(cluster: &Cluster, set: &StatefulSet) -> Vec<Arc<Pod>> {
    let pods = cluster.stores.pods.within(&set.namespace().unwrap_or_default()).into_iter();
    pods.filter(|pod| owner::is_controlled_by(&pod.metadata, set)).collect()
}

async fn look(cluster: &Cluster, key: &Key, again: &Queue<Key>) -> Result<(), Trouble> {
    let Some(set) = cluster.stores.stateful_sets.get(key) else { return Ok(()) };
    if set.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let revisions = revisions::find_or_make(cluster, &set).await?;
    let mut result = Ok(());
    let mut soon: Option<Duration> = None;
    // A step may make the next one possible at once (Parallel, or a pod that is gone).
    for _ in 0..64 {
        let owned = pods_of(cluster, &set);
        let view = View::new(&set, &owned, &revisions, Timestamp::now());
        soon = view.becomes_available_in();
        let steps = plan::steps(&view);
        if steps.is_empty() {
            break;
        }
        for step in steps {
            result = apply(cluster, &set, &owned, &revisions, &step).await;
            if result.is_err() {
                break;
            }
        }
        if result.is_err() {
            break;
        }
    }
    if let Some(pause) = soon {
        again.add_after(key.clone(), pause);
    }
    let owned = pods_of(cluster, &set);
    let status = status(&set, &View::new(&set, &owned, &revisions, Timestamp::now()), &revisions);
    if set.status.as_ref() != Some(&status) {
        let mut changed = set.as_ref().clone();
        changed.status = Some(status);
        cluster.replace_status(&changed).await?;
    }
    objects::keep_claims(cluster, &set, &owned).await?;
    result
}

/// The status; `currentRevision` follows `updateRevision` once every pod is new.
fn status(set: &StatefulSet, view: &View, revisions: &Revisions) -> StatefulSetStatus {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let some = |number: usize| Some(count(number)).filter(|number| *number > 0);
    let of = |revision: &str| view.pods.iter().filter(|pod| pod.counts() && pod.revision == revision).count();
    let wanted = usize::try_from(view.wanted).unwrap_or(0);
    let updated = of(&revisions.update);
    let done =
        view.rolls && updated == wanted && view.pods.len() == wanted && view.pods.iter().all(|pod| pod.ready);
    let current = if done { revisions.update.clone() } else { revisions.current.clone() };
    StatefulSetStatus {
        replicas: count(view.pods.iter().filter(|pod| pod.alive).count()),
        ready_replicas: some(view.pods.iter().filter(|pod| pod.ready).count()),
        available_replicas: Some(count(view.pods.iter().filter(|pod| pod.available).count())),
        current_replicas: some(if done { updated } else { of(&current) }),
        updated_replicas: some(updated),
        current_revision: Some(current),
        update_revision: Some(revisions.update.clone()),
        observed_generation: set.metadata.generation,
        collision_count: Some(set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)),
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
    }
}

async fn apply(
    cluster: &Cluster,
    set: &StatefulSet,
    owned: &[Arc<Pod>],
    revisions: &Revisions,
    step: &Step,
) -> Result<(), Trouble> {
    let name = set.name_any();
    match step {
        Step::Create { ordinal, revision } => {
            let template = revisions.template(revision, set);
            for claim in objects::claims(set, *ordinal) {
                create_claim(cluster, set, *ordinal, &claim).await?;
            }
            let pod = objects::pod(set, &template, *ordinal, revision);
            let pod_name = pod.name_any();
            match cluster.create(&pod).await {
                Ok(_) => {
                    let message = format!("create Pod {pod_name} in StatefulSet {name} successful");
                    cluster.events.note(set, COMPONENT, Tone::Normal, "SuccessfulCreate", message);
                    Ok(())
                }
                Err(error) => {
                    let why = crate::reason(&error);
                    let message = format!("create Pod {pod_name} in StatefulSet {name} failed error: {why}");
                    cluster.events.note(set, COMPONENT, Tone::Warning, "FailedCreate", message);
                    Err(error.into())
                }
            }
        }
        Step::Delete { ordinal } => {
            let wanted = objects::pod_name(set, *ordinal);
            let Some(pod) = owned.iter().find(|pod| pod.name_any() == wanted) else { return Ok(()) };
            cluster.delete(pod.as_ref()).await?;
            let message = format!("delete Pod {wanted} in StatefulSet {name} successful");
            cluster.events.note(set, COMPONENT, Tone::Normal, "SuccessfulDelete", message);
            Ok(())
        }
    }
}

async fn create_claim(
    cluster: &Cluster,
    set: &StatefulSet,
    ordinal: i32,
    claim: &PersistentVolumeClaim,
) -> Result<(), Trouble> {
    if cluster.stores.claims.get(&Key::of(claim)).is_some() {
        return Ok(());
    }
    let (name, pod, claim_name) = (set.name_any(), objects::pod_name(set, ordinal), claim.name_any());
    match cluster.create(claim).await {
        Ok(_) => {
            let message = format!("create Claim {claim_name} Pod {pod} in StatefulSet {name} success");
            cluster.events.note(set, COMPONENT, Tone::Normal, "SuccessfulCreate", message);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(()),
        Err(error) => {
            let why = crate::reason(&error);
            let message =
                format!("create Claim {claim_name} for Pod {pod} in StatefulSet {name} failed error: {why}");
            cluster.events.note(set, COMPONENT, Tone::Warning, "FailedCreate", message);
            Err(error.into())
        }
    }
}

/// Whether the pod ended; a set replaces it.
fn has_ended(pod: &Pod) -> bool {
    !pods::is_alive(pod)
}
