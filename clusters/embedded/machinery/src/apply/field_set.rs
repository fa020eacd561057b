use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::topology::{Cursor, Join};

/// A set of fields as a tree. Keys are the steps of `FieldsV1`: `f:name`, `k:{"name":"x"}`, `v:"x"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    /// Whether the place itself is in the set, not only places within it.
    pub(super) member: bool,
    pub(super) children: BTreeMap<String, FieldSet>,
}

/// The step to a field.
pub(super) fn field_step(name: &str) -> String {
    format!("f:{name}")
}

/// The step to a value of a set.
pub(super) fn value_step(value: &Value) -> String {
    format!("v:{value}")
}

/// The step to an item of a keyed list.
pub(super) fn key_step(cursor: Cursor<'_>, keys: &[&str], item: &Value) -> String {
    format!("k:{}", Value::Object(cursor.identity(keys, item)))
}

impl FieldSet {
    /// Every field of an applied document, as its manager owns it.
    pub(super) fn of(value: &Value, cursor: Cursor<'_>) -> Self {
        let mut set = Self::default();
        set.collect(value, cursor);
        set
    }

    fn collect(&mut self, value: &Value, cursor: Cursor<'_>) {
        match (cursor.join(value), value) {
            (Join::Fields, Value::Object(map)) => {
                for (name, value) in map {
                    let child = self.children.entry(field_step(name)).or_default();
                    child.collect(value, cursor.field(name));
                    let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                    child.member |= empty || cursor.is_map_entry(name);
                }
            }
            (Join::Set, Value::Array(list)) => {
                for value in list {
                    self.children.entry(value_step(value)).or_default().member = true;
                }
            }
            (Join::Keyed(keys), Value::Array(list)) => {
                for value in list {
                    let child = self.children.entry(key_step(cursor, &keys, value)).or_default();
                    child.collect(value, cursor.item());
                    child.member = true;
                }
            }
            _ => self.member = true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    /// The place at the end of a path, made when absent.
    pub(super) fn at(&mut self, path: &[String]) -> &mut Self {
        path.iter().fold(self, |set, step| set.children.entry(step.clone()).or_default())
    }

    pub(super) fn unite(&mut self, other: &Self) {
        self.member |= other.member;
        for (step, child) in &other.children {
            self.children.entry(step.clone()).or_default().unite(child);
        }
    }

    /// Takes out the members of `other`, place by place.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (step, child) in &other.children {
            if let Some(own) = self.children.get_mut(step) {
                own.subtract(child);
                if own.is_empty() {
                    self.children.remove(step);
                }
            }
        }
    }

    /// The paths of members that are in both sets, in order: `.spec.replicas`.
    pub(super) fn shared_paths(&self, other: &Self) -> Vec<String> {
        let mut paths = Vec::new();
        self.shared(other, "", &mut paths);
        paths
    }

    fn shared(&self, other: &Self, path: &str, paths: &mut Vec<String>) {
        if self.member && other.member {
            paths.push(path.to_owned());
        }
        for (step, child) in &self.children {
            if let Some(theirs) = other.children.get(step) {
                child.shared(theirs, &format!("{path}{}", shown_step(step)), paths);
            }
        }
    }

    /// Reads `fieldsV1`.
    pub(super) fn parse(fields: &Value) -> Self {
        let mut set = Self::default();
        for (step, inner) in fields.as_object().into_iter().flatten() {
            if step == "." {
                set.member = true;
                continue;
            }
            let mut child = Self::parse(inner);
            child.member |= inner.as_object().is_some_and(Map::is_empty);
            set.children.insert(normal_step(step), child);
        }
        set
    }

    /// Writes `fieldsV1`.
    pub(super) fn to_value(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, child) in &self.children {
            fields.insert(step.clone(), child.to_value());
        }
        Value::Object(fields)
    }
}

/// Keys as this crate writes them: without spaces, fields sorted.
fn normal_step(step: &str) -> String {
    let Some(key) = step.strip_prefix("k:") else { return step.to_owned() };
    match serde_json::from_str::<BTreeMap<String, Value>>(key) {
        Ok(fields) => format!("k:{}", Value::Object(fields.into_iter().collect())),
        Err(_) => step.to_owned(),
    }
}

/// A step as messages show it: `.name`, `[name="x"]`, `["x"]`.
fn shown_step(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", key)) => {
            let fields: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let texts: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", texts.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        _ => format!("[{step}]"),
    }
}
