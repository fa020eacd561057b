use std::collections::BTreeMap;

use serde_json::Value;

use super::field_set::{FieldSet, field_step, key_step, value_step};
use crate::topology::{Cursor, Join};

/// What changed between two documents.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

pub(super) fn compare(old: &Value, new: &Value, root: Cursor<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    comparison.walk(Some(old), Some(new), root, &mut Vec::new());
    comparison
}

impl Comparison {
    fn walk(&mut self, old: Option<&Value>, new: Option<&Value>, cursor: Cursor<'_>, path: &mut Vec<String>) {
        let filled = |value: &&Value| match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        let any_filled = old.iter().chain(new.iter()).any(filled);
        let join = |value: Option<&Value>| value.map(|value| cursor.join(value));
        let joined = match (join(old), join(new)) {
            (Some(old), Some(new)) if old == new => old,
            (Some(one), None) | (None, Some(one)) => one,
            _ => Join::Leaf,
        };
        if joined == Join::Leaf || !any_filled {
            self.leaf(old, new, path);
            return;
        }
        let (before, after) = (parts(old, cursor, &joined), parts(new, cursor, &joined));
        let steps = before.keys().chain(after.keys().filter(|step| !before.contains_key(*step)));
        for step in steps {
            let inner = match (&joined, step.strip_prefix("f:")) {
                (Join::Fields, Some(name)) => cursor.field(name),
                _ => cursor.item(),
            };
            path.push(step.clone());
            self.walk(before.get(step).copied(), after.get(step).copied(), inner, path);
            path.pop();
        }
        match (old, new) {
            (None, Some(_)) => self.added.at(path).member = true,
            (Some(_), None) => self.removed.at(path).member = true,
            _ => {}
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>, path: &[String]) {
        match (old, new) {
            (None, Some(_)) => self.added.at(path).member = true,
            (Some(_), None) => self.removed.at(path).member = true,
            (Some(old), Some(new)) if old != new => self.modified.at(path).member = true,
            _ => {}
        }
    }
}

/// The values within a value by the steps that lead to them.
fn parts<'v>(value: Option<&'v Value>, cursor: Cursor<'_>, join: &Join<'_>) -> BTreeMap<String, &'v Value> {
    match (value, join) {
        (Some(Value::Object(map)), Join::Fields) => {
            map.iter().map(|(name, value)| (field_step(name), value)).collect()
        }
        (Some(Value::Array(list)), Join::Set) => {
            list.iter().map(|value| (value_step(value), value)).collect()
        }
        (Some(Value::Array(list)), Join::Keyed(keys)) => {
            list.iter().map(|value| (key_step(cursor, keys, value), value)).collect()
        }
        _ => BTreeMap::new(),
    }
}
