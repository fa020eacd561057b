use std::collections::HashSet;

use serde_json::Value;

use super::probe::{Kind, lifecycle, probe};
use super::{Found, entries, given, invalid_each, list, number, one_of, port_number, text};
use crate::FieldError;
use crate::meta::{config_map_key, dns1123_label, env_var_name, port_name, qualified_name};
use crate::quantity::Quantity;

/// Which list a container stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Main,
    Init,
}

pub(super) fn container(
    container: &Value,
    role: Role,
    volumes: &HashSet<String>,
    path: &str,
    found: &mut Found,
) {
    match text(container, "name") {
        "" => found.push(FieldError::required(format!("{path}.name"), "")),
        name => invalid_each(found, &format!("{path}.name"), name, dns1123_label(name)),
    }
    match text(container, "image") {
        "" => found.push(FieldError::required(format!("{path}.image"), "")),
        image if image.trim() != image => {
            let detail = "must not have leading or trailing whitespace";
            found.push(FieldError::invalid(format!("{path}.image"), image, detail));
        }
        _ => {}
    }
    let policies = ["File", "FallbackToLogsOnError"];
    let field = format!("{path}.terminationMessagePolicy");
    one_of(found, text(container, "terminationMessagePolicy"), &policies, &field);
    ports(container, path, found);
    environment(container, path, found);
    mounts(container, volumes, path, found);
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(found, text(container, "imagePullPolicy"), &policies, &format!("{path}.imagePullPolicy"));
    resources(container, path, found);
    let sidecar = text(container, "restartPolicy") == "Always";
    if role == Role::Init && !sidecar {
        for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if given(container, key) {
                let detail = "may not be set for init containers without restartPolicy=Always";
                found.push(FieldError::forbidden(format!("{path}.{key}"), detail));
            }
        }
        return;
    }
    lifecycle(container.get("lifecycle"), &format!("{path}.lifecycle"), found);
    let probes = [
        ("livenessProbe", Kind::Liveness),
        ("readinessProbe", Kind::Readiness),
        ("startupProbe", Kind::Startup),
    ];
    for (key, kind) in probes {
        probe(container.get(key), kind, &format!("{path}.{key}"), found);
    }
}

fn ports(container: &Value, path: &str, found: &mut Found) {
    let mut names = HashSet::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            let faults = port_name(name);
            if faults.is_empty() && !names.insert(name) {
                found.push(FieldError::duplicate(format!("{path}.name"), name));
            }
            invalid_each(found, &format!("{path}.name"), name, faults);
        }
        match number(port, "containerPort").unwrap_or_default() {
            0 => found.push(FieldError::required(format!("{path}.containerPort"), "")),
            number => port_number(found, number, &format!("{path}.containerPort")),
        }
        if let Some(host) = number(port, "hostPort").filter(|port| *port != 0) {
            port_number(found, host, &format!("{path}.hostPort"));
        }
        one_of(found, text(port, "protocol"), &["SCTP", "TCP", "UDP"], &format!("{path}.protocol"));
    }
}

fn environment(container: &Value, path: &str, found: &mut Found) {
    for (index, variable) in list(container, "env").iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        match text(variable, "name") {
            "" => found.push(FieldError::required(format!("{path}.name"), "")),
            name => invalid_each(found, &format!("{path}.name"), name, env_var_name(name)),
        }
        let Some(source) = variable.get("valueFrom").filter(|source| !source.is_null()) else { continue };
        let path = format!("{path}.valueFrom");
        let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"];
        let sources = kinds.iter().filter(|kind| given(source, kind)).count();
        for kind in ["configMapKeyRef", "secretKeyRef"] {
            if let Some(reference) = source.get(kind).filter(|reference| !reference.is_null()) {
                key_reference(reference, &format!("{path}.{kind}"), found);
            }
        }
        let detail = match sources {
            0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            _ if !text(variable, "value").is_empty() => "may not be specified when `value` is not empty",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        found.push(FieldError::invalid(path, "", detail));
    }
}

fn key_reference(reference: &Value, path: &str, found: &mut Found) {
    if text(reference, "name").is_empty() {
        found.push(FieldError::required(format!("{path}.name"), ""));
    }
    match text(reference, "key") {
        "" => found.push(FieldError::required(format!("{path}.key"), "")),
        key => invalid_each(found, &format!("{path}.key"), key, config_map_key(key)),
    }
}

fn mounts(container: &Value, volumes: &HashSet<String>, path: &str, found: &mut Found) {
    let mut places = HashSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let item = format!("{path}.volumeMounts[{index}]");
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            found.push(FieldError::required(format!("{item}.name"), ""));
        }
        if !volumes.contains(name) {
            found.push(FieldError::not_found(format!("{item}.name"), name));
        }
        if place.is_empty() {
            found.push(FieldError::required(format!("{item}.mountPath"), ""));
        }
        if !places.insert(place) {
            found.push(FieldError::invalid(format!("{item}.mountPath"), place, "must be unique"));
        }
        // The server names the list here, not the item.
        for key in ["subPath", "subPathExpr"] {
            let inner = text(mount, key);
            let field = format!("{path}.volumeMounts.{key}");
            if inner.starts_with('/') {
                found.push(FieldError::invalid(field, inner, "must be a relative path"));
            } else if inner.split('/').any(|part| part == "..") {
                found.push(FieldError::invalid(field, inner, "must not contain '..'"));
            }
        }
    }
}

fn resources(container: &Value, path: &str, found: &mut Found) {
    let Some(resources) = container.get("resources") else { return };
    let parse = |value: &Value| Quantity::from_value(value).ok();
    for key in ["limits", "requests"] {
        for (name, amount) in entries(resources, key) {
            let field = format!("{path}.resources.{key}[{name}]");
            // The server names the list where a resource's name is at fault.
            let owner = format!("{path}.resources.{key}");
            if !name.contains('/') && !is_standard_resource(name) {
                let detail = "must be a standard resource for containers";
                found.push(FieldError::invalid(owner.as_str(), name.as_str(), detail));
            } else {
                invalid_each(found, &owner, name, qualified_name(name));
            }
            if parse(amount).is_some_and(|amount| amount.is_negative()) {
                let shown = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
                found.push(FieldError::invalid(field, shown, "must be greater than or equal to 0"));
            }
        }
    }
    for (name, request) in entries(resources, "requests") {
        let limit = resources.get("limits").and_then(|limits| limits.get(name));
        let Some((request, limit)) = parse(request).zip(limit.and_then(parse)) else { continue };
        if request > limit {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            let field = format!("{path}.resources.requests");
            found.push(FieldError::invalid(field, request.to_string(), detail));
        }
    }
}

fn is_standard_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}
