use serde_json::Value;

use super::node::{Additional, Node};

/// Removes nulls where null is not allowed and no default will take their place.
pub(super) fn drop_nulls(value: &mut Value, node: Option<&Node>) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                let node = node.and_then(|node| node.field(key));
                let stray =
                    value.is_null() && node.is_some_and(|node| !node.nullable && node.default.is_none());
                if !stray {
                    drop_nulls(value, node);
                }
                !stray
            });
        }
        Value::Array(list) => {
            let items = node.and_then(|node| node.items.as_deref());
            list.iter_mut().for_each(|value| drop_nulls(value, items));
        }
        _ => {}
    }
}

pub(super) fn fill(value: &mut Value, node: &Node) {
    match value {
        Value::Object(map) => {
            for (name, property) in &node.properties {
                let Some(default) = &property.default else { continue };
                if map.get(name).is_none_or(|value| value.is_null() && !property.nullable) {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map {
                if let Some(property) = node.properties.get(name) {
                    fill(value, property);
                } else if let Additional::Schema(further) = &node.additional {
                    fill_one(value, further);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                list.iter_mut().for_each(|value| fill_one(value, items));
            }
        }
        _ => {}
    }
}

fn fill_one(value: &mut Value, node: &Node) {
    if value.is_null()
        && !node.nullable
        && let Some(default) = &node.default
    {
        *value = default.clone();
    }
    fill(value, node);
}
