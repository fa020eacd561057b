use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::view::{View, shown, text};

const ROLE: &str = "node-role.kubernetes.io/";

pub(super) fn node(view: &View<'_>) -> Vec<Value> {
    let ready = view.list("/status/conditions").iter().find(|condition| text(condition, "/type") == "Ready");
    let mut status = match ready {
        Some(condition) if text(condition, "/status") == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if view.object.pointer("/spec/unschedulable") == Some(&json!(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = view.object.pointer("/metadata/labels").and_then(Value::as_object);
    let roles: BTreeSet<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix(ROLE) {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    let roles: Vec<&str> = roles.into_iter().collect();
    let address = |kind: &str| {
        let found = view.list("/status/addresses").iter().find(|address| text(address, "/type") == kind);
        found.map_or("<none>", |address| text(address, "/address"))
    };
    vec![
        json!(view.name()),
        json!(status),
        json!(if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }),
        view.age(),
        json!(view.text("/status/nodeInfo/kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(view.text_or("/status/nodeInfo/osImage", "<unknown>")),
        json!(view.text_or("/status/nodeInfo/kernelVersion", "<unknown>")),
        json!(view.text_or("/status/nodeInfo/containerRuntimeVersion", "<unknown>")),
    ]
}

/// An event of either group; the newer one names the same fields differently.
pub(super) fn event(view: &View<'_>) -> Vec<Value> {
    let either = |old: &'static str, new: &'static str| view.text_or(old, view.text(new));
    let since = |pointers: &[&str]| {
        let given = pointers.iter().find(|pointer| !view.text(pointer).is_empty());
        given.map_or_else(|| "<unknown>".to_owned(), |pointer| view.since(pointer))
    };
    let first = since(&["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]);
    let last = since(&[
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/deprecatedLastTimestamp",
        "/firstTimestamp",
        "/deprecatedFirstTimestamp",
        "/eventTime",
    ]);
    let series = view.object.get("series").is_some_and(|series| !series.is_null());
    let count = if series { view.number("/series/count") } else { view.number("/count") };
    let count = if count == 0 { view.number("/deprecatedCount").max(1) } else { count };
    let (kind, name) = (
        either("/involvedObject/kind", "/regarding/kind"),
        either("/involvedObject/name", "/regarding/name"),
    );
    let target =
        if name.is_empty() { kind.to_lowercase() } else { format!("{}/{name}", kind.to_lowercase()) };
    let reporter = either("/reportingComponent", "/reportingController");
    let component = view.text_or("/source/component", view.text_or("/deprecatedSource/component", reporter));
    let instance =
        view.text_or("/source/host", view.text_or("/deprecatedSource/host", view.text("/reportingInstance")));
    let source = if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") };
    vec![
        json!(last),
        json!(view.text("/type")),
        json!(view.text("/reason")),
        json!(target),
        json!(either("/involvedObject/fieldPath", "/regarding/fieldPath")),
        json!(source),
        json!(either("/message", "/note").trim()),
        json!(first),
        json!(count),
        json!(view.name()),
    ]
}

fn access_modes(modes: &[Value]) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let short: Vec<&str> = known
        .iter()
        .filter(|(long, _)| modes.iter().any(|mode| mode == long))
        .map(|(_, short)| *short)
        .collect();
    short.join(",")
}

fn phase<'a>(view: &View<'a>) -> &'a str {
    if view.deleted() { "Terminating" } else { view.text("/status/phase") }
}

fn optional(view: &View<'_>, pointer: &str) -> Value {
    json!(shown(view.object.pointer(pointer)).unwrap_or_else(|| "<unset>".to_owned()))
}

pub(super) fn persistent_volume(view: &View<'_>) -> Vec<Value> {
    let claim = match view.object.pointer("/spec/claimRef") {
        Some(claim @ Value::Object(_)) => format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")),
        _ => String::new(),
    };
    vec![
        json!(view.name()),
        json!(shown(view.object.pointer("/spec/capacity/storage")).unwrap_or_else(|| "0".to_owned())),
        json!(access_modes(view.list("/spec/accessModes"))),
        json!(view.text("/spec/persistentVolumeReclaimPolicy")),
        json!(phase(view)),
        json!(claim),
        json!(view.text("/spec/storageClassName")),
        optional(view, "/spec/volumeAttributesClassName"),
        json!(view.text("/status/reason")),
        view.age(),
        optional(view, "/spec/volumeMode"),
    ]
}

pub(super) fn claim(view: &View<'_>) -> Vec<Value> {
    let bound = !view.text("/spec/volumeName").is_empty();
    let capacity = shown(view.object.pointer("/status/capacity/storage")).unwrap_or_else(|| "0".to_owned());
    vec![
        json!(view.name()),
        json!(phase(view)),
        json!(view.text("/spec/volumeName")),
        json!(if bound { capacity } else { String::new() }),
        json!(if bound { access_modes(view.list("/status/accessModes")) } else { String::new() }),
        json!(view.text("/spec/storageClassName")),
        optional(view, "/spec/volumeAttributesClassName"),
        view.age(),
        optional(view, "/spec/volumeMode"),
    ]
}

pub(super) fn resource_quota(view: &View<'_>) -> Vec<Value> {
    let hard = view.object.pointer("/status/hard").and_then(Value::as_object);
    let names: BTreeSet<&String> = hard.into_iter().flat_map(serde_json::Map::keys).collect();
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for name in names {
        let amount = |map: &str| {
            let found = view.object.pointer(map).and_then(|map| map.get(name));
            shown(found).unwrap_or_else(|| "0".to_owned())
        };
        let text = format!("{name}: {}/{}", amount("/status/used"), amount("/status/hard"));
        if name.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
    }
    vec![json!(view.name()), json!(requests.join(", ")), json!(limits.join(", ")), view.age()]
}

pub(super) fn role_binding(view: &View<'_>) -> Vec<Value> {
    let subjects = |kind: &str| {
        let named = view.list("/subjects").iter().filter(|subject| text(subject, "/kind") == kind);
        let names: Vec<String> = named
            .map(|subject| match kind {
                "ServiceAccount" => format!("{}/{}", text(subject, "/namespace"), text(subject, "/name")),
                _ => text(subject, "/name").to_owned(),
            })
            .collect();
        json!(names.join(", "))
    };
    vec![
        json!(view.name()),
        json!(format!("{}/{}", view.text("/roleRef/kind"), view.text("/roleRef/name"))),
        view.age(),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

pub(super) fn storage_class(view: &View<'_>) -> Vec<Value> {
    let marks =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let annotations = view.object.pointer("/metadata/annotations");
    let default = marks.iter().any(|mark| annotations.and_then(|map| map.get(*mark)) == Some(&json!("true")));
    vec![
        json!(format!("{}{}", view.name(), if default { " (default)" } else { "" })),
        json!(view.text("/provisioner")),
        json!(view.text_or("/reclaimPolicy", "Delete")),
        json!(view.text_or("/volumeBindingMode", "Immediate")),
        json!(view.object.get("allowVolumeExpansion") == Some(&json!(true))),
        view.age(),
    ]
}

pub(super) fn priority_class(view: &View<'_>) -> Vec<Value> {
    vec![
        json!(view.name()),
        json!(view.number("/value")),
        json!(view.object.get("globalDefault") == Some(&json!(true))),
        view.age(),
        json!(view.text("/preemptionPolicy")),
    ]
}
