use serde_json::{Number, Value};

use super::formats::has_format;
use super::node::{Additional, Limits, ListType, Node};
use crate::FieldError;

pub(super) fn check(object: &Value, root: &Node) -> Vec<FieldError> {
    let mut errors = Vec::new();
    validate(object, root, "", &mut errors);
    list_invariants(object, root, "", &mut errors);
    errors
}

/// The checks in kube-openapi's order: type, combined schemas, then what the value's own type allows, choices last.
fn validate(value: &Value, node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() {
        if !node.kind.is_empty() && !node.nullable {
            errors.push(wrong_type(path, &node.kind, "null"));
        }
        return;
    }
    check_type(value, node, path, errors);
    check_combined(value, node, path, errors);
    match value {
        Value::String(text) => check_text(text, node, path, errors),
        Value::Number(number) => check_number(number, &node.limits, path, errors),
        Value::Array(list) => check_list(list, node, path, errors),
        _ => {}
    }
    if !node.choices.is_empty() && !node.choices.iter().any(|choice| same(choice, value)) {
        let names = node
            .choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned));
        errors.push(FieldError::not_supported(shown_path(path), value.clone(), names));
    }
    if let Value::Object(map) = value {
        check_map(map, node, path, errors);
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

fn shown_path(path: &str) -> String {
    let path = path.strip_prefix('.').unwrap_or(path);
    if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() }
}

fn wrong_type(path: &str, wanted: &str, found: &str) -> FieldError {
    let detail = format!("{path} in body must be of type {wanted}: \"{found}\"");
    FieldError::type_invalid(shown_path(path), found, detail)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_type(value: &Value, node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    let found = type_name(value);
    let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits = match node.kind.as_str() {
        "" => true,
        "number" => matches!(found, "integer" | "number"),
        "integer" => found == "integer" || (found == "number" && whole),
        wanted => wanted == found,
    };
    if !fits {
        errors.push(wrong_type(path, &node.kind, found));
    }
}

fn check_combined(value: &Value, node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    let faults = |node: &Node| {
        let mut inner = Vec::new();
        validate(value, node, path, &mut inner);
        inner
    };
    let combined = |detail: String| FieldError::invalid("<nil>", "", format!("\"{path}\" {detail}"));
    if !node.any_of.is_empty() {
        let results: Vec<_> = node.any_of.iter().map(faults).collect();
        if results.iter().all(|result| !result.is_empty()) {
            errors.push(combined("must validate at least one schema (anyOf)".to_owned()));
            errors.extend(results.into_iter().min_by_key(Vec::len).unwrap_or_default());
        }
    }
    if !node.one_of.is_empty() {
        let results: Vec<_> = node.one_of.iter().map(faults).collect();
        let valid = results.iter().filter(|result| result.is_empty()).count();
        if valid != 1 {
            let found = if valid == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {valid} valid alternatives")
            };
            errors.push(combined(format!("must validate one and only one schema (oneOf). {found}")));
            if valid == 0 {
                errors.extend(results.into_iter().min_by_key(Vec::len).unwrap_or_default());
            }
        }
    }
    if !node.all_of.is_empty() {
        let results: Vec<_> = node.all_of.iter().map(faults).collect();
        let valid = results.iter().filter(|result| result.is_empty()).count();
        errors.extend(results.into_iter().flatten());
        if valid != node.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            errors.push(combined(format!("must validate all the schemas (allOf){none}")));
        }
    }
    if node.not.as_deref().is_some_and(|not| faults(not).is_empty()) {
        errors.push(combined("must not validate the schema (not)".to_owned()));
    }
}

fn check_text(text: &str, node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count() as u64;
    if let Some(limit) = node.limits.max_length
        && length > limit
    {
        errors.push(FieldError::too_long(shown_path(path), limit as usize));
    }
    if let Some(limit) = node.limits.min_length
        && length < limit
    {
        let detail = format!("{path} in body should be at least {limit} chars long");
        errors.push(FieldError::invalid(shown_path(path), text, detail));
    }
    if let Some(pattern) = &node.pattern
        && !pattern.regex.is_match(text)
    {
        let detail = format!("{path} in body should match '{}'", pattern.text);
        errors.push(FieldError::invalid(shown_path(path), text, detail));
    }
    if !node.format.is_empty() && !has_format(&node.format, text) {
        let detail = format!("{path} in body must be of type {}: \"{text}\"", node.format);
        errors.push(FieldError::type_invalid(shown_path(path), text, detail));
    }
}

