use serde_json::{Value, json};

use super::go_syntax::{label_selector, string_map};
use super::{Found, given, list, non_negative, number, pod, same, text};
use crate::FieldError;
use crate::meta::{dns1123_label, validate_label_selector};
use crate::selector::Labels;

/// An Indexed Job's highest parallelism and number of failed indexes.
const MOST_INDEXES: i64 = 100_000;
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

pub(super) fn job(new: &Value, old: Option<&Value>, found: &mut Found) {
    let empty = json!({});
    let spec = new.get("spec").unwrap_or(&empty);
    generated_selector(new, spec, found);
    job_spec(spec, "spec", found);
    selector(spec, found);
    host_name(new, spec, found);
    if let Some(old) = old {
        unchanged(spec, old.get("spec").unwrap_or(&empty), old, found);
    }
}

/// The spec of a Job, or of the Jobs of a CronJob, at `path`.
pub(super) fn job_spec(spec: &Value, path: &str, found: &mut Found) {
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        non_negative(found, spec, key, path);
    }
    if given(spec, "maxFailedIndexes") && !given(spec, "backoffLimitPerIndex") {
        let detail = "when maxFailedIndexes is specified";
        found.push(FieldError::required(format!("{path}.backoffLimitPerIndex"), detail));
    }
    match text(spec, "completionMode") {
        "Indexed" => indexed(spec, path, found),
        mode => not_indexed(spec, mode, path, found),
    }
    if given(spec, "podFailurePolicy") {
        // Served by kube-apiserver; here nobody would follow it, and a policy that is not followed is worse than none.
        let detail = "pod failure policies are not followed by this cluster";
        found.push(FieldError::forbidden(format!("{path}.podFailurePolicy"), detail));
    }
    let replacement = text(spec, "podReplacementPolicy");
    let known = ["Failed", "TerminatingOrFailed"];
    if !replacement.is_empty() && !known.contains(&replacement) {
        found.push(FieldError::not_supported(format!("{path}.podReplacementPolicy"), replacement, known));
    }
    pod::template(spec.get("template"), &format!("{path}.template"), found);
    let field = format!("{path}.template.spec.restartPolicy");
    match spec.pointer("/template/spec/restartPolicy").and_then(Value::as_str).unwrap_or_default() {
        "OnFailure" | "Never" => {}
        "" | "Always" => {
            found.push(FieldError::required(field, "valid values: \"OnFailure\", \"Never\""));
        }
        other => found.push(FieldError::not_supported(field, other, ["OnFailure", "Never"])),
    }
}

fn indexed(spec: &Value, path: &str, found: &mut Found) {
    let completions = number(spec, "completions");
    if completions.is_none() {
        let detail = "when completion mode is Indexed";
        found.push(FieldError::required(format!("{path}.completions"), detail));
    }
    if let Some(parallelism) = number(spec, "parallelism").filter(|wish| *wish > MOST_INDEXES) {
        let detail = format!("must be less than or equal to {MOST_INDEXES} when completion mode is Indexed");
        found.push(FieldError::invalid(format!("{path}.parallelism"), parallelism, detail));
    }
    if let Some(most) = number(spec, "maxFailedIndexes") {
        let field = format!("{path}.maxFailedIndexes");
        if completions.is_some_and(|completions| most > completions) {
            let detail = "must be less than or equal to completions";
            found.push(FieldError::invalid(field.as_str(), most, detail));
        }
        if most > MOST_INDEXES {
            let detail = format!("must be less than or equal to {MOST_INDEXES}");
            found.push(FieldError::invalid(field, most, detail));
        }
    }
    if let Some(policy) = spec.get("successPolicy").filter(|policy| !policy.is_null()) {
        success_policy(policy, completions.unwrap_or(0), &format!("{path}.successPolicy"), found);
    }
}

fn not_indexed(spec: &Value, mode: &str, path: &str, found: &mut Found) {
    if !["", "NonIndexed"].contains(&mode) {
        let known = ["NonIndexed", "Indexed"];
        found.push(FieldError::not_supported(format!("{path}.completionMode"), mode, known));
        return;
    }
    for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(value) = number(spec, key) {
            let detail = "requires indexed completion mode";
            found.push(FieldError::invalid(format!("{path}.{key}"), value, detail));
        }
    }
    if given(spec, "successPolicy") {
        let shown = spec["successPolicy"].clone();
        let detail = "requires indexed completion mode";
        found.push(FieldError::invalid(format!("{path}.successPolicy"), shown, detail));
    }
}

fn success_policy(policy: &Value, completions: i64, path: &str, found: &mut Found) {
    let rules = list(policy, "rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        found.push(FieldError::required(format!("{path}.rules"), detail));
    }
    if rules.len() > 20 {
        found.push(FieldError::too_many(format!("{path}.rules"), rules.len(), 20));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}.rules[{index}]");
        if !given(rule, "succeededCount") && !given(rule, "succeededIndexes") {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            found.push(FieldError::required(path.as_str(), detail));
        }
        non_negative(found, rule, "succeededCount", &path);
        if let Some(count) = number(rule, "succeededCount").filter(|count| *count > completions) {
            let detail =
                format!("must be less than or equal to {completions} (the number of specified completions)");
            found.push(FieldError::invalid(format!("{path}.succeededCount"), count, detail));
        }
    }
}

