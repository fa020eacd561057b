//! Looking: what can be observed of a world, and what is then seen. Nothing here judges.

use std::fmt;

use serde_json::Value;
use toolbox::{Observation, Probe};

use crate::object::{Kind, ObjectRef};

/// Pods by namespace and labels, and one of their containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodQuery {
    /// Namespace.
    pub namespace: String,
    /// Label selector.
    pub labels: String,
    /// Container in which commands run and whose log is read.
    pub container: String,
    /// What people call it.
    pub name: String,
}

/// Something to look at.
#[derive(Debug, Clone)]
pub enum Look {
    /// An object.
    Object(ObjectRef),
    /// Objects of a kind in a namespace, by labels.
    Objects {
        /// Kind.
        kind: Kind,
        /// Namespace; empty for all.
        namespace: String,
        /// Label selector; empty for all.
        labels: String,
    },
    /// Objects of a kind as the API server prints them, all columns.
    Table {
        /// Kind.
        kind: Kind,
        /// Namespace; empty for all.
        namespace: String,
    },
    /// The log of a container, and of its previous run if it was restarted.
    Log(PodQuery),
    /// A probe executed in a pod.
    Probe {
        /// Where it runs.
        from: PodQuery,
        /// What it does.
        probe: Probe,
    },
}

/// What was seen.
#[derive(Debug, Clone)]
pub enum Seen {
    /// No such object.
    Absent,
    /// An object.
    Object(Value),
    /// Objects.
    Objects(Vec<Value>),
    /// Headings and rows, each with the namespace first, as `kubectl get --all-namespaces --output wide` prints them.
    Table(Vec<Vec<String>>),
    /// A log.
    Log(String),
    /// A probe's observation.
    Observed(Box<Observation>),
    /// It could not be looked at (yet): no pod is running there, the API did not answer.
    Hidden(String),
}

impl fmt::Display for Look {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Look::Object(object) => write!(formatter, "{object}"),
            Look::Objects { kind, namespace, labels } => {
                write!(formatter, "{kind:?}s in {namespace} with {labels}")
            }
            Look::Table { kind, namespace } => write!(formatter, "table of {kind:?}s in {namespace}"),
            Look::Log(pod) => write!(formatter, "log of {}", pod.name),
            Look::Probe { from, probe } => write!(formatter, "{probe} from {}", from.name),
        }
    }
}

impl fmt::Display for Seen {
    /// Short: conditions of an object, names of objects, the end of a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Absent => formatter.write_str("absent"),
            Seen::Object(object) => write_object(formatter, object),
            Seen::Objects(objects) => {
                let names = objects.iter().filter_map(|object| object["metadata"]["name"].as_str());
                write!(formatter, "{} ({})", objects.len(), names.collect::<Vec<_>>().join(", "))
            }
            Seen::Table(rows) => write!(formatter, "a table of {} rows", rows.len().saturating_sub(1)),
            Seen::Log(text) => write!(
                formatter,
                "{} lines, last: {}",
                text.lines().count(),
                text.lines().last().unwrap_or_default()
            ),
            Seen::Observed(observation) => write!(formatter, "{observation}"),
            Seen::Hidden(why) => write!(formatter, "cannot be looked at: {why}"),
        }
    }
}

fn write_object(formatter: &mut fmt::Formatter<'_>, object: &Value) -> fmt::Result {
    let conditions = object["status"]["conditions"].as_array();
    let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) else {
        return formatter.write_str("there, without conditions");
    };
    for (index, condition) in conditions.iter().enumerate() {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        let separator = if index == 0 { "" } else { ", " };
        write!(formatter, "{separator}{}={}", text("type"), text("status"))?;
        for field in ["message", "reason"] {
            if !text(field).is_empty() {
                write!(formatter, " {}", text(field))?;
            }
        }
    }
    Ok(())
}
