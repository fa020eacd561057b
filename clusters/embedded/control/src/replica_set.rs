//! ReplicaSets: as many pods of one template as asked for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::events::Tone;
use crate::queue::{Queue, Trouble};
use crate::store::Key;
use crate::{owner, pods};

const COMPONENT: &str = "replicaset-controller";

/// What is to be done about the pods.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Create(usize),
    /// Give up these pods, by name.
    Delete(Vec<String>),
}

/// How many pods are missing or too many.
pub(crate) fn decide(set: &ReplicaSet, owned: &[Arc<Pod>]) -> Step {
    if set.metadata.deletion_timestamp.is_some() {
        return Step::Nothing;
    }
    let wanted = usize::try_from(set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)).unwrap_or(0);
    let mut active: Vec<&Arc<Pod>> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    if active.len() < wanted {
        return Step::Create(wanted - active.len());
    }
    if active.len() == wanted {
        return Step::Nothing;
    }
    let too_many = active.len() - wanted;
    active.sort_by_cached_key(|pod| pods::give_up_order(pod));
    Step::Delete(active.into_iter().take(too_many).map(|pod| pod.name_any()).collect())
}

/// The status these pods make, and when to look again because one becomes available by time alone.
pub(crate) fn status(
    set: &ReplicaSet,
    owned: &[Arc<Pod>],
    now: Timestamp,
) -> (ReplicaSetStatus, Option<Duration>) {
    let spec = set.spec.as_ref();
    let seconds =
        spec.and_then(|spec| spec.min_ready_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let min_ready = Duration::from_secs(seconds.unwrap_or(0));
    let labels = spec.and_then(|spec| spec.template.as_ref()).and_then(|template| template.metadata.as_ref());
    let labels = labels.and_then(|meta| meta.labels.clone()).unwrap_or_default();
    let active: Vec<&Arc<Pod>> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    let labelled =
        active.iter().filter(|pod| labels.iter().all(|(name, value)| pod.labels().get(name) == Some(value)));
    let available: Vec<Result<(), Option<Duration>>> =
        active.iter().map(|pod| pods::availability(pod, min_ready, now)).collect();
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let some = |number: usize| Some(count(number)).filter(|number| *number > 0);
    let made = ReplicaSetStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: some(labelled.count()),
        ready_replicas: some(active.iter().filter(|pod| pods::is_ready(pod)).count()),
        available_replicas: some(available.iter().filter(|state| state.is_ok()).count()),
        observed_generation: set.metadata.generation,
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
        terminating_replicas: None,
    };
    (made, available.into_iter().filter_map(|state| state.err().flatten()).min())
}

/// Starts the controller.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let sets = queue.clone();
    cluster.stores.replica_sets.on_change(move |change| {
        if let Some(set) = change.after {
            sets.add(Key::of(set.as_ref()));
        }
    });
    let pods = queue.clone();
    cluster.stores.pods.on_change(move |change| {
        for pod in change.states() {
            if let Some(owner) = owner::controller(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet") {
                pods.add(Key::new(pod.namespace().unwrap_or_default(), &owner.name));
            }
        }
    });
    let (cluster, again) = (cluster.clone(), queue.clone());
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("replicaset", move |key| {
        let (cluster, again) = (cluster.clone(), again.clone());
        async move { look(&cluster, &key, &again).await }
    }));
}

async fn look(cluster: &Cluster, key: &Key, again: &Queue<Key>) -> Result<(), Trouble> {
    let Some(set) = cluster.stores.replica_sets.get(key) else { return Ok(()) };
    let owned = || -> Vec<Arc<Pod>> {
        let pods = cluster.stores.pods.within(&key.namespace).into_iter();
        pods.filter(|pod| owner::is_controlled_by(&pod.metadata, set.as_ref())).collect()
    };
    let result = act(cluster, &set, &owned()).await;
    let (status, soon) = status(&set, &owned(), Timestamp::now());
    if let Some(pause) = soon {
        again.add_after(key.clone(), pause);
    }
    if set.status.as_ref() != Some(&status) {
        let mut changed = set.as_ref().clone();
        changed.status = Some(status);
        cluster.replace_status(&changed).await?;
    }
    result
}

async fn act(cluster: &Cluster, set: &ReplicaSet, owned: &[Arc<Pod>]) -> Result<(), Trouble> {
    let namespace = set.namespace().unwrap_or_default();
    match decide(set, owned) {
        Step::Nothing => {}
        Step::Create(count) => {
            let Some(template) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else {
                return Ok(());
            };
            for _ in 0..count {
                let mut pod = pods::from_template(template, &namespace, owner::controlled_by(set));
                pod.metadata.generate_name = Some(format!("{}-", set.name_any()));
                match cluster.create(&pod).await {
                    Ok(made) => {
                        let message = format!("Created pod: {}", made.name_any());
                        cluster.events.note(set, COMPONENT, Tone::Normal, "SuccessfulCreate", message);
                    }
                    Err(error) => {
                        let message = format!("Error creating: {}", crate::reason(&error));
                        cluster.events.note(set, COMPONENT, Tone::Warning, "FailedCreate", message);
                        return Err(error.into());
                    }
                }
            }
        }
        Step::Delete(names) => {
            for pod in owned.iter().filter(|pod| names.contains(&pod.name_any())) {
                cluster.delete(pod.as_ref()).await?;
                let message = format!("Deleted pod: {}", pod.name_any());
                cluster.events.note(set, COMPONENT, Tone::Normal, "SuccessfulDelete", message);
            }
        }
    }
    Ok(())
}
