use regex::Regex;
use serde_json::{Map, Value};

use super::SchemaError;
use super::node::{Additional, Limits, ListType, Node, Pattern};
use crate::FieldError;

pub(super) fn root(openapi: &Value) -> Result<Node, SchemaError> {
    let path = "spec.validation.openAPIV3Schema";
    let mut errors = Vec::new();
    let root = node(openapi, path, &mut errors);
    if root.kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "must not be empty at the root"));
    } else if root.kind != "object" {
        errors.push(FieldError::invalid(
            format!("{path}.type"),
            root.kind.as_str(),
            "must be object at the root",
        ));
    }
    if errors.is_empty() { Ok(root) } else { Err(SchemaError(errors)) }
}

fn node(schema: &Value, path: &str, errors: &mut Vec<FieldError>) -> Node {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or_default();
    let int_or_string = flag("x-kubernetes-int-or-string");
    let mut found = Node {
        kind: text("type"),
        format: text("format"),
        nullable: flag("nullable"),
        required: texts(schema, "required"),
        choices: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        default: schema.get("default").filter(|value| !value.is_null()).cloned(),
        limits: limits(schema),
        pattern: pattern(&text("pattern"), path, errors),
        preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
        embedded_resource: flag("x-kubernetes-embedded-resource"),
        list_type: list_type(schema),
        atomic_map: text("x-kubernetes-map-type") == "atomic",
        all_of: several(schema, "allOf", path, errors),
        any_of: several(schema, "anyOf", path, errors),
        one_of: several(schema, "oneOf", path, errors),
        not: schema.get("not").map(|inner| Box::new(value_validation(inner, &format!("{path}.not"), errors))),
        ..Node::default()
    };
    if int_or_string && found.any_of.is_empty() && found.all_of.is_empty() {
        found.any_of =
            ["integer", "string"].map(|kind| Node { kind: kind.to_owned(), ..Node::default() }).into();
    }
    if !matches!(found.kind.as_str(), "" | "object" | "array" | "string" | "integer" | "number" | "boolean") {
        let supported = ["array", "boolean", "integer", "number", "object", "string"];
        errors.push(FieldError::not_supported(format!("{path}.type"), found.kind.as_str(), supported));
    }
    children(schema, &mut found, path, errors);
    found
}

/// Named fields, further fields and items, each of which must have a type.
fn children(schema: &Value, found: &mut Node, path: &str, errors: &mut Vec<FieldError>) {
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.properties[{name}]");
        let child = typed(inner, &path, "must not be empty for specified object fields", errors);
        found.properties.insert(name.clone(), child);
    }
    found.additional = match schema.get("additionalProperties") {
        Some(Value::Bool(true)) => Additional::Any,
        Some(inner @ Value::Object(_)) => {
            let path = format!("{path}.additionalProperties");
            let detail = "must not be empty for specified object fields";
            Additional::Schema(Box::new(typed(inner, &path, detail, errors)))
        }
        _ => Additional::Absent,
    };
    if let Some(inner) = schema.get("items") {
        let detail = "must not be empty for specified array items";
        found.items = Some(Box::new(typed(inner, &format!("{path}.items"), detail, errors)));
    } else if found.kind == "array" {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
}

fn typed(schema: &Value, path: &str, detail: &str, errors: &mut Vec<FieldError>) -> Node {
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or_default();
    let found = node(schema, path, errors);
    let free = flag("x-kubernetes-int-or-string") || flag("x-kubernetes-preserve-unknown-fields");
    if found.kind.is_empty() && !free {
        errors.push(FieldError::required(format!("{path}.type"), detail));
    }
    found
}

/// A schema within `allOf` and its like: it constrains values and declares no fields.
fn value_validation(schema: &Value, path: &str, errors: &mut Vec<FieldError>) -> Node {
    let mut ignored = Vec::new();
    let found = node(schema, path, &mut ignored);
    errors.extend(ignored.into_iter().filter(|error| error.field.ends_with(".pattern")));
    found
}

fn several(schema: &Value, key: &str, path: &str, errors: &mut Vec<FieldError>) -> Vec<Node> {
    let list = schema.get(key).and_then(Value::as_array);
    let inner = list.into_iter().flatten().enumerate();
    inner.map(|(index, schema)| value_validation(schema, &format!("{path}.{key}[{index}]"), errors)).collect()
}

fn texts(schema: &Value, key: &str) -> Vec<String> {
    let list = schema.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn list_type(schema: &Value) -> ListType {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(schema, "x-kubernetes-list-map-keys")),
        _ => ListType::Atomic,
    }
}

fn pattern(text: &str, path: &str, errors: &mut Vec<FieldError>) -> Option<Pattern> {
    if text.is_empty() {
        return None;
    }
    match Regex::new(text) {
        Ok(regex) => Some(Pattern { text: text.to_owned(), regex }),
        Err(why) => {
            let detail = format!("must be a valid regular expression, but isn't: {why}");
            errors.push(FieldError::invalid(format!("{path}.pattern"), text, detail));
            None
        }
    }
}

fn limits(schema: &Value) -> Limits {
    let empty = Map::new();
    let schema = schema.as_object().unwrap_or(&empty);
    let number = |key: &str| schema.get(key).and_then(|value| value.as_number().cloned());
    let count = |key: &str| schema.get(key).and_then(Value::as_u64);
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or_default();
    Limits {
        minimum: number("minimum"),
        exclusive_minimum: flag("exclusiveMinimum"),
        maximum: number("maximum"),
        exclusive_maximum: flag("exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        unique_items: flag("uniqueItems"),
    }
}
