//! A pod's conditions, as kubelet 1.33 sets them.

use k8s_openapi::api::core::v1::{PodCondition, PodSpec};
use serde_json::{Value, json};

use super::record::Record;
use super::status::{Facts, Sandbox, init_complete, init_done, is_sidecar, seconds};

const OURS: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

/// True, or false for a reason.
enum Verdict {
    True,
    /// True, and yet with a reason (`Initialized` of a finished pod).
    TrueBecause(&'static str),
    False {
        reason: &'static str,
        message: Option<String>,
    },
}

/// The kubelet's conditions in its order, then those of others as they are.
pub(super) fn derive(facts: &Facts<'_>, spec: &PodSpec, phase: &str) -> Vec<Value> {
    let old = facts.pod.status.as_ref().and_then(|it| it.conditions.as_deref()).unwrap_or_default();
    let containers = containers_ready(facts, spec, phase);
    let verdicts = [
        match facts.sandbox {
            Sandbox::Ready => Verdict::True,
            Sandbox::Absent => Verdict::False { reason: "", message: None },
        },
        initialized(facts, spec, phase),
        ready(&containers, spec, old),
        containers,
    ];
    let mut list: Vec<_> =
        OURS.iter().zip(verdicts).map(|(kind, verdict)| condition(kind, verdict, old, facts.now)).collect();
    list.extend(old.iter().filter(|it| !OURS.contains(&it.type_.as_str())).map(|it| json!(it)));
    list
}

fn condition(kind: &str, verdict: Verdict, old: &[PodCondition], now: jiff::Timestamp) -> Value {
    let status = if matches!(verdict, Verdict::False { .. }) { "False" } else { "True" };
    let unchanged = old.iter().find(|it| it.type_ == kind && it.status == status);
    let since = unchanged
        .and_then(|it| it.last_transition_time.as_ref())
        .map_or_else(|| json!(seconds(now)), |it| json!(it));
    let mut value =
        json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since});
    let (reason, message) = match verdict {
        Verdict::True => ("", None),
        Verdict::TrueBecause(reason) => (reason, None),
        Verdict::False { reason, message } => (reason, message),
    };
    if !reason.is_empty() {
        value["reason"] = json!(reason);
    }
    if let Some(message) = message {
        value["message"] = json!(message);
    }
    value
}

fn initialized(facts: &Facts<'_>, spec: &PodSpec, phase: &str) -> Verdict {
    if phase == "Succeeded" {
        return Verdict::TrueBecause("PodCompleted");
    }
    if init_complete(facts, spec) {
        return Verdict::True;
    }
    let containers = spec.init_containers.as_deref().unwrap_or_default();
    let missing: Vec<_> = facts
        .init
        .iter()
        .zip(containers)
        .filter(|(record, container)| !init_done(record, container))
        .map(|(record, _)| record.name.as_str())
        .collect();
    Verdict::False {
        reason: "ContainersNotInitialized",
        message: Some(format!("containers with incomplete status: [{}]", missing.join(" "))),
    }
}

fn containers_ready(facts: &Facts<'_>, spec: &PodSpec, phase: &str) -> Verdict {
    match phase {
        "Succeeded" => return Verdict::False { reason: "PodCompleted", message: None },
        "Failed" => return Verdict::False { reason: "PodFailed", message: None },
        _ => {}
    }
    let sidecars = facts
        .init
        .iter()
        .zip(spec.init_containers.as_deref().unwrap_or_default())
        .filter(|(_, container)| is_sidecar(container))
        .map(|(record, _)| record);
    let unready: Vec<_> =
        sidecars.chain(facts.main).filter(|it| !Record::is_ready(it)).map(|it| it.name.as_str()).collect();
    if unready.is_empty() {
        Verdict::True
    } else {
        Verdict::False {
            reason: "ContainersNotReady",
            message: Some(format!("containers with unready status: [{}]", unready.join(" "))),
        }
    }
}

/// Ready: the containers are, and every readiness gate is true.
fn ready(containers: &Verdict, spec: &PodSpec, old: &[PodCondition]) -> Verdict {
    if let Verdict::False { reason, message } = containers {
        return Verdict::False { reason, message: message.clone() };
    }
    let gates = spec.readiness_gates.iter().flatten().map(|it| it.condition_type.as_str());
    let unmet: Vec<_> = gates
        .filter_map(|gate| match old.iter().find(|it| it.type_ == gate) {
            None => Some(format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.")),
            Some(it) if it.status != "True" => Some(format!(
                "the status of pod readiness gate \"{gate}\" is not \"True\", but {}",
                it.status
            )),
            Some(_) => None,
        })
        .collect();
    if unmet.is_empty() {
        Verdict::True
    } else {
        Verdict::False { reason: "ReadinessGatesNotReady", message: Some(unmet.join(", ")) }
    }
}
