//! Values as Go's `%#v` prints them, which is how the API server shows those that are neither text nor number.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::field_error::go_quote;

/// `map[string]string{"app":"web"}`
pub(super) fn string_map(value: Option<&Value>) -> String {
    match value.and_then(Value::as_object) {
        None => "map[string]string(nil)".to_owned(),
        Some(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let texts: Vec<String> = sorted
                .iter()
                .map(|(key, value)| {
                    format!("{}:{}", go_quote(key), go_quote(value.as_str().unwrap_or_default()))
                })
                .collect();
            format!("map[string]string{{{}}}", texts.join(", "))
        }
    }
}

/// `[]string{"a", "b"}`
pub(super) fn string_list(value: Option<&Value>) -> String {
    match value.and_then(Value::as_array) {
        None => "[]string(nil)".to_owned(),
        Some(list) => {
            let texts: Vec<String> =
                list.iter().map(|value| go_quote(value.as_str().unwrap_or_default())).collect();
            format!("[]string{{{}}}", texts.join(", "))
        }
    }
}

/// `v1.LabelSelector{MatchLabels:map[string]string{"app":"web"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}`
pub(super) fn label_selector(selector: &Value) -> String {
    let labels = string_map(selector.get("matchLabels"));
    let expressions = match selector.get("matchExpressions").and_then(Value::as_array) {
        None => "[]v1.LabelSelectorRequirement(nil)".to_owned(),
        Some(list) => {
            let texts: Vec<String> = list.iter().map(requirement).collect();
            format!("[]v1.LabelSelectorRequirement{{{}}}", texts.join(", "))
        }
    };
    format!("v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:{expressions}}}")
}

fn requirement(expression: &Value) -> String {
    let text = |key: &str| go_quote(expression.get(key).and_then(Value::as_str).unwrap_or_default());
    let values = string_list(expression.get("values"));
    format!(
        "v1.LabelSelectorRequirement{{Key:{}, Operator:{}, Values:{values}}}",
        text("key"),
        text("operator")
    )
}
