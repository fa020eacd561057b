use std::collections::HashMap;

use serde_json::Value;

use super::field_set::{FieldSet, field_step, key_step, value_step};
use crate::topology::{Cursor, Join};

/// `live` with everything that `applied` says.
pub(super) fn merge(live: &Value, applied: &Value, cursor: Cursor<'_>) -> Value {
    let join = cursor.join(applied);
    match (&join, live, applied) {
        (Join::Fields, Value::Object(before), Value::Object(said)) => {
            let mut merged = before.clone();
            for (name, value) in said {
                let value = match before.get(name) {
                    Some(held) => merge(held, value, cursor.field(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Join::Set | Join::Keyed(_), Value::Array(before), Value::Array(said)) => {
            Value::Array(merge_lists(before, said, cursor, &join))
        }
        _ => applied.clone(),
    }
}

fn step_of(value: &Value, cursor: Cursor<'_>, join: &Join<'_>) -> String {
    match join {
        Join::Keyed(keys) => key_step(cursor, keys, value),
        _ => value_step(value),
    }
}

/// Both orders are kept where they agree; where they do not, that of `said` holds. Items that only `live` has stand
/// where they stood.
fn merge_lists(live: &[Value], said: &[Value], cursor: Cursor<'_>, join: &Join<'_>) -> Vec<Value> {
    let live: Vec<(String, &Value)> =
        live.iter().map(|value| (step_of(value, cursor, join), value)).collect();
    let said: Vec<(String, &Value)> =
        said.iter().map(|value| (step_of(value, cursor, join), value)).collect();
    let held: HashMap<&String, &Value> = live.iter().map(|(step, value)| (step, *value)).collect();
    let is_said = |step: &String| said.iter().any(|(other, _)| other == step);
    let mut merged = Vec::new();
    let mut taken = live.iter().peekable();
    for (step, value) in &said {
        let known = held.get(step);
        if known.is_some() {
            let still_ahead = taken.clone().any(|(other, _)| other == step);
            while still_ahead && let Some((other, value)) = taken.next() {
                if other == step {
                    break;
                }
                if !is_said(other) {
                    merged.push((*value).clone());
                }
            }
        } else {
            while let Some((_, value)) = taken.next_if(|(other, _)| !is_said(other)) {
                merged.push((*value).clone());
            }
        }
        merged.push(known.map_or_else(|| (*value).clone(), |known| merge(known, value, cursor.item())));
    }
    merged.extend(taken.filter(|(step, _)| !is_said(step)).map(|(_, value)| (*value).clone()));
    merged
}

/// Removes what the manager owned before (`last`) and nobody owns now.
pub(super) fn remove_given_up(value: &mut Value, last: &FieldSet, owned: &FieldSet, cursor: Cursor<'_>) {
    let join = cursor.join(value);
    match value {
        Value::Object(map) if join == Join::Fields => map.retain(|name, value| {
            let step = field_step(name);
            keep(value, last.children.get(&step), owned.children.get(&step), cursor.field(name))
        }),
        Value::Array(list) if matches!(join, Join::Set | Join::Keyed(_)) => list.retain_mut(|value| {
            let step = step_of(value, cursor, &join);
            keep(value, last.children.get(&step), owned.children.get(&step), cursor.item())
        }),
        _ => {}
    }
}

fn keep(value: &mut Value, last: Option<&FieldSet>, owned: Option<&FieldSet>, cursor: Cursor<'_>) -> bool {
    match (last, owned) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(last), Some(owned)) => {
            remove_given_up(value, last, owned, cursor);
            true
        }
    }
}
