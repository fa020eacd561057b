//! Pod specs laid over one another, as the operator does it (Go's `mergo` with override and appended slices).
//!
//! Not a strategic merge: only containers go by name; every other list, such as a container's `env`, is appended.

use serde_json::{Map, Value};

/// A configuration's pod spec with an override laid over it.
pub(crate) fn pod_specs(base: &Value, over: Option<&Value>) -> Value {
    let Some(over) = over.filter(|over| !over.is_null()) else { return base.clone() };
    let mut rest = over.clone();
    let containers = rest.as_object_mut().and_then(|fields| fields.remove("containers"));
    let mut merged = base.clone();
    lay_over(&mut merged, &rest);
    let merged_containers = containers_by_name(base.get("containers"), containers.as_ref());
    if let Some(fields) = merged.as_object_mut() {
        fields.insert("containers".to_owned(), merged_containers);
    }
    merged
}

/// The overridden and new containers first, in the override's order, then the untouched ones.
fn containers_by_name(base: Option<&Value>, over: Option<&Value>) -> Value {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (base, over) = (list(base), list(over));
    let mut containers = Vec::new();
    for changed in &over {
        let mut container = base.iter().find(|known| known["name"] == changed["name"]).cloned();
        match &mut container {
            Some(known) => lay_over(known, changed),
            None => container = Some(changed.clone()),
        }
        containers.extend(container);
    }
    let untouched =
        base.into_iter().filter(|known| !over.iter().any(|changed| changed["name"] == known["name"]));
    containers.extend(untouched);
    Value::Array(containers)
}

/// Objects field by field, lists appended, other values replaced unless the new one is empty.
fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) => base.extend(over.iter().cloned()),
        (base, over) if !is_empty(over) => *base = over.clone(),
        _ => {}
    }
}

/// Go's zero values, which `mergo` does not take for an override.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    }
}

/// Whether everything written in `wanted` is so in `found`. What only `found` has (defaults, status) does not count,
/// nor do empty values that `found` lacks.
pub(crate) fn is_contained(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => fields_contained(wanted, found),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| is_contained(wanted, found))
        }
        _ => wanted == found,
    }
}

fn fields_contained(wanted: &Map<String, Value>, found: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, value)| match found.get(key) {
        Some(found) => is_contained(value, found),
        None => {
            is_empty(value) || value.as_object().is_some_and(|fields| fields_contained(fields, &Map::new()))
        }
    })
}

/// The first path at which [`is_contained`] fails, for the log.
pub(crate) fn first_difference(wanted: &Value, found: &Value, path: &str) -> Option<String> {
    if is_contained(wanted, found) {
        return None;
    }
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, value)| {
            first_difference(value, found.get(key).unwrap_or(&Value::Null), &format!("{path}/{key}"))
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let pairs = wanted.iter().zip(found).enumerate();
            pairs
                .into_iter()
                .find_map(|(at, (one, other))| first_difference(one, other, &format!("{path}/{at}")))
        }
        _ => Some(format!("{path}: {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn base() -> Value {
        json!({
            "serviceAccountName": "seldon-server",
            "containers": [
                {"name": "rclone", "image": "r", "env": [{"name": "A", "value": "1"}]},
                {"name": "agent", "image": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
            ],
        })
    }

    #[rstest]
    #[case::absent(json!(null), base())]
    #[case::scalars_win(json!({"serviceAccountName": "other", "hostNetwork": false}), {
        let mut expected = base();
        expected["serviceAccountName"] = json!("other");
        expected["hostNetwork"] = json!(null);
        expected
    })]
    fn fields_outside_of_containers(#[case] over: Value, #[case] expected: Value) {
        assert_eq!(pod_specs(&base(), Some(&over)), expected);
    }

    #[test]
    fn overridden_containers_come_first_and_their_lists_grow() {
        let over = json!({"containers": [
            {"name": "agent", "env": [{"name": "B", "value": "2"}], "resources": {"requests": {"cpu": "2"}}},
            {"name": "extra", "image": "e"},
        ]});
        let merged = pod_specs(&base(), Some(&over));
        assert_eq!(
            merged["containers"],
            json!([
                {"name": "agent", "image": "a", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}},
                 "env": [{"name": "B", "value": "2"}]},
                {"name": "extra", "image": "e"},
                {"name": "rclone", "image": "r", "env": [{"name": "A", "value": "1"}]},
            ])
        );
    }

    #[rstest]
    #[case::defaults_do_not_count(json!({"a": 1}), json!({"a": 1, "b": 2}), true)]
    #[case::empty_ones_do_not_count(json!({"a": "", "b": {"c": []}}), json!({}), true)]
    #[case::a_value_changed(json!({"replicas": 1}), json!({"replicas": 0}), false)]
    #[case::an_element_more(json!({"a": [1]}), json!({"a": [1, 2]}), false)]
    fn containment(#[case] wanted: Value, #[case] found: Value, #[case] expected: bool) {
        assert_eq!(is_contained(&wanted, &found), expected);
        assert_eq!(first_difference(&wanted, &found, "").is_none(), expected);
    }
}
