use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Object, default, default_absent, default_number, each, existing, object_at, text};

pub(super) fn namespace(root: &mut Object) {
    let meta = object_at(root, "metadata");
    let name = text(meta, "name");
    if !name.is_empty() {
        object_at(meta, "labels").insert("kubernetes.io/metadata.name".into(), json!(name));
    }
    let spec = object_at(root, "spec");
    if spec.get("finalizers").is_none() {
        spec.insert("finalizers".into(), json!(["kubernetes"]));
    }
    default(object_at(root, "status"), "phase", json!("Active"));
}

pub(super) fn service(root: &mut Object) {
    let spec = object_at(root, "spec");
    default(spec, "sessionAffinity", json!("None"));
    if text(spec, "sessionAffinity") == "None" {
        spec.shift_remove("sessionAffinityConfig");
    } else {
        let client = object_at(object_at(spec, "sessionAffinityConfig"), "clientIP");
        default_absent(client, "timeoutSeconds", json!(10800));
    }
    default(spec, "type", json!("ClusterIP"));
    for port in each(spec, "ports") {
        default(port, "protocol", json!("TCP"));
        let number = port.get("port").cloned().unwrap_or(json!(0));
        let unset = |target: &Value| target.is_null() || target == "" || target.as_i64() == Some(0);
        if port.get("targetPort").is_none_or(unset) {
            port.insert("targetPort".into(), number);
        }
    }
    let kind = text(spec, "type");
    let external = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let reachable = matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external);
    if reachable {
        default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        default_absent(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    let balancer = object_at(object_at(root, "status"), "loadBalancer");
    for ingress in each(balancer, "ingress") {
        if kind == "LoadBalancer" && !text(ingress, "ip").is_empty() {
            default(ingress, "ipMode", json!("VIP"));
        }
    }
}

/// `stringData` is write-only: its entries go to `data`.
pub(super) fn secret(root: &mut Object) {
    if let Some(Value::Object(plain)) = root.shift_remove("stringData") {
        let data = object_at(root, "data");
        for (key, value) in plain {
            data.insert(key, json!(STANDARD.encode(value.as_str().unwrap_or_default())));
        }
    }
    default(root, "type", json!("Opaque"));
}

pub(super) fn endpoints(root: &mut Object) {
    for subset in each(root, "subsets") {
        for port in each(subset, "ports") {
            default(port, "protocol", json!("TCP"));
        }
    }
}

pub(super) fn endpoint_slice(root: &mut Object) {
    for port in each(root, "ports") {
        default_absent(port, "name", json!(""));
        default(port, "protocol", json!("TCP"));
    }
    // Both lists are encoded even when they are empty.
    default_absent(root, "endpoints", Value::Null);
    default_absent(root, "ports", Value::Null);
}

pub(super) fn node(root: &mut Object) {
    object_at(root, "spec");
    let status = object_at(root, "status");
    if let Some(capacity) = status.get("capacity").cloned() {
        default_absent(status, "allocatable", capacity);
    }
}

pub(super) fn persistent_volume(root: &mut Object) {
    let spec = object_at(root, "spec");
    default(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
    default(spec, "volumeMode", json!("Filesystem"));
    if let Some(path) = existing(spec, "hostPath") {
        default_absent(path, "type", json!(""));
    }
    default(object_at(root, "status"), "phase", json!("Pending"));
}

pub(super) fn claim(root: &mut Object) {
    claim_spec(object_at(root, "spec"));
    default(object_at(root, "status"), "phase", json!("Pending"));
}

pub(super) fn claim_spec(spec: &mut Object) {
    default_absent(spec, "resources", json!({}));
    default(spec, "volumeMode", json!("Filesystem"));
}

pub(super) fn limit_range(root: &mut Object) {
    for limit in each(object_at(root, "spec"), "limits") {
        if text(limit, "type") != "Container" {
            continue;
        }
        fill(limit, "max", "default");
        fill(limit, "default", "defaultRequest");
        fill(limit, "min", "defaultRequest");
    }
}

fn fill(limit: &mut Object, from: &str, to: &str) {
    let amounts = limit.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
    let target = object_at(limit, to);
    for (name, amount) in amounts {
        target.entry(name).or_insert(amount);
    }
}

pub(super) fn network_policy(root: &mut Object) {
    let spec = object_at(root, "spec");
    // Encoded even when it is empty; the empty selector selects every pod.
    default_absent(spec, "podSelector", json!({}));
    for list in ["ingress", "egress"] {
        for rule in each(spec, list) {
            for port in each(rule, "ports") {
                default(port, "protocol", json!("TCP"));
            }
        }
    }
    let filled = |value: Option<&Value>| value.and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if !filled(spec.get("policyTypes")) {
        let egress = filled(spec.get("egress"));
        let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.insert("policyTypes".into(), types);
    }
}

pub(super) fn ingress_class(root: &mut Object) {
    if let Some(parameters) = existing(object_at(root, "spec"), "parameters") {
        default(parameters, "scope", json!("Cluster"));
    }
}

pub(super) fn role_binding(root: &mut Object) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    default(object_at(root, "roleRef"), "apiGroup", json!(GROUP));
    for subject in each(root, "subjects") {
        if matches!(text(subject, "kind").as_str(), "User" | "Group") {
            default(subject, "apiGroup", json!(GROUP));
        }
    }
}

pub(super) fn storage_class(root: &mut Object) {
    default(root, "reclaimPolicy", json!("Delete"));
    default(root, "volumeBindingMode", json!("Immediate"));
}

pub(super) fn custom_resource_definition(root: &mut Object) {
    let spec = object_at(root, "spec");
    let names = object_at(spec, "names");
    let kind = text(names, "kind");
    default(names, "singular", json!(kind.to_lowercase()));
    if !kind.is_empty() {
        default(names, "listKind", json!(format!("{kind}List")));
    }
    let conversion = object_at(spec, "conversion");
    default(conversion, "strategy", json!("None"));
    if let Some(service) = existing(conversion, "webhook")
        .and_then(|webhook| existing(webhook, "clientConfig"))
        .and_then(|client| existing(client, "service"))
    {
        default_number(service, "port", 443);
    }
}
