use serde_json::{Value, json};

use super::{Object, default, default_absent, default_number, each, existing, object_at, spec, text};

/// A Pod: what templates get, and what only Pods get.
pub(super) fn whole(root: &mut Object) {
    let pod = object_at(root, "spec");
    pod_spec(pod);
    for list in ["containers", "initContainers"] {
        for container in each(pod, list) {
            requests_from_limits(container);
        }
    }
    default_absent(pod, "enableServiceLinks", json!(true));
    if pod.get("hostNetwork") == Some(&json!(true)) {
        for list in ["containers", "initContainers"] {
            for container in each(pod, list) {
                for port in each(container, "ports") {
                    if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
                        default_number(port, "hostPort", number);
                    }
                }
            }
        }
    }
    default(object_at(root, "status"), "phase", json!("Pending"));
}

/// A PodTemplateSpec.
pub(super) fn template(template: &mut Object) {
    // Go encodes the zero time of a template as null.
    object_at(template, "metadata").entry("creationTimestamp").or_insert(Value::Null);
    pod_spec(object_at(template, "spec"));
}

fn pod_spec(pod: &mut Object) {
    for volume in each(pod, "volumes") {
        volume_source(volume);
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in each(pod, list) {
            container_defaults(container);
        }
    }
    default(pod, "dnsPolicy", json!("ClusterFirst"));
    default(pod, "restartPolicy", json!("Always"));
    default_absent(pod, "securityContext", json!({}));
    default_absent(pod, "terminationGracePeriodSeconds", json!(30));
    default(pod, "schedulerName", json!("default-scheduler"));
    service_account_names(pod);
}

/// `serviceAccount` is the old name of `serviceAccountName`; either fills the other.
fn service_account_names(pod: &mut Object) {
    let (new, old) = (text(pod, "serviceAccountName"), text(pod, "serviceAccount"));
    let name = if new.is_empty() { old } else { new };
    if !name.is_empty() {
        pod.insert("serviceAccountName".into(), json!(name));
        pod.insert("serviceAccount".into(), json!(name));
    }
}

fn container_defaults(container: &mut Object) {
    for port in each(container, "ports") {
        default(port, "protocol", json!("TCP"));
    }
    for variable in each(container, "env") {
        if let Some(source) = existing(variable, "valueFrom") {
            field_reference(source);
        }
    }
    default_absent(container, "resources", json!({}));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = existing(container, probe) {
            probe_defaults(probe);
        }
    }
    if let Some(lifecycle) = existing(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = existing(lifecycle, hook) {
                http_get(hook);
            }
        }
    }
    let policy = pull_policy(&text(container, "image"));
    default(container, "terminationMessagePath", json!("/dev/termination-log"));
    default(container, "terminationMessagePolicy", json!("File"));
    default(container, "imagePullPolicy", json!(policy));
}

/// `Always` for the tag `latest`, which an image without tag and digest has.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let tag = name.rsplit_once('/').map_or(name, |(_, last)| last).split_once(':').map(|(_, tag)| tag);
    match (tag, digest) {
        (Some("latest"), _) | (None, None) => "Always",
        _ => "IfNotPresent",
    }
}

fn probe_defaults(probe: &mut Object) {
    http_get(probe);
    if let Some(grpc) = existing(probe, "grpc") {
        default_absent(grpc, "service", json!(""));
    }
    for (key, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        default_number(probe, key, value);
    }
}

fn http_get(handler: &mut Object) {
    if let Some(get) = existing(handler, "httpGet") {
        default(get, "path", json!("/"));
        default(get, "scheme", json!("HTTP"));
    }
}

fn field_reference(source: &mut Object) {
    if let Some(reference) = existing(source, "fieldRef") {
        default(reference, "apiVersion", json!("v1"));
    }
}

fn requests_from_limits(container: &mut Object) {
    let Some(resources) = existing(container, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let requests = object_at(resources, "requests");
    for (name, amount) in limits {
        requests.entry(name).or_insert(amount);
    }
}

fn volume_source(volume: &mut Object) {
    if !volume.keys().any(|key| key != "name") {
        volume.insert("emptyDir".into(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = existing(volume, source) {
            default_absent(source, "defaultMode", json!(0o644));
            for item in each(source, "items") {
                field_reference(item);
            }
        }
    }
    if let Some(projected) = existing(volume, "projected") {
        for source in each(projected, "sources") {
            if let Some(token) = existing(source, "serviceAccountToken") {
                default_absent(token, "expirationSeconds", json!(3600));
            }
            if let Some(downward) = existing(source, "downwardAPI") {
                for item in each(downward, "items") {
                    field_reference(item);
                }
            }
        }
    }
    if let Some(path) = existing(volume, "hostPath") {
        default_absent(path, "type", json!(""));
    }
    if let Some(image) = existing(volume, "image") {
        let policy = pull_policy(&text(image, "reference"));
        default(image, "pullPolicy", json!(policy));
    }
    if let Some(template) = existing(volume, "ephemeral").and_then(|e| existing(e, "volumeClaimTemplate")) {
        object_at(template, "metadata").entry("creationTimestamp").or_insert(Value::Null);
        spec::claim_spec(object_at(template, "spec"));
    }
}
