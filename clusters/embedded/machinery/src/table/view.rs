use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::age_since;
use crate::selector::Labels;

/// An object as its row is made.
pub(super) struct View<'a> {
    pub(super) object: &'a Value,
    pub(super) now: Timestamp,
}

impl<'a> View<'a> {
    pub(super) fn name(&self) -> &'a str {
        self.text("/metadata/name")
    }

    /// The text at a pointer; empty when absent.
    pub(super) fn text(&self, pointer: &str) -> &'a str {
        text(self.object, pointer)
    }

    /// The text at a pointer, or another one when it is absent or empty.
    pub(super) fn text_or(&self, pointer: &str, fallback: &'a str) -> &'a str {
        Some(self.text(pointer)).filter(|text| !text.is_empty()).unwrap_or(fallback)
    }

    pub(super) fn number(&self, pointer: &str) -> i64 {
        number(self.object, pointer)
    }

    pub(super) fn list(&self, pointer: &str) -> &'a [Value] {
        list(self.object, pointer)
    }

    /// How many entries the map at a pointer has.
    pub(super) fn size(&self, pointer: &str) -> usize {
        self.object.pointer(pointer).and_then(Value::as_object).map_or(0, serde_json::Map::len)
    }

    pub(super) fn since(&self, pointer: &str) -> String {
        age_since(self.text(pointer).parse().ok(), self.now)
    }

    pub(super) fn age(&self) -> Value {
        json!(self.since("/metadata/creationTimestamp"))
    }

    pub(super) fn deleted(&self) -> bool {
        !self.text("/metadata/deletionTimestamp").is_empty()
    }

    /// Names and images of the containers listed at a pointer.
    pub(super) fn containers(&self, pointer: &str) -> [Value; 2] {
        ["/name", "/image"].map(|field| {
            let texts: Vec<&str> =
                self.list(pointer).iter().map(|container| text(container, field)).collect();
            json!(texts.join(","))
        })
    }

    /// The label selector at a pointer as text; `empty` when it selects everything.
    pub(super) fn selector(&self, pointer: &str, empty: &str) -> Value {
        let selector = self.object.pointer(pointer).cloned().unwrap_or_else(|| json!({}));
        let shown = match Labels::from_label_selector(&selector) {
            Ok(selector) if selector.is_everything() => empty.to_owned(),
            Ok(selector) => selector.to_string(),
            Err(_) => "<error>".to_owned(),
        };
        json!(shown)
    }

    /// The map of labels at a pointer as text.
    pub(super) fn labels(&self, pointer: &str) -> Value {
        let map = self.object.pointer(pointer).and_then(Value::as_object);
        let sorted: BTreeMap<&String, &Value> = map.into_iter().flatten().collect();
        let texts: Vec<String> = sorted
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        if texts.is_empty() { json!("<none>") } else { json!(texts.join(",")) }
    }
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A quantity or int-or-string as it was written.
pub(super) fn shown(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
