//! DaemonSets: one pod on every node that takes it.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::events::Tone;
use crate::queue::{Queue, Trouble};
use crate::scheduling::{Placement, place};
use crate::store::Key;
use crate::{hash, owner, pods};

const COMPONENT: &str = "daemonset-controller";
const HASH_LABEL: &str = "controller-revision-hash";

/// Starts the controller.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let sets = queue.clone();
    cluster.stores.daemon_sets.on_change(move |change| {
        if let Some(set) = change.after {
            sets.add(Key::of(set.as_ref()));
        }
    });
    let pods = queue.clone();
    cluster.stores.pods.on_change(move |change| {
        for pod in change.states() {
            if let Some(owner) = owner::controller(&pod.metadata).filter(|owner| owner.kind == "DaemonSet") {
                pods.add(Key::new(pod.namespace().unwrap_or_default(), &owner.name));
            }
        }
    });
    let (nodes, stores) = (queue.clone(), Arc::downgrade(&cluster.stores));
    cluster.stores.nodes.on_change(move |_| {
        if let Some(stores) = stores.upgrade() {
            stores.daemon_sets.keys().into_iter().for_each(|key| nodes.add(key));
        }
    });
    let cluster = cluster.clone();
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("daemonset", move |key| {
        let cluster = cluster.clone();
        async move { look(&cluster, &key).await }
    }));
}

async fn look(cluster: &Cluster, key: &Key) -> Result<(), Trouble> {
    let Some(set) = cluster.stores.daemon_sets.get(key) else { return Ok(()) };
    let Some(spec) = set.spec.as_ref().filter(|_| set.metadata.deletion_timestamp.is_none()) else {
        return Ok(());
    };
    let owned = || -> Vec<Arc<Pod>> {
        let pods = cluster.stores.pods.within(&key.namespace).into_iter();
        pods.filter(|pod| owner::is_controlled_by(&pod.metadata, set.as_ref())).collect()
    };
    let hash = hash::of(&spec.template);
    let template = pods::from_template(&spec.template, &key.namespace, owner::controlled_by(set.as_ref()));
    let takes =
        |node: &Arc<Node>| matches!(place(&template, std::slice::from_ref(node), |_| true), Placement::On(_));
    let nodes: Vec<Arc<Node>> = cluster.stores.nodes.all().into_iter().filter(takes).collect();
    let rolls =
        spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
    let on = |pod: &Arc<Pod>, node: &str| {
        pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(node))
    };
    for pod in owned() {
        let placed = nodes.iter().any(|node| on(&pod, &node.name_any()));
        let old = rolls && pod.labels().get(HASH_LABEL) != Some(&hash);
        if (!placed || old || !pods::is_alive(&pod)) && !pods::is_leaving(&pod) {
            cluster.delete(pod.as_ref()).await?;
            let message = format!("Deleted pod: {}", pod.name_any());
            cluster.events.note(set.as_ref(), COMPONENT, Tone::Normal, "SuccessfulDelete", message);
        }
    }
    let there = owned();
    for node in nodes.iter().filter(|node| !there.iter().any(|pod| on(pod, &node.name_any()))) {
        let mut pod = template.clone();
        pod.metadata.generate_name = Some(format!("{}-", set.name_any()));
        pod.metadata.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
        pod.spec.get_or_insert_default().node_name = Some(node.name_any());
        let made = cluster.create(&pod).await?;
        let message = format!("Created pod: {}", made.name_any());
        cluster.events.note(set.as_ref(), COMPONENT, Tone::Normal, "SuccessfulCreate", message);
    }
    let status = status(&set, &owned(), nodes.len(), &hash);
    if set.status.as_ref() != Some(&status) {
        let mut changed = set.as_ref().clone();
        changed.status = Some(status);
        cluster.replace_status(&changed).await?;
    }
    Ok(())
}

fn status(set: &DaemonSet, owned: &[Arc<Pod>], nodes: usize, hash: &str) -> DaemonSetStatus {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let active: Vec<_> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    let now = Timestamp::now();
    let seconds = set
        .spec
        .as_ref()
        .and_then(|spec| spec.min_ready_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok());
    let min_ready = std::time::Duration::from_secs(seconds.unwrap_or(0));
    let available = active.iter().filter(|pod| pods::availability(pod, min_ready, now).is_ok()).count();
    let updated =
        active.iter().filter(|pod| pod.labels().get(HASH_LABEL).is_some_and(|known| known == hash)).count();
    DaemonSetStatus {
        current_number_scheduled: count(active.len()),
        desired_number_scheduled: count(nodes),
        number_misscheduled: 0,
        number_ready: count(active.iter().filter(|pod| pods::is_ready(pod)).count()),
        number_available: Some(count(available)).filter(|number| *number > 0),
        number_unavailable: Some(count(nodes.saturating_sub(available))).filter(|number| *number > 0),
        updated_number_scheduled: Some(count(updated)).filter(|number| *number > 0),
        observed_generation: set.metadata.generation,
        collision_count: None,
        conditions: None,
    }
}
