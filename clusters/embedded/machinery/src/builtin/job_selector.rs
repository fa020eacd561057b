use serde_json::{Map, Value, json};

/// The label that a Job selects its pods by.
const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";

/// Gives a new Job the selector that finds its own pods, and their template the labels that it selects.
///
/// What kube-apiserver 1.33.1 does before it validates, unless `manualSelector` says otherwise. Labels and selectors
/// that are there already stay: where they contradict, the validation refuses them. Expects name and uid.
pub fn select_own_pods(job: &mut Value) {
    if job.pointer("/spec/manualSelector").and_then(Value::as_bool) == Some(true) {
        return;
    }
    let text = |key: &str| job.pointer(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, uid) = (text("/metadata/name"), text("/metadata/uid"));
    let Some(spec) = job.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if let Some(labels) = map_at(spec, &["template", "metadata", "labels"]) {
        for (label, value) in [
            ("job-name", &name),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            (UID_LABEL, &uid),
        ] {
            labels.entry(label).or_insert_with(|| json!(value));
        }
    }
    if let Some(labels) = map_at(spec, &["selector", "matchLabels"]) {
        labels.entry(UID_LABEL).or_insert_with(|| json!(uid));
    }
}

/// The map at a path, made where it is absent; `None` when something else stands there, which decoding refuses.
fn map_at<'a>(root: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    path.iter().try_fold(root, |map, key| {
        let slot = map.entry(*key).or_insert_with(|| json!({}));
        if slot.is_null() {
            *slot = json!({});
        }
        slot.as_object_mut()
    })
}
