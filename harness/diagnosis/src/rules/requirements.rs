//! Models whose requirements no server meets.

use reports::{Certainty, NamedCause};
use serde_json::Value;

use crate::cause::{Cause, Diagnosis};
use crate::snapshot::Snapshot;

/// The reason the scheduler gives (Seldon 2.9.1), which alone does not say why no server matches.
const NO_SERVER: &str = "no matching servers are available";

/// A Model that is ScheduleFailed while a connected server of its namespace lacks one of its requirements.
pub(super) fn unmet(snapshot: &Snapshot) -> Option<Diagnosis> {
    snapshot.models.iter().find_map(|model| {
        let ready = Snapshot::condition(model, "ModelReady")?;
        if ready.message != "ScheduleFailed" || !ready.reason.contains(NO_SERVER) {
            return None;
        }
        let namespace = model["metadata"]["namespace"].as_str()?;
        let name = model["metadata"]["name"].as_str()?;
        let offered = capabilities(snapshot, namespace);
        if offered.is_empty() {
            return None;
        }
        let missing: Vec<String> =
            requirements(model).into_iter().filter(|wanted| !offered.contains(wanted)).collect();
        (!missing.is_empty()).then(|| named(namespace, name, ready.reason, missing, &offered, snapshot))
    })
}

fn requirements(model: &Value) -> Vec<String> {
    let words = model["spec"]["requirements"].as_array().into_iter().flatten();
    words.filter_map(Value::as_str).map(|word| word.trim().to_owned()).collect()
}

/// What the agents of `namespace` were told to offer: `SELDON_SERVER_CAPABILITIES` of their pods.
fn capabilities(snapshot: &Snapshot, namespace: &str) -> Vec<String> {
    let agents = snapshot.pods_labelled(namespace, "app.kubernetes.io/name", "seldon-server");
    let variables = agents
        .flat_map(|pod| pod.spec.iter())
        .flat_map(|spec| spec.containers.iter())
        .filter(|container| container.name == "agent")
        .flat_map(|container| container.env.iter().flatten())
        .filter(|variable| variable.name == "SELDON_SERVER_CAPABILITIES")
        .filter_map(|variable| variable.value.as_deref());
    variables.flat_map(|list| list.split(',')).map(|word| word.trim().to_owned()).collect()
}

fn named(
    namespace: &str,
    name: &str,
    reason: &str,
    missing: Vec<String>,
    offered: &[String],
    snapshot: &Snapshot,
) -> Diagnosis {
    let words = missing.join(", ");
    let mut evidence = vec![
        format!("Model condition ModelReady=False: ScheduleFailed, \"{reason}\""),
        format!("the agent's capabilities are {}", offered.join(",")),
    ];
    let line = format!("Empty server for {name}:");
    let unscheduled = snapshot.logs.iter().flat_map(|log| log.text.lines()).find(|text| text.contains(&line));
    evidence.extend(unscheduled.map(|text| format!("the scheduler's log: {text}")));
    Diagnosis {
        cause: Cause::RequirementsUnmet { model: format!("{namespace}/{name}"), missing },
        named: NamedCause {
            kind: "requirements-unmet".into(),
            sentence: format!(
                "Model {namespace}/{name} requires {words}, which no server in {namespace} offers"
            ),
            certainty: Certainty::Certain,
            evidence,
            ruled_out: vec![
                "zero capacity (\"Empty server\" only means not assigned)".into(),
                "NetworkPolicy inside the pod (agent and MLServer share a network namespace)".into(),
            ],
            owner: format!("whoever wrote Model {namespace}/{name}"),
            fix: format!("remove {words} from spec.requirements, or add it to a Server's extraCapabilities"),
        },
    }
}