fn check_number(number: &Number, limits: &Limits, path: &str, errors: &mut Vec<FieldError>) {
    let Some(value) = number.as_f64() else { return };
    let mut refuse = |rule: &str, bound: &Number| {
        let detail = format!("{path} in body should be {rule} {}", plain(bound));
        errors.push(FieldError::invalid(shown_path(path), Value::Number(number.clone()), detail));
    };
    if let Some(factor) = &limits.multiple_of
        && factor.as_f64().is_some_and(|factor| factor != 0.0 && (value / factor).fract() != 0.0)
    {
        refuse("a multiple of", factor);
    }
    if let Some((bound, limit)) = limits.maximum.as_ref().and_then(|bound| Some((bound, bound.as_f64()?))) {
        match limits.exclusive_maximum {
            true if value >= limit => refuse("less than", bound),
            false if value > limit => refuse("less than or equal to", bound),
            _ => {}
        }
    }
    if let Some((bound, limit)) = limits.minimum.as_ref().and_then(|bound| Some((bound, bound.as_f64()?))) {
        match limits.exclusive_minimum {
            true if value <= limit => refuse("greater than", bound),
            false if value < limit => refuse("greater than or equal to", bound),
            _ => {}
        }
    }
}

/// A bound without a needless fraction: `1`, not `1.0`.
fn plain(bound: &Number) -> String {
    match bound.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        _ => bound.to_string(),
    }
}

fn check_list(list: &[Value], node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(items) = &node.items {
        for (index, value) in list.iter().enumerate() {
            validate(value, items, &format!("{path}[{index}]"), errors);
        }
    }
    let size = list.len() as u64;
    if let Some(limit) = node.limits.min_items
        && size < limit
    {
        let detail = format!("{path} in body should have at least {limit} items");
        errors.push(FieldError::invalid(shown_path(path), size, detail));
    }
    if let Some(limit) = node.limits.max_items
        && size > limit
    {
        errors.push(FieldError::too_many(shown_path(path), list.len(), limit as usize));
    }
    if node.limits.unique_items && list.iter().enumerate().any(|(index, value)| list[..index].contains(value))
    {
        let detail = format!("{path} in body shouldn't contain duplicates");
        errors.push(FieldError::invalid(shown_path(path), "", detail));
    }
}

fn check_map(map: &serde_json::Map<String, Value>, node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    let size = map.len() as u64;
    if let Some(limit) = node.limits.min_properties
        && size < limit
    {
        let detail = format!("{path} in body should have at least {limit} properties");
        errors.push(FieldError::invalid(shown_path(path), size, detail));
    }
    if let Some(limit) = node.limits.max_properties
        && size > limit
    {
        errors.push(FieldError::too_many(shown_path(path), map.len(), limit as usize));
    }
    for (key, value) in map {
        if let Some(property) = node.properties.get(key) {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            validate(value, property, &inner, errors);
        } else if let Additional::Schema(further) = &node.additional {
            validate(value, further, &format!("{path}.{key}"), errors);
        }
    }
    for key in node.required.iter().filter(|key| !map.contains_key(*key)) {
        errors.push(FieldError::required(shown_path(&format!("{path}.{key}")), ""));
    }
}

/// Sets hold each value once, maps each key.
fn list_invariants(value: &Value, node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let named = node.properties.get(key);
                let inner = match (path, named) {
                    ("", _) => key.clone(),
                    (_, Some(_)) => format!("{path}.{key}"),
                    (_, None) => format!("{path}[{key}]"),
                };
                if let Some(node) = node.field(key) {
                    list_invariants(value, node, &inner, errors);
                }
            }
        }
        Value::Array(list) => {
            let identity = |value: &Value| match &node.list_type {
                ListType::Map(keys) => {
                    let fields = keys.iter().filter_map(|key| Some((key.clone(), value.get(key)?.clone())));
                    Value::Object(fields.collect())
                }
                ListType::Set | ListType::Atomic => value.clone(),
            };
            if node.list_type != ListType::Atomic {
                let identities: Vec<Value> = list.iter().map(identity).collect();
                for (index, this) in identities.iter().enumerate() {
                    if identities[..index].iter().filter(|earlier| *earlier == this).count() == 1 {
                        errors.push(FieldError::duplicate(format!("{path}[{index}]"), this.clone()));
                    }
                }
            }
            if let Some(items) = &node.items {
                for (index, value) in list.iter().enumerate() {
                    list_invariants(value, items, &format!("{path}[{index}]"), errors);
                }
            }
        }
        _ => {}
    }
}
