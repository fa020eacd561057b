use serde_json::{Map, Value};

use super::NameRule;
use super::names::{dns1123_label, label_value, qualified_name};
use crate::FieldError;

const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Checks `metadata` of a new object. `path` is the field of the metadata, usually `metadata`.
pub fn validate_object_meta(meta: &Value, namespaced: bool, rule: NameRule, path: &str) -> Vec<FieldError> {
    let text = |key: &str| meta.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut errors = Vec::new();
    let prefix = text("generateName");
    if !prefix.is_empty() {
        let faults = rule.check(prefix, true);
        errors.extend(
            faults.into_iter().map(|f| FieldError::invalid(format!("{path}.generateName"), prefix, f)),
        );
    }
    let name = text("name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), "name or generateName is required"));
    } else {
        let faults = rule.check(name, false);
        errors.extend(faults.into_iter().map(|f| FieldError::invalid(format!("{path}.name"), name, f)));
    }
    let namespace = text("namespace");
    match (namespaced, namespace) {
        (true, "") => errors.push(FieldError::required(format!("{path}.namespace"), "")),
        (true, namespace) => errors.extend(
            dns1123_label(namespace)
                .into_iter()
                .map(|f| FieldError::invalid(format!("{path}.namespace"), namespace, f)),
        ),
        (false, "") => {}
        (false, _) => {
            errors.push(FieldError::forbidden(format!("{path}.namespace"), "not allowed on this type"))
        }
    }
    errors.extend(validate_labels(meta.get("labels"), &format!("{path}.labels")));
    errors.extend(validate_annotations(meta.get("annotations"), &format!("{path}.annotations")));
    errors.extend(validate_owners(meta.get("ownerReferences"), &format!("{path}.ownerReferences")));
    errors.extend(validate_finalizers(meta.get("finalizers"), &format!("{path}.finalizers")));
    errors
}

/// Checks `metadata` of a changed object against the stored one: what may not change, and the forms of what may.
pub fn validate_object_meta_update(new: &Value, old: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if old.get("deletionTimestamp").is_some_and(|stamp| !stamp.is_null()) {
        errors.extend(no_new_finalizers(new, old, path));
    }
    if new.get("resourceVersion").and_then(Value::as_str).unwrap_or_default().is_empty() {
        errors.push(FieldError::invalid(
            format!("{path}.resourceVersion"),
            "",
            "must be specified for an update",
        ));
    }
    let unchanging =
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for key in unchanging {
        let present = |meta: &Value| meta.get(key).filter(|v| !v.is_null() && *v != "").cloned();
        let (before, after) = (present(old), present(new));
        if before != after {
            let shown = after.unwrap_or(if key.starts_with("deletion") { Value::Null } else { "".into() });
            errors.push(FieldError::invalid(format!("{path}.{key}"), shown, "field is immutable"));
        }
    }
    errors.extend(validate_labels(new.get("labels"), &format!("{path}.labels")));
    errors.extend(validate_annotations(new.get("annotations"), &format!("{path}.annotations")));
    errors.extend(validate_owners(new.get("ownerReferences"), &format!("{path}.ownerReferences")));
    errors
}

/// Checks the keys and values of a map of labels.
pub fn validate_labels(labels: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in entries(labels) {
        errors.extend(qualified_name(key).into_iter().map(|f| FieldError::invalid(path, key.as_str(), f)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(label_value(value).into_iter().map(|f| FieldError::invalid(path, value, f)));
    }
    errors
}

/// Checks a `metav1.LabelSelector`.
pub fn validate_label_selector(selector: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = validate_labels(selector.get("matchLabels"), &format!("{path}.matchLabels"));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for (index, expression) in expressions.into_iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = expression.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let operator = expression.get("operator").and_then(Value::as_str).unwrap_or_default();
        match operator {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                format!("{path}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
                format!("{path}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            unknown => errors.push(FieldError::invalid(
                format!("{path}.operator"),
                unknown,
                "not a valid selector operator",
            )),
        }
        let key = expression.get("key").and_then(Value::as_str).unwrap_or_default();
        let faults = qualified_name(key);
        errors.extend(faults.into_iter().map(|f| FieldError::invalid(format!("{path}.key"), key, f)));
        for (position, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            let field = format!("{path}.values[{position}]");
            errors.extend(
                label_value(value).into_iter().map(|f| FieldError::invalid(field.as_str(), value, f)),
            );
        }
    }
    errors
}

fn entries(map: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn items<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn validate_annotations(annotations: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in entries(annotations) {
        let faults = qualified_name(&key.to_lowercase());
        errors.extend(faults.into_iter().map(|f| FieldError::invalid(path, key.as_str(), f)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(path, ANNOTATIONS_LIMIT));
    }
    errors
}

fn validate_owners(owners: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for owner in owners.and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default();
        let words = [("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")];
        for (key, word) in words {
            if text(key).is_empty() {
                errors.push(FieldError::invalid(
                    format!("{path}.{key}"),
                    "",
                    format!("{word} must not be empty"),
                ));
            }
        }
        if owner.get("controller").and_then(Value::as_bool) != Some(true) {
            continue;
        }
        let this = format!("{}/{}", text("kind"), text("name"));
        match &controller {
            None => controller = Some(this),
            Some(first) => errors.push(FieldError::invalid(
                path,
                owners.cloned().unwrap_or_default(),
                format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
                     and {this}"
                ),
            )),
        }
    }
    errors
}

fn validate_finalizers(finalizers: Option<&Value>, path: &str) -> Vec<FieldError> {
    let list = finalizers.and_then(Value::as_array);
    let mut errors = Vec::new();
    for finalizer in list.into_iter().flatten().filter_map(Value::as_str) {
        errors.extend(qualified_name(finalizer).into_iter().map(|f| FieldError::invalid(path, finalizer, f)));
    }
    errors
}

fn no_new_finalizers(new: &Value, old: &Value, path: &str) -> Option<FieldError> {
    let before = items(old, "finalizers");
    let mut extra: Vec<&str> =
        items(new, "finalizers").iter().filter(|f| !before.contains(f)).filter_map(Value::as_str).collect();
    extra.sort_unstable();
    if extra.is_empty() {
        return None;
    }
    let shown: Vec<String> = extra.iter().map(|name| format!("{name:?}")).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        shown.join(", ")
    );
    Some(FieldError::forbidden(format!("{path}.finalizers"), detail))
}
