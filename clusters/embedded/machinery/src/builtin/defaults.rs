mod pod;
mod spec;
mod workload;

use serde_json::{Map, Value, json};

use crate::Gvk;
use crate::quantity::Quantity;
use crate::types::{self, Scalar, Shape, Type};

/// Defaults of API version `v1` and friends, in the order kube-apiserver applies them: inner types first.
pub(super) fn apply(gvk: &Gvk, object: &mut Value) {
    let Some(kind) = types::of(gvk) else { return };
    normalise(kind, object);
    let Some(root) = object.as_object_mut() else { return };
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => pod::whole(root),
        ("", "PodTemplate") => pod::template(object_at(root, "template")),
        ("", "Namespace") => spec::namespace(root),
        ("", "Service") => spec::service(root),
        ("", "Secret") => spec::secret(root),
        ("", "Endpoints") => spec::endpoints(root),
        ("", "Node") => spec::node(root),
        ("", "PersistentVolume") => spec::persistent_volume(root),
        ("", "PersistentVolumeClaim") => spec::claim(root),
        ("", "LimitRange") => spec::limit_range(root),
        ("", "ReplicationController") => workload::replication_controller(root),
        ("apps", "Deployment") => workload::deployment(root),
        ("apps", "ReplicaSet") => workload::replica_set(root),
        ("apps", "StatefulSet") => workload::stateful_set(root),
        ("apps", "DaemonSet") => workload::daemon_set(root),
        ("batch", "Job") => workload::job(root),
        ("batch", "CronJob") => workload::cron_job(root),
        ("autoscaling", "HorizontalPodAutoscaler") => workload::autoscaler(root),
        ("networking.k8s.io", "NetworkPolicy") => spec::network_policy(root),
        ("networking.k8s.io", "IngressClass") => spec::ingress_class(root),
        ("discovery.k8s.io", "EndpointSlice") => spec::endpoint_slice(root),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => spec::role_binding(root),
        ("storage.k8s.io", "StorageClass") => spec::storage_class(root),
        ("scheduling.k8s.io", "PriorityClass") => {
            default(root, "preemptionPolicy", json!("PreemptLowerPriority"))
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => spec::custom_resource_definition(root),
        _ => {}
    }
}

type Object = Map<String, Value>;

/// Sets `key` when it is absent, null or an empty text.
fn default(object: &mut Object, key: &str, value: Value) {
    let unset = |value: &Value| value.is_null() || value == "";
    if object.get(key).is_none_or(unset) {
        object.insert(key.to_owned(), value);
    }
}

/// Sets `key` when it is absent or null; an empty text counts as given.
fn default_absent(object: &mut Object, key: &str, value: Value) {
    if object.get(key).is_none_or(Value::is_null) {
        object.insert(key.to_owned(), value);
    }
}

/// Sets `key` when it is absent, null or zero.
fn default_number(object: &mut Object, key: &str, value: i64) {
    let unset = |value: &Value| value.is_null() || value.as_i64() == Some(0);
    if object.get(key).is_none_or(unset) {
        object.insert(key.to_owned(), json!(value));
    }
}

/// The object at `key`, made when it is absent. Something else in its place is left to decoding to refuse.
fn object_at<'a>(object: &'a mut Object, key: &str) -> &'a mut Object {
    let slot = object.entry(key.to_owned()).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(inner) => inner,
        _ => unreachable!("made an object just above"),
    }
}

/// The object at `key`, when it is there.
fn existing<'a>(object: &'a mut Object, key: &str) -> Option<&'a mut Object> {
    object.get_mut(key)?.as_object_mut()
}

/// The objects of the list at `key`.
fn each<'a>(object: &'a mut Object, key: &str) -> impl Iterator<Item = &'a mut Object> {
    object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// What is text of `key`; empty when absent.
fn text(object: &Object, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What decoding into Go's types and encoding again changes: nulls are absent, quantities canonical.
fn normalise(kind: &Type, value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    map.retain(|_, value| !value.is_null());
    for (key, inner) in map {
        if let Some(field) = kind.fields.get(key.as_str()) {
            normalise_in(&field.shape, inner);
        }
    }
}

fn normalise_in(shape: &Shape, value: &mut Value) {
    match shape {
        Shape::Scalar(Scalar::Quantity) => {
            if let Ok(amount) = Quantity::from_value(value) {
                *value = json!(amount.to_string());
            }
        }
        Shape::Scalar(_) | Shape::Any => {}
        Shape::Object(name) => {
            if let Some(kind) = types::get(name) {
                normalise(kind, value);
            }
        }
        Shape::List(item) => value.as_array_mut().into_iter().flatten().for_each(|v| normalise_in(item, v)),
        Shape::Map(item) => {
            value.as_object_mut().into_iter().flatten().for_each(|(_, value)| normalise_in(item, value));
        }
    }
}
