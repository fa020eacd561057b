use serde_json::Value;

use super::{Found, given, invalid_each, list, one_of, text};
use crate::FieldError;
use crate::meta::{dns1035_label, dns1123_subdomain};
use crate::schema::Structural;

pub(super) fn definition(new: &Value, old: Option<&Value>, found: &mut Found) {
    let spec = new.get("spec").unwrap_or(&Value::Null);
    let names = spec.get("names").unwrap_or(&Value::Null);
    let (group, plural) = (text(spec, "group"), text(names, "plural"));
    let name = new.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if name != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        found.push(FieldError::invalid("metadata.name", name, detail));
    }
    match group {
        "" => found.push(FieldError::required("spec.group", "")),
        _ if !group.contains('.') => {
            found.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
        }
        _ => invalid_each(found, "spec.group", group, dns1123_subdomain(group)),
    }
    one_of(found, text(spec, "scope"), &["Cluster", "Namespaced"], "spec.scope");
    for key in ["plural", "singular", "kind", "listKind"] {
        match text(names, key) {
            "" => found.push(FieldError::required(format!("spec.names.{key}"), "")),
            word => {
                invalid_each(found, &format!("spec.names.{key}"), word, dns1035_label(&word.to_lowercase()))
            }
        }
    }
    versions(spec, found);
    if let Some(old) = old.and_then(|old| old.get("spec")) {
        for key in ["group", "scope"] {
            if text(spec, key) != text(old, key) {
                found.push(FieldError::invalid(format!("spec.{key}"), text(spec, key), "field is immutable"));
            }
        }
    }
}

fn versions(spec: &Value, found: &mut Found) {
    let versions = list(spec, "versions");
    let stored = versions.iter().filter(|version| version.get("storage") == Some(&Value::Bool(true))).count();
    if stored != 1 {
        let detail = "must have exactly one version marked as storage version";
        let names: Vec<Value> = versions.iter().filter_map(|version| version.get("name").cloned()).collect();
        found.push(FieldError::invalid("spec.versions", Value::Array(names), detail));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        match text(version, "name") {
            "" => found.push(FieldError::required(format!("{path}.name"), "")),
            name => invalid_each(found, &format!("{path}.name"), name, dns1035_label(name)),
        }
        for (index, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
            let path = format!("{path}.additionalPrinterColumns[{index}]");
            for key in ["name", "jsonPath"] {
                if text(column, key).is_empty() {
                    found.push(FieldError::required(format!("{path}.{key}"), ""));
                }
            }
            let kinds = ["boolean", "date", "integer", "number", "string"];
            let kind = text(column, "type");
            if !kinds.contains(&kind) {
                let detail = format!("must be one of {}", kinds.join(","));
                found.push(FieldError::invalid(format!("{path}.type"), kind, detail));
            }
        }
        let Some(schema) = version.pointer("/schema/openAPIV3Schema") else {
            let field = format!("{path}.schema.openAPIV3Schema");
            found.push(FieldError::required(field, "schemas are required"));
            continue;
        };
        if let Err(faults) = Structural::parse(schema) {
            found.extend(faults.0);
        }
        if given(version, "subresources") {
            scale(version, &path, found);
        }
    }
}

fn scale(version: &Value, path: &str, found: &mut Found) {
    let Some(scale) = version.pointer("/subresources/scale").filter(|scale| !scale.is_null()) else { return };
    for (key, prefix) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let field = format!("{path}.subresources.scale.{key}");
        match text(scale, key) {
            "" => found.push(FieldError::required(field, "")),
            place if !place.starts_with(prefix) => {
                let root = prefix.trim_matches('.');
                found.push(FieldError::invalid(field, place, format!("should be a json path under .{root}")));
            }
            _ => {}
        }
    }
}
