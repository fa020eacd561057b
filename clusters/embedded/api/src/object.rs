//! Reading and writing the fields that every Kubernetes object has.

use serde_json::{Map, Value};

/// The text at a path of object fields, `""` when absent.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    field(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The value at a path of object fields.
pub(crate) fn field<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

/// `metadata.namespace`, `""` for cluster-scoped objects.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

/// `metadata.uid`.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}

/// `metadata.resourceVersion`, `""` when absent.
pub(crate) fn resource_version(object: &Value) -> &str {
    text(object, &["metadata", "resourceVersion"])
}

/// `metadata.finalizers`.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    field(object, &["metadata", "finalizers"])
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Whether `metadata.deletionTimestamp` is set.
pub(crate) fn is_deleting(object: &Value) -> bool {
    field(object, &["metadata", "deletionTimestamp"]).is_some_and(|time| !time.is_null())
}

/// The fields of an object; an empty object takes the place of anything else.
pub(crate) fn fields(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        // Made an object just above.
        _ => unreachable!("the value is an object"),
    }
}

/// The object at a path, made where it is missing.
pub(crate) fn object_at<'a>(object: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut value = object;
    for key in path {
        value = fields(value).entry(*key).or_insert(Value::Null);
    }
    fields(value)
}

/// Sets the value at a path, making the objects on the way.
pub(crate) fn set(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    if let Some((last, parents)) = path.split_last() {
        object_at(object, parents).insert((*last).to_owned(), value.into());
    }
}

/// Removes the value at a path; the objects on the way stay.
pub(crate) fn remove(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut value = object;
    for key in parents {
        value = value.get_mut(key)?;
    }
    value.as_object_mut()?.shift_remove(*last)
}

/// Copies the top-level field `key` from one object to another, or removes it where the source has none.
pub(crate) fn copy_field(from: &Value, to: &mut Value, key: &str) {
    match from.get(key) {
        Some(value) => fields(to).insert(key.to_owned(), value.clone()),
        None => fields(to).shift_remove(key),
    };
}

/// The current time as the API writes it: RFC 3339, whole seconds, UTC.
pub(crate) fn now() -> String {
    time_text(jiff::Timestamp::now())
}

/// A time as the API writes it.
pub(crate) fn time_text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
