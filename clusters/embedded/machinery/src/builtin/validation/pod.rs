use std::collections::HashSet;

use serde_json::{Value, json};

use super::container::{self, Role};
use super::{Found, address, given, invalid_each, list, number, one_of, pod_update, text, volume};
use crate::FieldError;
use crate::meta::{dns1123_label, dns1123_subdomain, qualified_name, validate_labels};

pub(super) fn pod(new: &Value, old: Option<&Value>, found: &mut Found) {
    let empty = json!({});
    pod_spec(new.get("spec").unwrap_or(&empty), "spec", found);
    if let Some(old) = old {
        pod_update::unchanged(new, old, found);
    }
}

/// A PodTemplateSpec at `path`.
pub(super) fn template(template: Option<&Value>, path: &str, found: &mut Found) {
    let empty = json!({});
    let template = template.unwrap_or(&empty);
    found.extend(validate_labels(template.pointer("/metadata/labels"), &format!("{path}.labels")));
    for (key, _) in super::entries(template.get("metadata").unwrap_or(&empty), "annotations") {
        invalid_each(found, &format!("{path}.annotations"), key, qualified_name(&key.to_lowercase()));
    }
    pod_spec(template.get("spec").unwrap_or(&empty), &format!("{path}.spec"), found);
}

fn pod_spec(spec: &Value, path: &str, found: &mut Found) {
    let volumes = volume::volumes(spec, &format!("{path}.volumes"), found);
    if list(spec, "containers").is_empty() {
        found.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut names = HashSet::new();
    for (key, role) in [("containers", Role::Main), ("initContainers", Role::Init)] {
        for (index, container) in list(spec, key).iter().enumerate() {
            let path = format!("{path}.{key}[{index}]");
            container::container(container, role, &volumes, &path, found);
            let name = text(container, "name");
            if !names.insert(name) {
                found.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
    }
    let policies = ["Always", "OnFailure", "Never"];
    one_of(found, text(spec, "restartPolicy"), &policies, &format!("{path}.restartPolicy"));
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(found, text(spec, "dnsPolicy"), &policies, &format!("{path}.dnsPolicy"));
    found.extend(validate_labels(spec.get("nodeSelector"), &format!("{path}.nodeSelector")));
    dns_config(spec, path, found);
    for key in ["serviceAccountName", "nodeName", "priorityClassName"] {
        let name = text(spec, key);
        if !name.is_empty() {
            invalid_each(found, &format!("{path}.{key}"), name, dns1123_subdomain(name));
        }
    }
    for key in ["hostname", "subdomain"] {
        let name = text(spec, key);
        if !name.is_empty() {
            invalid_each(found, &format!("{path}.{key}"), name, dns1123_label(name));
        }
    }
    let deadline =
        number(spec, "activeDeadlineSeconds").filter(|seconds| !(1..=2_147_483_647).contains(seconds));
    if let Some(seconds) = deadline {
        let detail = "must be between 1 and 2147483647, inclusive";
        found.push(FieldError::invalid(format!("{path}.activeDeadlineSeconds"), seconds, detail));
    }
    tolerations(spec, path, found);
    host_aliases(spec, path, found);
}

fn dns_config(spec: &Value, path: &str, found: &mut Found) {
    let path = format!("{path}.dnsConfig");
    let Some(config) = spec.get("dnsConfig").filter(|config| !config.is_null()) else {
        if text(spec, "dnsPolicy") == "None" {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            found.push(FieldError::required(path, detail));
        }
        return;
    };
    let servers = list(config, "nameservers");
    if servers.is_empty() && text(spec, "dnsPolicy") == "None" {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        found.push(FieldError::required(format!("{path}.nameservers"), detail));
    }
    if servers.len() > 3 {
        let shown = super::go_syntax::string_list(config.get("nameservers"));
        let detail = "must not have more than 3 nameservers";
        found.push(FieldError::invalid_verbatim(format!("{path}.nameservers"), shown, detail));
    }
    for (index, server) in servers.iter().enumerate() {
        address(found, server.as_str().unwrap_or_default(), &format!("{path}.nameservers[{index}]"));
    }
    for (index, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            let field = format!("{path}.options[{index}]");
            found.push(FieldError::required(field, "must not be empty"));
        }
    }
}

fn tolerations(spec: &Value, path: &str, found: &mut Found) {
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        let path = format!("{path}.tolerations[{index}]");
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        if !key.is_empty() {
            invalid_each(found, &format!("{path}.key"), key, qualified_name(key));
        } else if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            found.push(FieldError::invalid(format!("{path}.operator"), operator, detail));
        }
        if given(toleration, "tolerationSeconds") && text(toleration, "effect") != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            found.push(FieldError::invalid(format!("{path}.effect"), text(toleration, "effect"), detail));
        }
        if !["", "Equal", "Exists"].contains(&operator) {
            found.push(FieldError::not_supported(format!("{path}.operator"), operator, ["Equal", "Exists"]));
        }
    }
}

fn host_aliases(spec: &Value, path: &str, found: &mut Found) {
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let path = format!("{path}.hostAliases[{index}]");
        address(found, text(alias, "ip"), &format!("{path}.ip"));
        for name in list(alias, "hostnames").iter().filter_map(Value::as_str) {
            invalid_each(found, &format!("{path}.hostnames"), name, dns1123_subdomain(name));
        }
    }
}
