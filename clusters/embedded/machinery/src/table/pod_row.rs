use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::age_since;
use super::view::{View, list, number, text};
use crate::Gvk;

/// The condition that marks rows of pods that have ended.
pub(super) fn conditions(gvk: &Gvk, object: &Value) -> Option<Value> {
    if gvk.kind != "Pod" || !gvk.group.is_empty() {
        return None;
    }
    let (reason, message) = match text(object, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

pub(super) fn cells(pod: &View<'_>) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.restarts.last {
        Some(_) if summary.restarts.count > 0 => {
            format!("{} ({} ago)", summary.restarts.count, age_since(summary.restarts.last, pod.now))
        }
        _ => summary.restarts.count.to_string(),
    };
    let address = pod.list("/status/podIPs").first().map_or("", |entry| text(entry, "/ip"));
    vec![
        json!(pod.name()),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts),
        pod.age(),
        json!(if address.is_empty() { "<none>" } else { address }),
        json!(pod.text_or("/spec/nodeName", "<none>")),
        json!(pod.text_or("/status/nominatedNodeName", "<none>")),
        json!(readiness_gates(pod)),
    ]
}

#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += number(status, "/restartCount");
        let ended = text(status, "/lastState/terminated/finishedAt").parse().ok();
        self.last = self.last.max(ended);
    }
}

struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: Restarts,
}

impl Summary {
    fn of(pod: &View<'_>) -> Self {
        let sidecars =
            pod.list("/spec/initContainers").iter().filter(|container| is_sidecar(container)).count();
        let gated = pod.list("/status/conditions").iter().any(|condition| {
            text(condition, "/type") == "PodScheduled" && text(condition, "/reason") == "SchedulingGated"
        });
        let reason =
            if gated { "SchedulingGated" } else { pod.text_or("/status/reason", pod.text("/status/phase")) };
        let mut summary = Self {
            reason: reason.to_owned(),
            ready: 0,
            total: pod.list("/spec/containers").len() + sidecars,
            restarts: Restarts::default(),
        };
        let (initializing, sidecar_restarts) = summary.initialisation(pod);
        if !initializing || has_condition(pod, "Initialized") {
            summary.restarts = sidecar_restarts;
            summary.main_containers(pod);
        }
        let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        if pod.deleted() && pod.text("/status/reason") == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if pod.deleted() && !ended {
            summary.reason = "Terminating".to_owned();
        }
        summary
    }

    /// Goes through the init containers; true when one of them still holds the pod up.
    fn initialisation(&mut self, pod: &View<'_>) -> (bool, Restarts) {
        let specs = pod.list("/spec/initContainers");
        let mut sidecars = Restarts::default();
        for (index, status) in pod.list("/status/initContainerStatuses").iter().enumerate() {
            self.restarts.add(status);
            let name = text(status, "/name");
            let sidecar = specs.iter().any(|spec| text(spec, "/name") == name && is_sidecar(spec));
            if sidecar {
                sidecars.add(status);
            }
            let terminated = status.pointer("/state/terminated").filter(|state| !state.is_null());
            let waiting = text(status, "/state/waiting/reason");
            if terminated.is_some_and(|state| number(state, "/exitCode") == 0) {
                continue;
            }
            if sidecar && status.get("started") == Some(&json!(true)) {
                self.ready += usize::from(status.get("ready") == Some(&json!(true)));
                continue;
            }
            self.reason = match terminated {
                Some(state) => format!("Init:{}", end_reason(state)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{index}/{}", specs.len()),
            };
            return (true, sidecars);
        }
        (false, sidecars)
    }

    fn main_containers(&mut self, pod: &View<'_>) {
        let mut running = false;
        for status in pod.list("/status/containerStatuses").iter().rev() {
            self.restarts.add(status);
            let waiting = text(status, "/state/waiting/reason");
            let terminated = status.pointer("/state/terminated").filter(|state| !state.is_null());
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(state) = terminated {
                self.reason = end_reason(state);
            } else if status.get("ready") == Some(&json!(true)) && status.pointer("/state/running").is_some()
            {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = has_condition(pod, "Ready");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

fn end_reason(state: &Value) -> String {
    match (text(state, "/reason"), number(state, "/signal")) {
        ("", 0) => format!("ExitCode:{}", number(state, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

fn has_condition(pod: &View<'_>, kind: &str) -> bool {
    let conditions = pod.list("/status/conditions");
    conditions
        .iter()
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

fn readiness_gates(pod: &View<'_>) -> String {
    let gates = list(pod.object, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|gate| has_condition(pod, text(gate, "/conditionType"))).count();
    format!("{open}/{}", gates.len())
}
