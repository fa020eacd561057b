use serde_json::Value;

use super::{Found, given, invalid_each, list, one_of, same, text};
use crate::FieldError;
use crate::meta::{dns1123_subdomain, validate_label_selector};
use crate::quantity::Quantity;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

pub(super) fn claim(new: &Value, old: Option<&Value>, found: &mut Found) {
    let spec = new.get("spec").unwrap_or(&Value::Null);
    access_modes(spec, "at least 1 access mode is required", found);
    if let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) {
        found.extend(validate_label_selector(selector, "spec.selector"));
    }
    let field = "spec.resources[storage]";
    match spec.pointer("/resources/requests/storage") {
        None => found.push(FieldError::required(field, "")),
        Some(amount) => {
            if let Ok(parsed) = Quantity::from_value(amount)
                && parsed.value() <= 0
            {
                found.push(FieldError::invalid(field, parsed.to_string(), "must be greater than zero"));
            }
        }
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        invalid_each(found, "spec.storageClassName", class, dns1123_subdomain(class));
    }
    let mode = text(spec, "volumeMode");
    if !mode.is_empty() && !VOLUME_MODES.contains(&mode) {
        found.push(FieldError::not_supported("spec.volumeMode", mode, VOLUME_MODES));
    }
    if let Some(old) = old {
        claim_unchanged(new, old, found);
    }
}

/// A claim's spec stays, but for its volume's name (once) and, when it is bound, its size. The API server adds a
/// diff in Go's syntax, which is left out here.
fn claim_unchanged(new: &Value, old: &Value, found: &mut Found) {
    let bound = new.pointer("/status/phase").and_then(Value::as_str) == Some("Bound");
    let unbound = old.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default().is_empty();
    let fixed = |object: &Value| {
        let mut spec = object.get("spec").cloned().unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            if unbound {
                fields.shift_remove("volumeName");
            }
            if bound {
                fields.shift_remove("resources");
                fields.shift_remove("volumeAttributesClassName");
            }
        }
        spec
    };
    if !same(Some(&fixed(new)), Some(&fixed(old))) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
             bound claims";
        found.push(FieldError::forbidden("spec", detail));
    }
    let size = |object: &Value, pointer: &str| Quantity::from_value(object.pointer(pointer)?).ok();
    let requested = "/spec/resources/requests/storage";
    if let (Some(after), Some(before)) = (size(new, requested), size(old, requested))
        && after < before
        && size(old, "/status/capacity/storage").is_none_or(|capacity| after <= capacity)
    {
        let detail = "field can not be less than status.capacity";
        found.push(FieldError::forbidden("spec.resources.requests.storage", detail));
    }
}

fn access_modes(spec: &Value, missing: &str, found: &mut Found) {
    let modes = list(spec, "accessModes");
    if modes.is_empty() {
        found.push(FieldError::required("spec.accessModes", missing));
    }
    for mode in modes.iter().filter(|mode| !MODES.iter().any(|known| mode == known)) {
        found.push(FieldError::not_supported("spec.accessModes", mode.clone(), MODES));
    }
    let exclusive = modes.iter().filter(|mode| *mode == "ReadWriteOncePod").count();
    if exclusive > 0 && exclusive < modes.len() {
        let detail = "may not use ReadWriteOncePod with other access modes";
        found.push(FieldError::forbidden("spec.accessModes", detail));
    }
}

pub(super) fn volume(new: &Value, found: &mut Found) {
    let spec = new.get("spec").unwrap_or(&Value::Null);
    access_modes(spec, "", found);
    if super::entries(spec, "capacity").next().is_none() {
        found.push(FieldError::required("spec.capacity", ""));
    }
    let plain = [
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    ];
    let sources =
        spec.as_object().into_iter().flatten().filter(|(key, _)| !plain.contains(&key.as_str())).count();
    if sources == 0 {
        found.push(FieldError::required("spec", "must specify a volume type"));
    }
    let policies = ["Delete", "Recycle", "Retain"];
    let field = "spec.persistentVolumeReclaimPolicy";
    one_of(found, text(spec, "persistentVolumeReclaimPolicy"), &policies, field);
}

pub(super) fn class(new: &Value, old: Option<&Value>, found: &mut Found) {
    if text(new, "provisioner").is_empty() {
        found.push(FieldError::required("provisioner", ""));
    }
    if given(new, "reclaimPolicy") {
        one_of(found, text(new, "reclaimPolicy"), &["Delete", "Retain"], "reclaimPolicy");
    }
    let modes = ["Immediate", "WaitForFirstConsumer"];
    one_of(found, text(new, "volumeBindingMode"), &modes, "volumeBindingMode");
    let Some(old) = old else { return };
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if !same(new.get(field), old.get(field)) {
            let detail = format!("updates to {field} are forbidden.");
            found.push(FieldError::forbidden(field, detail));
        }
    }
    if text(new, "volumeBindingMode") != text(old, "volumeBindingMode") {
        let shown = text(new, "volumeBindingMode");
        found.push(FieldError::invalid("volumeBindingMode", shown, "field is immutable"));
    }
}
