use serde_json::{Value, json};

use super::{Object, default, default_absent, each, existing, object_at, pod, spec, text};

pub(super) fn deployment(root: &mut Object) {
    let spec = object_at(root, "spec");
    pod::template(object_at(spec, "template"));
    default_absent(spec, "replicas", json!(1));
    let strategy = object_at(spec, "strategy");
    default(strategy, "type", json!("RollingUpdate"));
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        default_absent(rolling, "maxUnavailable", json!("25%"));
        default_absent(rolling, "maxSurge", json!("25%"));
    }
    default_absent(spec, "revisionHistoryLimit", json!(10));
    default_absent(spec, "progressDeadlineSeconds", json!(600));
    default_absent(root, "status", json!({}));
}

pub(super) fn replica_set(root: &mut Object) {
    let spec = object_at(root, "spec");
    if spec.contains_key("template") {
        pod::template(object_at(spec, "template"));
    }
    default_absent(spec, "replicas", json!(1));
    default_absent(object_at(root, "status"), "replicas", json!(0));
}

pub(super) fn replication_controller(root: &mut Object) {
    let spec = object_at(root, "spec");
    let mut labels = None;
    if spec.contains_key("template") {
        let template = object_at(spec, "template");
        pod::template(template);
        labels = existing(template, "metadata").and_then(|meta| meta.get("labels").cloned());
    }
    default_absent(spec, "replicas", json!(1));
    if let Some(labels) = labels {
        spec.entry("selector").or_insert_with(|| labels.clone());
        object_at(root, "metadata").entry("labels").or_insert(labels);
    }
    default_absent(object_at(root, "status"), "replicas", json!(0));
}

pub(super) fn stateful_set(root: &mut Object) {
    let set = object_at(root, "spec");
    pod::template(object_at(set, "template"));
    for claim in each(set, "volumeClaimTemplates") {
        default(claim, "apiVersion", json!("v1"));
        default(claim, "kind", json!("PersistentVolumeClaim"));
        object_at(claim, "metadata").entry("creationTimestamp").or_insert(Value::Null);
        spec::claim(claim);
    }
    default(set, "podManagementPolicy", json!("OrderedReady"));
    let strategy = object_at(set, "updateStrategy");
    if text(strategy, "type").is_empty() {
        strategy.insert("type".into(), json!("RollingUpdate"));
        object_at(strategy, "rollingUpdate");
    }
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = existing(strategy, "rollingUpdate")
    {
        default_absent(rolling, "partition", json!(0));
    }
    let retention = object_at(set, "persistentVolumeClaimRetentionPolicy");
    default(retention, "whenDeleted", json!("Retain"));
    default(retention, "whenScaled", json!("Retain"));
    default_absent(set, "replicas", json!(1));
    default_absent(set, "revisionHistoryLimit", json!(10));
    let status = object_at(root, "status");
    default_absent(status, "replicas", json!(0));
    default_absent(status, "availableReplicas", json!(0));
}

pub(super) fn daemon_set(root: &mut Object) {
    let spec = object_at(root, "spec");
    pod::template(object_at(spec, "template"));
    let strategy = object_at(spec, "updateStrategy");
    default(strategy, "type", json!("RollingUpdate"));
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        default_absent(rolling, "maxUnavailable", json!(1));
        default_absent(rolling, "maxSurge", json!(0));
    }
    default_absent(spec, "revisionHistoryLimit", json!(10));
    let status = object_at(root, "status");
    for key in ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"] {
        default_absent(status, key, json!(0));
    }
}

pub(super) fn job(root: &mut Object) {
    let spec = object_at(root, "spec");
    job_spec(spec);
    let labels = spec.get("template").and_then(|template| template.pointer("/metadata/labels")).cloned();
    // The Job takes over the labels of its pods when it has none.
    if let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|map| !map.is_empty())) {
        let metadata = object_at(root, "metadata");
        let own = metadata.get("labels").and_then(Value::as_object);
        if own.is_none_or(|own| own.is_empty()) {
            metadata.insert("labels".into(), labels);
        }
    }
    default_absent(root, "status", json!({}));
}

fn job_spec(spec: &mut Object) {
    pod::template(object_at(spec, "template"));
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".into(), json!(1));
    }
    default_absent(spec, "parallelism", json!(1));
    // With a limit for each index none for all is meant.
    let limit = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    default_absent(spec, "backoffLimit", json!(limit));
    default(spec, "completionMode", json!("NonIndexed"));
    default_absent(spec, "suspend", json!(false));
    default_absent(spec, "manualSelector", json!(false));
    let replacement = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default(spec, "podReplacementPolicy", json!(replacement));
}

pub(super) fn cron_job(root: &mut Object) {
    let spec = object_at(root, "spec");
    let template = object_at(spec, "jobTemplate");
    object_at(template, "metadata").entry("creationTimestamp").or_insert(Value::Null);
    // Within a CronJob only the pods' template gets defaults; the job gets its own when it is made.
    pod::template(object_at(object_at(template, "spec"), "template"));
    default(spec, "concurrencyPolicy", json!("Allow"));
    default_absent(spec, "suspend", json!(false));
    default_absent(spec, "successfulJobsHistoryLimit", json!(3));
    default_absent(spec, "failedJobsHistoryLimit", json!(1));
    default_absent(root, "status", json!({}));
}

pub(super) fn autoscaler(root: &mut Object) {
    let spec = object_at(root, "spec");
    default_absent(spec, "minReplicas", json!(1));
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        spec.insert(
            "metrics".into(),
            json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
        );
    }
}
