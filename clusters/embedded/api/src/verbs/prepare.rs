//! What the server sets itself when an object is written: identity, generation, and the status it keeps apart.

use serde_json::{Value, json};

use super::Part;
use crate::catalog::Resource;
use crate::object;

/// Metadata that only the server sets; a writer's own values are dropped.
const SERVER_OWNED: [&str; 5] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];

/// Built-in kinds whose `metadata.generation` the API server 1.33 keeps.
const GENERATIONAL: [&str; 19] = [
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "ReplicationController",
    "Job",
    "CronJob",
    "NetworkPolicy",
    "Ingress",
    "PodDisruptionBudget",
    "CustomResourceDefinition",
    "EndpointSlice",
    "HorizontalPodAutoscaler",
    "APIService",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "FlowSchema",
    "PriorityLevelConfiguration",
];

/// Whether the kind counts its generations.
fn has_generation(resource: &Resource) -> bool {
    resource.custom().is_some() || GENERATIONAL.contains(&resource.kind.as_str())
}

/// Gives a new object its identity.
pub(super) fn identify(resource: &Resource, namespace: &str, document: &mut Value) {
    let metadata = object::object_at(document, &["metadata"]);
    for key in SERVER_OWNED.iter().chain(&["resourceVersion", "generation", "managedFields"]) {
        metadata.shift_remove(*key);
    }
    match namespace {
        "" => metadata.shift_remove("namespace"),
        namespace => metadata.insert("namespace".to_owned(), namespace.into()),
    };
    metadata.insert("uid".to_owned(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".to_owned(), object::now().into());
    if has_generation(resource) {
        metadata.insert("generation".to_owned(), 1.into());
    }
}

/// A name made of a prefix and five characters, as `generateName` asks for it.
pub(crate) fn generated_name(prefix: &str) -> String {
    // The alphabet of the real server: no vowels and no digits that look like letters.
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let prefix: String = prefix.chars().take(58).collect();
    let suffix: String =
        (0..5).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect();
    format!("{prefix}{suffix}")
}

/// Sets the status a new object begins with.
pub(super) fn initial_status(resource: &Resource, document: &mut Value) {
    if resource.custom().is_some() {
        if resource.has_status {
            object::remove(document, &["status"]);
        }
        return;
    }
    let status = match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => json!({"phase": "Pending", "qosClass": super::create::qos_class(document)}),
        ("", "Namespace") => {
            object::set(document, &["spec", "finalizers"], json!(["kubernetes"]));
            json!({"phase": "Active"})
        }
        ("", "PersistentVolumeClaim" | "PersistentVolume") => json!({"phase": "Pending"}),
        ("", "Service") => json!({"loadBalancer": {}}),
        ("apps", "StatefulSet" | "ReplicaSet") => json!({"replicas": 0}),
        ("networking.k8s.io", "Ingress") => json!({"loadBalancer": {}}),
        // A node brings its status along when it registers.
        ("", "Node") => return,
        _ if resource.has_status => json!({}),
        _ => return,
    };
    object::set(document, &["status"], status);
}

/// Makes `new` the successor of `old`: what the write is not about stays as it was, and the generation moves on when the
/// wish (anything but metadata and status) changed.
pub(super) fn succeed(resource: &Resource, part: Part, old: &Value, new: &mut Value) {
    match part {
        Part::Main if resource.has_status => object::copy_field(old, new, "status"),
        Part::Main | Part::Other(_) => {}
        Part::Status => keep_all_but_status(resource, old, new),
    }
    let metadata = object::object_at(new, &["metadata"]);
    let before = &old["metadata"];
    for key in
        SERVER_OWNED.iter().chain(&["name", "namespace", "generation", "generateName", "resourceVersion"])
    {
        match before.get(*key) {
            Some(value) => metadata.insert((*key).to_owned(), value.clone()),
            None => metadata.shift_remove(*key),
        };
    }
    // A writer that leaves `managedFields` out does not mean to clear them; an empty list does.
    if let (None, Some(managed)) = (new["metadata"].get("managedFields"), before.get("managedFields")) {
        object::set(new, &["metadata", "managedFields"], managed.clone());
    }
    if has_generation(resource) && part != Part::Status && wish_changed(resource, old, new) {
        let generation = before["generation"].as_i64().unwrap_or(0) + 1;
        object::set(new, &["metadata", "generation"], generation);
    }
}

fn keep_all_but_status(resource: &Resource, old: &Value, new: &mut Value) {
    let status = new.get("status").cloned();
    let metadata = new.get("metadata").cloned().unwrap_or_default();
    *new = old.clone();
    match status {
        Some(status) => object::set(new, &["status"], status),
        None => {
            object::remove(new, &["status"]);
        }
    }
    // The kubelet's annotations and labels on nodes and pods come along with their status.
    let keys: &[&str] = match resource.custom() {
        Some(_) => &["managedFields"],
        None if resource.is_core("Pod") || resource.is_core("Node") => {
            &["labels", "annotations", "finalizers", "managedFields"]
        }
        None => &["annotations", "finalizers", "managedFields"],
    };
    for key in keys {
        object::copy_field(&metadata, &mut new["metadata"], key);
    }
}

fn wish_changed(resource: &Resource, old: &Value, new: &Value) -> bool {
    let wish = |value: &Value| {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        fields.shift_remove("metadata");
        if resource.has_status {
            fields.shift_remove("status");
        }
        fields
    };
    // Annotations are part of a deployment's wish in the real server, too.
    let annotated = resource.group == "apps" && resource.kind == "Deployment";
    wish(old) != wish(new) || (annotated && old["metadata"]["annotations"] != new["metadata"]["annotations"])
}
