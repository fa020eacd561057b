//! The two faces of Event: `v1` and `events.k8s.io/v1` show the same objects under different names of fields.

use serde_json::{Map, Value};

/// The younger of the two groups.
pub(crate) const GROUP: &str = "events.k8s.io";

/// Core name, `events.k8s.io` name.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// An `events.k8s.io/v1` Event from a core one.
pub(crate) fn from_core(event: &Value) -> Value {
    rename(event, "events.k8s.io/v1", |key| {
        RENAMED.iter().find(|(core, _)| *core == key).map(|(_, other)| *other)
    })
}

/// A core Event from an `events.k8s.io/v1` one.
pub(crate) fn to_core(event: &Value) -> Value {
    rename(event, "v1", |key| RENAMED.iter().find(|(_, other)| *other == key).map(|(core, _)| *core))
}

fn rename(event: &Value, api_version: &str, name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let mut renamed = Map::new();
    for (key, value) in event.as_object().into_iter().flatten() {
        renamed.insert(name(key).unwrap_or(key).to_owned(), value.clone());
    }
    renamed.insert("apiVersion".to_owned(), api_version.into());
    Value::Object(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_survives_the_way_there_and_back() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"name": "p"},
            "message": "Pulled", "reason": "R", "source": {"component": "kubelet"}, "count": 2, "type": "Normal"});
        let other = from_core(&core);
        assert_eq!(other["regarding"]["name"], "p");
        assert_eq!(other["note"], "Pulled");
        assert_eq!(other["apiVersion"], "events.k8s.io/v1");
        assert_eq!(to_core(&other), core);
    }
}
