use serde_json::{Value, json};

use super::{Found, list, same, text};
use crate::FieldError;

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
     `spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be \
     set to 1 if it was previously negative)";

/// What of a Pod may change. The API server adds a diff of the two specs in Go's syntax to the last message; here
/// the changed fields are named instead.
pub(super) fn unchanged(new: &Value, old: &Value, found: &mut Found) {
    let empty = json!({});
    let (new, old) = (new.get("spec").unwrap_or(&empty), old.get("spec").unwrap_or(&empty));
    for key in ["containers", "initContainers"] {
        let (before, after) = (list(old, key), list(new, key));
        if before.len() != after.len() {
            let detail = "pod updates may not add or remove containers";
            found.push(FieldError::forbidden(format!("spec.{key}"), detail));
            return;
        }
        for (index, container) in after.iter().enumerate() {
            let image = text(container, "image");
            if image.trim() != image {
                let detail = "must not have leading or trailing whitespace";
                found.push(FieldError::invalid(format!("spec.{key}[{index}].image"), image, detail));
            }
        }
    }
    let kept =
        list(old, "tolerations").iter().all(|toleration| list(new, "tolerations").contains(toleration));
    if !kept {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        found.push(FieldError::forbidden("spec.tolerations", detail));
    }
    let changed = changed_fields(new, old);
    if !changed.is_empty() {
        let detail =
            format!("pod updates may not change fields other than {UPDATABLE}\n{}", changed.join("\n"));
        found.push(FieldError::forbidden("spec", detail));
    }
}

fn changed_fields(new: &Value, old: &Value) -> Vec<String> {
    let munged = with_old_mutable_fields(new, old);
    let keys = |spec: &Value| spec.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    let mut names: Vec<String> = keys(&munged);
    names.extend::<Vec<String>>(keys(old));
    names.sort();
    names.dedup();
    names.retain(|name| !same(munged.get(name), old.get(name)));
    let shown = |value: Option<&Value>| value.map_or_else(|| "nil".to_owned(), ToString::to_string);
    names
        .iter()
        .map(|name| format!("- {name}: {}\n+ {name}: {}", shown(old.get(name)), shown(munged.get(name))))
        .collect()
}

/// The new spec with the old values of what may change, so that only what may not is left to differ.
fn with_old_mutable_fields(new: &Value, old: &Value) -> Value {
    let mut munged = new.clone();
    let Some(fields) = munged.as_object_mut() else { return munged };
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        fields.shift_remove(key);
        if let Some(value) = old.get(key) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    for key in ["containers", "initContainers"] {
        let containers = fields.get_mut(key).and_then(Value::as_array_mut);
        for (container, before) in containers.into_iter().flatten().zip(list(old, key)) {
            if let (Some(container), Some(image)) = (container.as_object_mut(), before.get("image")) {
                container.insert("image".to_owned(), image.clone());
            }
        }
    }
    let grace = "terminationGracePeriodSeconds";
    if old.get(grace).and_then(Value::as_i64).is_some_and(|seconds| seconds < 0)
        && fields.get(grace) == Some(&json!(1))
    {
        fields.insert(grace.to_owned(), old[grace].clone());
    }
    munged
}
