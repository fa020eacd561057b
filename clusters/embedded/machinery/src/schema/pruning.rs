use serde_json::Value;

use super::node::{Additional, Node};

const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

pub(super) fn prune_root(object: &mut Value, root: &Node) -> Vec<String> {
    let mut gone = Vec::new();
    if let Value::Object(map) = object {
        let meta: Vec<(String, Value)> = META
            .iter()
            .filter_map(|key| map.get_key_value(*key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let order: Vec<String> = map.keys().cloned().collect();
        META.iter().for_each(|key| drop(map.shift_remove(*key)));
        prune(object, Some(root), "", &mut gone);
        restore(object, meta, &order);
    }
    gone.sort();
    gone
}

/// Puts the fields that every object has back where they stood.
fn restore(object: &mut Value, meta: Vec<(String, Value)>, order: &[String]) {
    let Value::Object(map) = object else { return };
    map.extend(meta);
    let mut sorted: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
    sorted.sort_by_key(|(key, _)| order.iter().position(|known| known == key));
    map.extend(sorted);
}

fn prune(value: &mut Value, node: Option<&Node>, path: &str, gone: &mut Vec<String>) {
    let keeps_unknown = node.is_some_and(|node| node.preserve_unknown);
    match value {
        Value::Object(map) => map.retain(|key, value| {
            if node.is_some_and(|node| node.embedded_resource) && META.contains(&key.as_str()) {
                return true;
            }
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match node.map(|node| (node.properties.get(key), &node.additional)) {
                Some((Some(property), _)) => prune(value, Some(property), &inner, gone),
                Some((None, Additional::Schema(further))) => prune(value, Some(further), &inner, gone),
                Some((None, Additional::Any)) => {}
                Some((None, Additional::Absent)) if keeps_unknown => {}
                Some((None, Additional::Absent)) | None => {
                    gone.push(inner);
                    return false;
                }
            }
            true
        }),
        Value::Array(list) => {
            let items = node.and_then(|node| node.items.as_deref());
            if keeps_unknown && items.is_none() {
                return;
            }
            for (index, value) in list.iter_mut().enumerate() {
                prune(value, items, &format!("{path}[{index}]"), gone);
            }
        }
        _ => {}
    }
}
