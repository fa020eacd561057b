//! What controllers ask about pods, and pods made from templates.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Whether the pod has not ended.
pub(crate) fn is_alive(pod: &Pod) -> bool {
    !matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod is asked to go.
pub(crate) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod counts for its owner.
pub(crate) fn is_active(pod: &Pod) -> bool {
    is_alive(pod) && !is_leaving(pod)
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Whether the pod has been ready long enough; otherwise how much longer that takes, when only time is missing.
pub(crate) fn availability(pod: &Pod, min_ready: Duration, now: Timestamp) -> Result<(), Option<Duration>> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "True").ok_or(None)?;
    if min_ready.is_zero() {
        return Ok(());
    }
    let since = ready.last_transition_time.as_ref().ok_or(None)?.0;
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    if passed >= min_ready { Ok(()) } else { Err(Some(min_ready - passed)) }
}

/// A pod of a template, in `namespace`, owned by `owner`; its name is the caller's to give.
pub(crate) fn from_template(template: &PodTemplateSpec, namespace: &str, owner: OwnerReference) -> Pod {
    let given = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            labels: given.labels,
            annotations: given.annotations,
            finalizers: given.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// The order in which pods are given up: those not placed first, then by phase, readiness and age (youngest first).
pub(crate) fn give_up_order(pod: &Pod) -> (bool, u8, bool, std::cmp::Reverse<Option<Timestamp>>, String) {
    let phase = match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (placed, phase, is_ready(pod), std::cmp::Reverse(created), pod.metadata.name.clone().unwrap_or_default())
}
