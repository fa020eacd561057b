mod config;
mod container;
mod crd;
mod go_syntax;
mod job;
mod network;
mod pod;
mod pod_update;
mod policy;
mod probe;
mod rbac;
mod service;
mod storage;
mod volume;
mod workload;

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{Scope, find};
use crate::meta::{NameRule, validate_object_meta, validate_object_meta_update};
use crate::{FieldError, Gvk};

/// Rules of kube-apiserver 1.33.1, kind by kind. Kinds without rules of their own have those of their metadata.
pub(super) fn check(gvk: &Gvk, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = metadata(gvk, new, old);
    let found = &mut errors;
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => pod::pod(new, old, found),
        ("", "PodTemplate") => pod::template(new.get("template"), "template", found),
        ("", "Service") => service::service(new, old, found),
        ("", "ConfigMap") => config::config_map(new, old, found),
        ("", "Secret") => config::secret(new, old, found),
        ("", "Endpoints") => network::endpoints(new, found),
        ("", "PersistentVolume") => storage::volume(new, found),
        ("", "PersistentVolumeClaim") => storage::claim(new, old, found),
        ("apps", "Deployment") => workload::deployment(new, old, found),
        ("apps", "ReplicaSet") => workload::replica_set(new, old, found),
        ("apps", "StatefulSet") => workload::stateful_set(new, old, found),
        ("apps", "DaemonSet") => workload::daemon_set(new, old, found),
        ("batch", "Job") => job::job(new, old, found),
        ("batch", "CronJob") => {
            let spec = new.pointer("/spec/jobTemplate/spec").unwrap_or(&Value::Null);
            job::job_spec(spec, "spec.jobTemplate.spec", found);
        }
        ("networking.k8s.io", "NetworkPolicy") => policy::network_policy(new, found),
        ("networking.k8s.io", "Ingress") => network::ingress(new, found),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(new, old, found),
        ("policy", "PodDisruptionBudget") => network::disruption_budget(new, found),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => rbac::role(gvk, new, found),
        ("rbac.authorization.k8s.io", _) => rbac::binding(gvk, new, old, found),
        ("coordination.k8s.io", "Lease") => network::lease(new, found),
        ("storage.k8s.io", "StorageClass") => storage::class(new, old, found),
        ("apiextensions.k8s.io", _) => crd::definition(new, old, found),
        _ => {}
    }
    errors
}

fn metadata(gvk: &Gvk, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let empty = Value::Object(Map::new());
    let meta = new.get("metadata").unwrap_or(&empty);
    if let Some(old) = old {
        return validate_object_meta_update(meta, old.get("metadata").unwrap_or(&empty), "metadata");
    }
    let rule = match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Namespace") => NameRule::Label,
        ("", "Service") => NameRule::Label1035,
        ("rbac.authorization.k8s.io", _) => NameRule::PathSegment,
        _ => NameRule::Subdomain,
    };
    let namespaced = find(gvk).is_none_or(|kind| kind.scope == Scope::Namespaced);
    validate_object_meta(meta, namespaced, rule, "metadata")
}

type Found = Vec<FieldError>;

/// The text at a key; empty when absent.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a key.
fn number(object: &Value, key: &str) -> Option<i64> {
    object.get(key).and_then(Value::as_i64)
}

/// The list at a key; empty when absent.
fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The entries of the map at a key.
fn entries<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(key).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// Whether a key holds something other than null.
fn given(object: &Value, key: &str) -> bool {
    object.get(key).is_some_and(|value| !value.is_null())
}

fn invalid_each(found: &mut Found, field: &str, value: &str, faults: Vec<String>) {
    found.extend(faults.into_iter().map(|fault| FieldError::invalid(field, value, fault)));
}

fn non_negative(found: &mut Found, object: &Value, key: &str, path: &str) {
    if let Some(value) = number(object, key).filter(|value| *value < 0) {
        found.push(FieldError::invalid(format!("{path}.{key}"), value, "must be greater than or equal to 0"));
    }
}

fn port_number(found: &mut Found, port: i64, field: &str) {
    if !(1..=65535).contains(&port) {
        found.push(FieldError::invalid(field, port, "must be between 1 and 65535, inclusive"));
    }
}

fn one_of(found: &mut Found, value: &str, allowed: &[&str], field: &str) {
    if value.is_empty() {
        found.push(FieldError::required(field, ""));
    } else if !allowed.contains(&value) {
        found.push(FieldError::not_supported(field, value, allowed));
    }
}

/// An address in its ordinary form; the server also takes leading zeros, which nobody writes.
fn address(found: &mut Found, value: &str, field: &str) -> bool {
    let valid = value.parse::<IpAddr>().is_ok();
    if !valid {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        found.push(FieldError::invalid(field, value, detail));
    }
    valid
}

/// Whether two specs say the same: null, `{}` and `[]` count as absent.
fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    bare(left) == bare(right)
}

fn bare(value: Option<&Value>) -> Option<Value> {
    match value? {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => {
            Some(Value::Array(list.iter().map(|item| bare(Some(item)).unwrap_or_default()).collect()))
        }
        Value::Object(map) => {
            let mut inner: Vec<(String, Value)> =
                map.iter().filter_map(|(key, value)| Some((key.clone(), bare(Some(value))?))).collect();
            inner.sort_by(|left, right| left.0.cmp(&right.0));
            (!inner.is_empty()).then(|| Value::Object(inner.into_iter().collect()))
        }
        other => Some(other.clone()),
    }
}
