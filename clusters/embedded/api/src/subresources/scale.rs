//! The `scale` subresource: `autoscaling/v1` Scale over the replicas of a kind.

use bytes::Bytes;
use embedded_machinery::selector::Labels;
use embedded_machinery::status::Status;
use embedded_machinery::{FieldError, Gvk, patch};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::catalog::{Resource, ScalePaths};
use crate::failure::{Failure, Outcome};
use crate::media;
use crate::object;
use crate::reply::{Document, Reply};
use crate::verbs::{Call, Part};
use crate::view;

/// The Scale a writer wants, from the present one.
type Wish = Box<dyn Fn(&Value) -> Outcome<Value>>;

pub(super) fn answer(call: &Call, verb: &str, headers: &HeaderMap, body: &Bytes) -> Outcome<Reply> {
    let Some(paths) = &call.resource.scale else { return Err(Failure::no_such_path()) };
    let call = &Call { part: Part::Other("scale"), ..call.clone() };
    let wish: Wish = match verb {
        "get" => {
            let current = call.current()?;
            return Ok(fixed(scale(paths, &view::value(&call.resource, &current.value))));
        }
        "update" => {
            let wish = media::decode(headers, body)?.value;
            Box::new(move |_| Ok(wish.clone()))
        }
        "patch" => {
            let kind = media::content_type(headers);
            let changes = media::yaml(body)?;
            Box::new(move |present| patched(&kind, present, &changes))
        }
        _ => return Err(Failure::method_not_allowed()),
    };
    let reply = call.rewrite(|current| {
        let wish = wish(&scale(paths, current))?;
        rescaled(&call.resource, paths, current, &wish)
    })?;
    let scaled = match reply.document {
        Document::Stored(entry) => scale(paths, &view::value(&call.resource, &entry.value)),
        Document::Value(value) => scale(paths, &value),
        other => return Ok(Reply { document: other, ..reply }),
    };
    Ok(fixed(scaled))
}

fn fixed(scale: Value) -> Reply {
    Reply::ok(Document::Fixed(scale))
}

fn patched(content_type: &str, present: &Value, changes: &Value) -> Outcome<Value> {
    let result = match content_type {
        "application/json-patch+json" => patch::json(present, changes),
        _ => patch::merge(present, changes),
    };
    result.map_err(|error| error.to_status().into())
}

/// The object with the replicas of a Scale.
fn rescaled(resource: &Resource, paths: &ScalePaths, current: &Value, wish: &Value) -> Outcome<Value> {
    let replicas = wish["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        let name = object::name(current);
        return Err(Status::invalid(&Gvk::new("autoscaling", "v1", "Scale"), name, &[error]).into());
    }
    let mut new = current.clone();
    let path = split(&paths.spec);
    object::set(&mut new, &path, replicas);
    // Both refusals belong to the writer's Scale: its version and its uid.
    let version = object::resource_version(wish);
    if !version.is_empty() && version != object::resource_version(current) {
        return Err(Failure::modified(resource, object::name(current)));
    }
    Ok(new)
}

fn split(path: &str) -> Vec<&str> {
    path.split('.').filter(|part| !part.is_empty()).collect()
}

/// The Scale of an object.
fn scale(paths: &ScalePaths, object: &Value) -> Value {
    let number = |path: &str| object::field(object, &split(path)).and_then(Value::as_i64).unwrap_or(0);
    let selector = match &paths.selector {
        Some(path) => {
            object::field(object, &split(path)).and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        None => selector_text(&object["spec"]["selector"]),
    };
    let metadata = &object["metadata"];
    let mut status = json!({"replicas": number(&paths.status)});
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    let mut shown = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(key) {
            shown[key] = value.clone();
        }
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown,
        "spec": {"replicas": number(&paths.spec)}, "status": status,
    })
}

/// A label selector as text: `app=x,tier in (a,b)`.
fn selector_text(selector: &Value) -> String {
    let mut terms: Vec<String> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        terms.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = object::text(expression, &["key"]);
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match object::text(expression, &["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.sort();
    let text = terms.join(",");
    debug_assert!(text.is_empty() || Labels::parse(&text).is_ok(), "{text}");
    text
}
