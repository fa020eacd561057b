//! Objects as a caller sees them: at the version asked for, in the form asked for.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::event_groups;
use crate::store::Entry;

/// How stored objects of a kind turn into what its callers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversion {
    None,
    /// Another version of a custom kind: only `apiVersion` differs (conversion strategy `None`).
    ApiVersion,
    /// `events.k8s.io/v1` over a stored core Event.
    Event,
}

fn conversion(resource: &Resource) -> Conversion {
    match resource.custom() {
        Some(custom) if custom.storage_version != resource.version => Conversion::ApiVersion,
        None if resource.group == event_groups::GROUP && resource.kind == "Event" => Conversion::Event,
        _ => Conversion::None,
    }
}

/// The object at the version of `resource`.
pub(crate) fn value<'a>(resource: &Resource, stored: &'a Value) -> Cow<'a, Value> {
    match conversion(resource) {
        Conversion::None => Cow::Borrowed(stored),
        Conversion::ApiVersion => {
            let mut value = stored.clone();
            value["apiVersion"] = resource.api_version.clone().into();
            Cow::Owned(value)
        }
        Conversion::Event => Cow::Owned(event_groups::from_core(stored)),
    }
}

/// The object at the version of `resource`, as JSON.
pub(crate) fn json(resource: &Resource, entry: &Entry) -> Bytes {
    match value(resource, &entry.value) {
        Cow::Borrowed(_) => entry.json().clone(),
        Cow::Owned(value) => Bytes::from(value.to_string()),
    }
}

/// An object that a caller wrote at the version of `resource`, as it is stored.
pub(crate) fn to_stored(resource: &Resource, mut value: Value) -> Value {
    match conversion(resource) {
        Conversion::None => value,
        Conversion::ApiVersion => {
            if let Some(custom) = resource.custom() {
                value["apiVersion"] =
                    crate::catalog::api_version(&resource.group, &custom.storage_version).into();
            }
            value
        }
        Conversion::Event => event_groups::to_core(&value),
    }
}

/// Only the metadata of an object.
pub(crate) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_default(),
    })
}
