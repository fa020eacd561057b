//! A pod's status from what is known of its containers, as kubelet 1.33 derives it. Pure.

use std::net::Ipv4Addr;

use image::full_reference;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde_json::{Value, json};

use super::conditions;
use super::record::{Record, State, Termination};
use crate::images;

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It runs, or is on its way.
    Alive,
    /// Every container has ended for good: deletion, or a restart policy that is satisfied.
    Over,
}

/// What a status is made from.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) init: &'a [Record],
    pub(crate) main: &'a [Record],
    pub(crate) stage: Stage,
    pub(crate) node_address: Ipv4Addr,
    pub(crate) pod_address: Option<Ipv4Addr>,
    pub(crate) sandbox: Sandbox,
    pub(crate) start_time: Timestamp,
    pub(crate) now: Timestamp,
}

/// Whether the pod's network stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandbox {
    Absent,
    Ready,
}

/// The `status` object. Conditions that are not the kubelet's (scheduler's, readiness gates') are kept.
pub(crate) fn derive(facts: &Facts<'_>) -> Value {
    let empty = PodSpec::default();
    let spec = facts.pod.spec.as_ref().unwrap_or(&empty);
    let phase = phase(facts, spec);
    let new = if spec.init_containers.as_ref().is_none_or(Vec::is_empty) {
        "ContainerCreating"
    } else {
        "PodInitializing"
    };
    let mut status = json!({
        "phase": phase,
        "conditions": conditions::derive(facts, spec, phase),
        "hostIP": facts.node_address.to_string(),
        "hostIPs": [{"ip": facts.node_address.to_string()}],
        "qosClass": qos_class(spec),
        "startTime": facts.start_time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "containerStatuses": statuses(facts.main, &spec.containers, new),
    });
    if let Some(address) = facts.pod_address {
        status["podIP"] = json!(address.to_string());
        status["podIPs"] = json!([{"ip": address.to_string()}]);
    }
    if let Some(init) = spec.init_containers.as_ref().filter(|it| !it.is_empty()) {
        status["initContainerStatuses"] = init_statuses(facts.init, init);
    }
    status
}

pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether an init container no longer holds up the next one.
pub(super) fn init_done(record: &Record, container: &Container) -> bool {
    if is_sidecar(container) {
        record.is_running() && record.started
    } else {
        matches!(&record.state, State::Terminated(it) if it.exit_code == 0)
    }
}

pub(super) fn init_complete(facts: &Facts<'_>, spec: &PodSpec) -> bool {
    let containers = spec.init_containers.as_deref().unwrap_or_default();
    facts.init.iter().zip(containers).all(|(record, container)| init_done(record, container))
        || facts.main.iter().any(|it| it.state != State::New)
}

fn phase(facts: &Facts<'_>, spec: &PodSpec) -> &'static str {
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let mut pending_init = false;
    for (record, container) in facts.init.iter().zip(init) {
        if init_done(record, container) {
            continue;
        }
        if policy == "Never" && !is_sidecar(container) && record.ended().is_some() {
            return "Failed";
        }
        pending_init = true;
    }
    let (mut running, mut waiting, mut stopped, mut succeeded) = (0, 0, 0, 0);
    for record in facts.main {
        match (&record.state, record.ended()) {
            (State::Running { .. }, _) => running += 1,
            (State::Terminated(it), _) => {
                stopped += 1;
                succeeded += i32::from(it.exit_code == 0);
            }
            (_, Some(_)) => stopped += 1,
            (_, None) => waiting += 1,
        }
    }
    let over = facts.stage == Stage::Over;
    match () {
        () if over && waiting == 0 && running == 0 && stopped > 0 && stopped == succeeded => "Succeeded",
        () if over && running == 0 => "Failed",
        () if pending_init && running == 0 && stopped == 0 => "Pending",
        () if waiting > 0 => "Pending",
        () if running > 0 => "Running",
        () if policy == "Always" => "Running",
        () if stopped == succeeded => "Succeeded",
        () if policy == "Never" => "Failed",
        () => "Running",
    }
}

fn statuses(records: &[Record], containers: &[Container], new: &str) -> Value {
    records
        .iter()
        .zip(containers)
        .map(|(record, container)| container_status(record, container, new))
        .collect()
}

fn init_statuses(records: &[Record], containers: &[Container]) -> Value {
    let mut list = Vec::new();
    for (record, container) in records.iter().zip(containers) {
        let mut status = container_status(record, container, "PodInitializing");
        if !is_sidecar(container) {
            // An init container is ready when it has succeeded.
            status["ready"] = json!(init_done(record, container));
            status["started"] = json!(record.is_running());
        }
        list.push(status);
    }
    Value::Array(list)
}

fn container_status(record: &Record, container: &Container, new: &str) -> Value {
    let known = match &record.state {
        State::Running { container_id, .. } => Some(container_id),
        _ => record.ended().map(|it| &it.container_id),
    };
    let mut status = json!({
        "name": record.name,
        "state": state(&record.state, new),
        "lastState": record.last.as_ref().map_or(json!({}), |it| json!({"terminated": termination(it)})),
        "ready": record.is_ready(),
        "restartCount": record.restart_count,
        "image": known.map_or_else(|| record.image.clone(), |_| full_reference(&record.image)),
        "imageID": known.map_or_else(String::new, |_| images::image_id(&record.image)),
        "started": record.is_running() && record.started,
    });
    if let Some(id) = known {
        status["containerID"] = json!(format!("containerd://{id}"));
    }
    if let Some(resources) =
        container.resources.as_ref().filter(|it| it.limits.is_some() || it.requests.is_some())
    {
        status["resources"] = json!(resources);
        if let Some(requests) = &resources.requests {
            status["allocatedResources"] = json!(requests);
        }
    }
    let mounts: Vec<_> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| match mount.read_only {
            Some(true) => json!({"name": mount.name, "mountPath": mount.mount_path, "readOnly": true, "recursiveReadOnly": "Disabled"}),
            _ => json!({"name": mount.name, "mountPath": mount.mount_path}),
        })
        .collect();
    if !mounts.is_empty() {
        status["volumeMounts"] = json!(mounts);
    }
    status
}

fn state(state: &State, new: &str) -> Value {
    match state {
        State::New => json!({"waiting": {"reason": new}}),
        State::Waiting { reason, message: None } => json!({"waiting": {"reason": reason}}),
        State::Waiting { reason, message: Some(message) } => {
            json!({"waiting": {"reason": reason, "message": message}})
        }
        State::Running { started_at, .. } => json!({"running": {"startedAt": seconds(*started_at)}}),
        State::Terminated(it) => json!({"terminated": termination(it)}),
    }
}

fn termination(it: &Termination) -> Value {
    let mut value = json!({
        "exitCode": it.exit_code,
        "reason": it.reason,
        "startedAt": seconds(it.started_at),
        "finishedAt": seconds(it.finished_at),
        "containerID": format!("containerd://{}", it.container_id),
    });
    if let Some(message) = it.message.as_ref().filter(|it| !it.is_empty()) {
        value["message"] = json!(message);
    }
    value
}

pub(super) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from requests and limits of CPU and memory.
pub(crate) fn qos_class(spec: &PodSpec) -> &'static str {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        let resources = container.resources.as_ref();
        let limits = resources.and_then(|it| it.limits.as_ref());
        let requests = resources.and_then(|it| it.requests.as_ref());
        for name in ["cpu", "memory"] {
            let limit = limits.and_then(|it| it.get(name));
            let request = requests.and_then(|it| it.get(name));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
