use serde_json::Value;

use super::{Found, entries, invalid_each, same, text};
use crate::FieldError;
use crate::meta::config_map_key;

const LARGEST: usize = 1024 * 1024;
const FROZEN: &str = "field is immutable when `immutable` is set";

pub(super) fn config_map(new: &Value, old: Option<&Value>, found: &mut Found) {
    frozen(new, old, &["data", "binaryData"], found);
    let mut size = 0;
    for (key, value) in entries(new, "data") {
        let field = format!("data[{key}]");
        invalid_each(found, &field, key, config_map_key(key));
        if new.get("binaryData").is_some_and(|binary| binary.get(key).is_some()) {
            found.push(FieldError::invalid(field, key.as_str(), "duplicate of key present in binaryData"));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in entries(new, "binaryData") {
        invalid_each(found, &format!("binaryData[{key}]"), key, config_map_key(key));
        size += decoded_length(value);
    }
    if size > LARGEST {
        found.push(FieldError::too_long("", LARGEST));
    }
}

pub(super) fn secret(new: &Value, old: Option<&Value>, found: &mut Found) {
    if let Some(old) = old
        && text(new, "type") != text(old, "type")
    {
        found.push(FieldError::invalid("type", text(new, "type"), "field is immutable"));
    }
    frozen(new, old, &["data"], found);
    let mut size = 0;
    for (key, value) in entries(new, "data") {
        invalid_each(found, &format!("data[{key}]"), key, config_map_key(key));
        size += decoded_length(value);
    }
    if size > LARGEST {
        found.push(FieldError::too_long("data", LARGEST));
    }
    required_keys(new, found);
}

/// What the types of secrets that Kubernetes knows must hold.
fn required_keys(secret: &Value, found: &mut Found) {
    let held = |key: &str| secret.get("data").is_some_and(|data| data.get(key).is_some());
    let needed: &[&str] = match text(secret, "type") {
        "kubernetes.io/service-account-token" => {
            let name = secret.pointer("/metadata/annotations/kubernetes.io~1service-account.name");
            if name.and_then(Value::as_str).unwrap_or_default().is_empty() {
                let field = "metadata.annotations[kubernetes.io/service-account.name]";
                found.push(FieldError::required(field, ""));
            }
            return;
        }
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" if !held("username") && !held("password") => &["username", "password"],
        _ => return,
    };
    for key in needed.iter().filter(|key| !held(key)) {
        found.push(FieldError::required(format!("data[{key}]"), ""));
    }
}

fn frozen(new: &Value, old: Option<&Value>, fields: &[&str], found: &mut Found) {
    let is_frozen = |object: &Value| object.get("immutable").and_then(Value::as_bool) == Some(true);
    let Some(old) = old.filter(|old| is_frozen(old)) else { return };
    if !is_frozen(new) {
        found.push(FieldError::forbidden("immutable", FROZEN));
    }
    for field in fields.iter().filter(|field| !same(new.get(**field), old.get(**field))) {
        found.push(FieldError::forbidden(*field, FROZEN));
    }
}

fn decoded_length(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4)
}
