use serde_json::Value;

use crate::Gvk;
use crate::types::{self, Scalar, Shape, Type};

/// Paths of the fields that the kind does not have, in the document's order: `spec.ingress[0].to`.
///
/// The API server says of each `unknown field "<path>"`. A kind that is not built in has none.
pub fn unknown_fields(gvk: &Gvk, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(kind) = types::of(gvk) {
        walk_type(kind, object, "", &mut |path, _| found.push(path.to_owned()));
    }
    found
}

/// Removes the fields that the kind does not have, as decoding into the Go type does.
pub fn drop_unknown(gvk: &Gvk, object: &mut Value) {
    if let Some(kind) = types::of(gvk) {
        drop_in_type(kind, object);
    }
}

/// The first value of the wrong JSON type, in the words of Go's JSON decoder:
/// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
pub fn decode_fault(gvk: &Gvk, object: &Value) -> Option<String> {
    let kind = types::of(gvk)?;
    fault_in(&Shape::Object(kind.name), object, &Place { owner: kind.name, path: String::new() })
}

fn walk_type(kind: &Type, value: &Value, path: &str, report: &mut impl FnMut(&str, &Value)) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match kind.fields.get(key.as_str()) {
            None => report(&path, inner),
            Some(field) => walk_shape(&field.shape, inner, &path, report),
        }
    }
}

fn walk_shape(shape: &Shape, value: &Value, path: &str, report: &mut impl FnMut(&str, &Value)) {
    match shape {
        Shape::Scalar(_) | Shape::Any => {}
        Shape::Object(name) => {
            if let Some(kind) = types::get(name) {
                walk_type(kind, value, path, report);
            }
        }
        Shape::List(item) => {
            for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                walk_shape(item, value, &format!("{path}[{index}]"), report);
            }
        }
        Shape::Map(item) => {
            for (key, value) in value.as_object().into_iter().flatten() {
                walk_shape(item, value, &format!("{path}.{key}"), report);
            }
        }
    }
}

fn drop_in_type(kind: &Type, value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    map.retain(|key, _| kind.fields.contains_key(key.as_str()));
    for (key, inner) in map {
        if let Some(field) = kind.fields.get(key.as_str()) {
            drop_in_shape(&field.shape, inner);
        }
    }
}

fn drop_in_shape(shape: &Shape, value: &mut Value) {
    match shape {
        Shape::Scalar(_) | Shape::Any => {}
        Shape::Object(name) => {
            if let Some(kind) = types::get(name) {
                drop_in_type(kind, value);
            }
        }
        Shape::List(item) => value.as_array_mut().into_iter().flatten().for_each(|v| drop_in_shape(item, v)),
        Shape::Map(item) => {
            value.as_object_mut().into_iter().flatten().for_each(|(_, value)| drop_in_shape(item, value));
        }
    }
}

/// Where the decoder stands: the Go struct it fills and the path of fields from the root, without indices.
struct Place {
    owner: &'static str,
    path: String,
}

fn fault_in(shape: &Shape, value: &Value, place: &Place) -> Option<String> {
    match (shape, value) {
        (Shape::Any, _) | (_, Value::Null) => None,
        (Shape::Object(name), Value::Object(map)) => {
            let kind = types::get(name)?;
            map.iter().find_map(|(key, inner)| {
                let field = kind.fields.get(key.as_str())?;
                let path = if place.path.is_empty() { key.clone() } else { format!("{}.{key}", place.path) };
                fault_in(&field.shape, inner, &Place { owner: kind.name, path })
            })
        }
        (Shape::List(item), Value::Array(list)) => list.iter().find_map(|inner| fault_in(item, inner, place)),
        (Shape::Map(item), Value::Object(map)) => map.values().find_map(|inner| fault_in(item, inner, place)),
        (Shape::Scalar(scalar), value) => scalar_fault(*scalar, value, place),
        (shape, value) => Some(mismatch(json_name(value), &go_name(shape), place)),
    }
}

fn scalar_fault(scalar: Scalar, value: &Value, place: &Place) -> Option<String> {
    let wrong = |shown: &str| Some(mismatch(shown, scalar_name(scalar), place));
    match (scalar, value) {
        (Scalar::String | Scalar::Bytes | Scalar::Time | Scalar::MicroTime, Value::String(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Float, Value::Number(_))
        | (Scalar::Quantity, Value::String(_) | Value::Number(_))
        | (Scalar::IntOrString, Value::String(_)) => None,
        (Scalar::Int32 | Scalar::IntOrString, Value::Number(number)) => match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_ok() => None,
            _ => wrong(&format!("number {number}")),
        },
        (Scalar::Int64, Value::Number(number)) if number.as_i64().is_none() => {
            wrong(&format!("number {number}"))
        }
        (Scalar::Int64, Value::Number(_)) => None,
        (_, value) => wrong(json_name(value)),
    }
}

fn mismatch(shown: &str, wanted: &str, place: &Place) -> String {
    format!(
        "json: cannot unmarshal {shown} into Go struct field {}.{} of type {wanted}",
        place.owner, place.path
    )
}

fn json_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn scalar_name(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::String => "string",
        Scalar::Int32 | Scalar::IntOrString => "int32",
        Scalar::Int64 => "int64",
        Scalar::Bool => "bool",
        Scalar::Float => "float64",
        Scalar::Bytes => "[]uint8",
        Scalar::Time => "v1.Time",
        Scalar::MicroTime => "v1.MicroTime",
        Scalar::Quantity => "resource.Quantity",
    }
}

fn go_name(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(scalar) => scalar_name(*scalar).to_owned(),
        Shape::Any => "interface {}".to_owned(),
        Shape::Object(name) => format!("v1.{}", name.rsplit('.').next().unwrap_or(name)),
        Shape::List(item) => format!("[]{}", go_name(item)),
        Shape::Map(item) => format!("map[string]{}", go_name(item)),
    }
}
