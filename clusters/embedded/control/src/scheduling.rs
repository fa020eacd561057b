//! The scheduler, cut down: a pod goes to the first node that takes it.
//!
//! Looked at are readiness and cordons of nodes, taints, `nodeSelector` and whether the pod's claims exist. Texts are
//! those of kube-scheduler 1.33. Resources and affinities are not weighed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod, PodCondition, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use crate::cluster::Cluster;
use crate::events::Tone;
use crate::pods;
use crate::queue::{Queue, Trouble, unless_gone};
use crate::store::Key;

/// Where a pod may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// To this node.
    On(String),
    /// Nowhere, for this reason.
    Nowhere(String),
}

/// The choice of a node for a pod.
pub(crate) fn place(pod: &Pod, nodes: &[Arc<Node>], has_claim: impl Fn(&str) -> bool) -> Placement {
    if nodes.is_empty() {
        return Placement::Nowhere("no nodes available to schedule pods".to_owned());
    }
    let total = nodes.len();
    let missing = claims_of(pod).into_iter().find(|claim| !has_claim(claim));
    if let Some(claim) = missing {
        return nowhere(total, &format!("persistentvolumeclaim \"{claim}\" not found"));
    }
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for node in nodes {
        match objection(pod, node) {
            None => return Placement::On(node.name_any()),
            Some(reason) => *reasons.entry(reason).or_default() += 1,
        }
    }
    let told: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    nowhere(total, &told.join(", "))
}

fn nowhere(total: usize, reason: &str) -> Placement {
    Placement::Nowhere(format!(
        "0/{total} nodes are available: {reason}. preemption: 0/{total} nodes are available: {total} Preemption is not \
         helpful for scheduling."
    ))
}

fn claims_of(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone())).collect()
}

fn objection(pod: &Pod, node: &Node) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let labels = node.metadata.labels.as_ref();
    let wanted = spec.node_selector.iter().flatten();
    if !wanted.clone().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value)) {
        return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let node_spec = node.spec.as_ref();
    if node_spec.is_some_and(|spec| spec.unschedulable == Some(true)) {
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        if !tolerated(&cordon, tolerations) {
            return Some("node(s) were unschedulable".to_owned());
        }
    }
    let taints = node_spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let hard = taints.iter().filter(|taint| taint.effect != "PreferNoSchedule");
    if let Some(taint) = hard.into_iter().find(|taint| !tolerated(taint, tolerations)) {
        let value = taint.value.as_deref().unwrap_or_default();
        return Some(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key));
    }
    let ready = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    if !ready.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return Some("node(s) had untolerated taint {node.kubernetes.io/not-ready: }".to_owned());
    }
    None
}

fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| {
        let effect =
            toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == taint.effect);
        let key = toleration.key.as_deref().unwrap_or_default();
        let exists = toleration.operator.as_deref() == Some("Exists");
        let any = key.is_empty() && exists;
        let value = exists
            || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
        effect && (any || (key == taint.key && value))
    })
}

/// Starts the scheduler.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let pods = queue.clone();
    cluster.stores.pods.on_change(move |change| {
        if let Some(pod) = change.after.filter(|pod| waits(pod)) {
            pods.add(Key::of(pod.as_ref()));
        }
    });
    // A node or a claim may be what a waiting pod waits for.
    let wake_all = {
        let (queue, stores) = (queue.clone(), Arc::downgrade(&cluster.stores));
        move || {
            let Some(stores) = stores.upgrade() else { return };
            stores
                .pods
                .all()
                .iter()
                .filter(|pod| waits(pod))
                .for_each(|pod| queue.add(Key::of(pod.as_ref())));
        }
    };
    let wake = wake_all.clone();
    cluster.stores.nodes.on_change(move |_| wake());
    cluster.stores.claims.on_change(move |change| {
        if change.before.is_none() {
            wake_all();
        }
    });
    let cluster = cluster.clone();
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("scheduler", move |key| {
        let cluster = cluster.clone();
        async move { look(&cluster, &key).await }
    }));
}

fn waits(pod: &Pod) -> bool {
    pods::is_active(pod)
        && pod.spec.as_ref().is_some_and(|spec| {
            spec.node_name.is_none()
                && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
                && spec.scheduler_name.as_deref().is_none_or(|name| name == "default-scheduler")
        })
}

