//! Where two documents differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// The places, as JSON pointers, in order.
pub(crate) fn places(one: &Value, other: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect("", one, other, &mut found);
    found
}

fn collect(place: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let names: BTreeSet<&String> = ones.keys().chain(others.keys()).collect();
            for name in names {
                let value = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned();
                match (value(ones), value(others)) {
                    (Some(one), Some(other)) => collect(&format!("{place}/{name}"), &one, &other, found),
                    _ => found.push(format!("{place}/{name}")),
                }
            }
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            for (index, (one, other)) in ones.iter().zip(others).enumerate() {
                collect(&format!("{place}/{index}"), one, other, found);
            }
        }
        _ if one == other => {}
        _ => found.push(place.to_owned()),
    }
}

#[test]
fn what_differs_is_named_once() {
    use serde_json::json;
    let one = json!({"a": 1, "b": [1, 2], "c": {"d": 1}, "e": 0});
    let other = json!({"a": 1, "b": [1, 3], "c": {"d": 1, "f": 2}, "e": [0]});
    assert_eq!(places(&one, &other), ["/b/1", "/c/f", "/e"]);
    assert!(places(&one, &one).is_empty());
}