/// The labels that the server has put on the template are those of this Job, unless its author selects by hand.
fn generated_selector(job: &Value, spec: &Value, found: &mut Found) {
    if spec.get("manualSelector").and_then(Value::as_bool) == Some(true) || !given(spec, "selector") {
        return;
    }
    let own = |key: &str| job.pointer(key).and_then(Value::as_str).unwrap_or_default();
    let (uid, name) = (own("/metadata/uid"), own("/metadata/name"));
    let labels = spec.pointer("/template/metadata/labels").unwrap_or(&Value::Null);
    let expected =
        [(UID_LABELS[0], uid), (NAME_LABELS[0], name), (UID_LABELS[1], uid), (NAME_LABELS[1], name)];
    let mut generated = json!({});
    for (label, value) in expected {
        generated[label] = json!(value);
        let field = format!("spec.template.metadata.labels[{label}]");
        let detail = format!("must be '{value}'");
        match labels.get(label).and_then(Value::as_str) {
            Some(actual) if actual == value => {}
            Some(_) => found.push(FieldError::invalid_verbatim(field, string_map(Some(labels)), detail)),
            None => found.push(FieldError::required(field, detail)),
        }
    }
    let selector = &spec["selector"];
    if Labels::from_label_selector(selector).is_ok_and(|selector| !selector.matches(&generated)) {
        let shown = label_selector(selector);
        found.push(FieldError::invalid_verbatim("spec.selector", shown, "`selector` not auto-generated"));
    }
}

fn selector(spec: &Value, found: &mut Found) {
    let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) else {
        found.push(FieldError::required("spec.selector", ""));
        return;
    };
    found.extend(validate_label_selector(selector, "spec.selector"));
    let labels = spec.pointer("/template/metadata/labels");
    if let Ok(selector) = Labels::from_label_selector(selector)
        && !selector.matches(labels.unwrap_or(&Value::Null))
    {
        let detail = "`selector` does not match template `labels`";
        let field = "spec.template.metadata.labels";
        found.push(FieldError::invalid_verbatim(field, string_map(labels), detail));
    }
}

/// The pods of an Indexed Job have the Job's name and their index for a host name.
fn host_name(job: &Value, spec: &Value, found: &mut Found) {
    let Some(completions) = number(spec, "completions").filter(|completions| *completions > 0) else {
        return;
    };
    let name = job.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let longest = format!("{name}-{}", completions - 1);
    if text(spec, "completionMode") == "Indexed" && !dns1123_label(&longest).is_empty() {
        let detail = format!("will not able to create pod with invalid DNS label: {longest}");
        found.push(FieldError::invalid("metadata.name", name, detail));
    }
}

fn unchanged(new: &Value, old: &Value, old_job: &Value, found: &mut Found) {
    const IMMUTABLE: &str = "field is immutable";
    let differ = |key: &str| !same(new.get(key), old.get(key));
    let parallelism = number(new, "parallelism");
    if differ("completions") {
        let (shown, field) = (new.get("completions").cloned().unwrap_or_default(), "spec.completions");
        if text(new, "completionMode") != "Indexed" {
            found.push(FieldError::invalid(field, shown, IMMUTABLE));
        } else if shown.as_i64() != parallelism {
            let detail = "can only be modified in tandem with spec.parallelism";
            found.push(FieldError::invalid(field, shown, detail));
        }
    }
    if differ("selector") {
        let shown = label_selector(new.get("selector").unwrap_or(&Value::Null));
        found.push(FieldError::invalid_verbatim("spec.selector", shown, IMMUTABLE));
    }
    let suspended = old.get("suspend").and_then(Value::as_bool) == Some(true);
    let may_move = suspended && old_job.pointer("/status/startTime").is_none_or(Value::is_null);
    let (template, before) = (frozen(new, may_move), frozen(old, may_move));
    if !same(Some(&template), Some(&before)) {
        // The server prints the whole template in Go's syntax.
        let shown = "core.PodTemplateSpec{...}";
        found.push(FieldError::invalid_verbatim("spec.template", shown, IMMUTABLE));
    }
    for key in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        if differ(key) {
            let shown = new.get(key).cloned().unwrap_or_default();
            found.push(FieldError::invalid(format!("spec.{key}"), shown, IMMUTABLE));
        }
    }
}

/// What of the template may not change: of a Job that has not begun, where its pods go is free.
fn frozen(spec: &Value, may_move: bool) -> Value {
    let mut template = spec.get("template").cloned().unwrap_or_default();
    if may_move {
        for (path, free) in [
            ("/spec/affinity", &["nodeAffinity"][..]),
            ("/spec", &["nodeSelector", "tolerations", "schedulingGates"]),
            ("/metadata", &["annotations", "labels"]),
        ] {
            let part = template.pointer_mut(path).and_then(Value::as_object_mut);
            part.into_iter().for_each(|part| part.retain(|key, _| !free.contains(&key.as_str())));
        }
    }
    template
}