async fn look(cluster: &Cluster, key: &Key) -> Result<(), Trouble> {
    let Some(pod) = cluster.stores.pods.get(key).filter(|pod| waits(pod)) else { return Ok(()) };
    let nodes = cluster.stores.nodes.all();
    let has_claim = |claim: &str| cluster.stores.claims.get(&Key::new(&key.namespace, claim)).is_some();
    match place(&pod, &nodes, has_claim) {
        Placement::On(node) => bind(cluster, &pod, &node).await,
        Placement::Nowhere(reason) => refuse(cluster, &pod, reason).await,
    }
}

async fn bind(cluster: &Cluster, pod: &Pod, node: &str) -> Result<(), Trouble> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.clone()),
            uid: pod.uid(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
    let bound = api
        .create_subresource::<_, serde_json::Value>("binding", &name, &PostParams::default(), &binding)
        .await;
    if unless_gone(bound)?.is_some() {
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        cluster.events.scheduled(pod, Tone::Normal, "Scheduled", message);
    }
    Ok(())
}

async fn refuse(cluster: &Cluster, pod: &Pod, reason: String) -> Result<(), Trouble> {
    let known = pods::condition(pod, "PodScheduled");
    if known.is_some_and(|known| known.status == "False" && known.message.as_deref() == Some(&reason)) {
        return Ok(());
    }
    let condition = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(reason.clone()),
        last_transition_time: Some(Time(Timestamp::now())),
        ..PodCondition::default()
    };
    let mut changed = pod.clone();
    let status = changed.status.get_or_insert_default();
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != "PodScheduled");
    conditions.push(condition);
    cluster.replace_status(&changed).await?;
    cluster.events.scheduled(pod, Tone::Warning, "FailedScheduling", reason);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn node(spec: Value, ready: &str) -> Arc<Node> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": "node-0", "labels": { "kubernetes.io/os": "linux" } },
                "spec": spec,
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            }))
            .unwrap(),
        )
    }

    fn pod(spec: Value) -> Pod {
        let mut spec = spec;
        spec["containers"] = json!([]);
        serde_json::from_value(json!({ "metadata": { "name": "a" }, "spec": spec })).unwrap()
    }

    #[rstest]
    #[case::plain(json!({}), json!({}), "True", "node-0")]
    #[case::selector(json!({ "nodeSelector": { "kubernetes.io/os": "linux" } }), json!({}), "True", "node-0")]
    #[case::wrong_selector(json!({ "nodeSelector": { "gpu": "yes" } }), json!({}), "True",
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are \
         available: 1 Preemption is not helpful for scheduling.")]
    #[case::taint(json!({}), json!({ "taints": [{ "key": "a", "value": "b", "effect": "NoSchedule" }] }), "True",
        "0/1 nodes are available: 1 node(s) had untolerated taint {a: b}. preemption: 0/1 nodes are available: 1 \
         Preemption is not helpful for scheduling.")]
    #[case::tolerated(json!({ "tolerations": [{ "key": "a", "operator": "Exists" }] }),
        json!({ "taints": [{ "key": "a", "value": "b", "effect": "NoSchedule" }] }), "True", "node-0")]
    #[case::not_ready(json!({}), json!({}), "False",
        "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }. preemption: 0/1 \
         nodes are available: 1 Preemption is not helpful for scheduling.")]
    #[case::claim(json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "lost" } }] }), json!({}), "True",
        "0/1 nodes are available: persistentvolumeclaim \"lost\" not found. preemption: 0/1 nodes are available: 1 \
         Preemption is not helpful for scheduling.")]
    fn places(#[case] spec: Value, #[case] node_spec: Value, #[case] ready: &str, #[case] expected: &str) {
        let found = match place(&pod(spec), &[node(node_spec, ready)], |_| false) {
            Placement::On(text) | Placement::Nowhere(text) => text,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn without_nodes_there_is_nowhere_to_go() {
        let expected = Placement::Nowhere("no nodes available to schedule pods".to_owned());
        assert_eq!(place(&pod(json!({})), &[], |_| true), expected);
    }
}
