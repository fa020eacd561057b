use std::collections::HashSet;

use serde_json::{Value, json};

use super::go_syntax::string_list;
use super::{Found, address, given, invalid_each, list, non_negative, number, one_of, port_number, text};
use crate::FieldError;
use crate::meta::{dns1123_label, dns1123_subdomain, port_name, qualified_name, validate_labels};

pub(super) fn service(new: &Value, old: Option<&Value>, found: &mut Found) {
    let empty = json!({});
    let spec = new.get("spec").unwrap_or(&empty);
    if let Some(old) = old.and_then(|old| old.get("spec")) {
        cluster_addresses_kept(spec, old, found);
    }
    let kind = text(spec, "type");
    let headless = is_headless(spec);
    if list(spec, "ports").is_empty() && !headless && kind != "ExternalName" {
        found.push(FieldError::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            found.push(FieldError::invalid("spec.clusterIPs[0]", "None", detail));
        }
        "ExternalName" => external_name(spec, found),
        _ => {}
    }
    ports(spec, found);
    found.extend(validate_labels(spec.get("selector"), "spec.selector"));
    session_affinity(spec, found);
    if kind != "ExternalName" {
        cluster_addresses(spec, found);
    }
    for (index, value) in list(spec, "externalIPs").iter().enumerate() {
        address(found, value.as_str().unwrap_or_default(), &format!("spec.externalIPs[{index}]"));
    }
    one_of(found, kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], "spec.type");
    node_ports(spec, kind, found);
    repeated_ports(spec, found);
    traffic_policies(spec, kind, found);
}

fn is_headless(spec: &Value) -> bool {
    list(spec, "clusterIPs") == [json!("None")] || text(spec, "clusterIP") == "None"
}

fn external_name(spec: &Value, found: &mut Found) {
    for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if given(spec, key) && spec.get(key) != Some(&json!([])) {
            found.push(FieldError::forbidden(
                format!("spec.{key}"),
                "may not be set for ExternalName services",
            ));
        }
    }
    match text(spec, "externalName").trim_end_matches('.') {
        "" => found.push(FieldError::required("spec.externalName", "")),
        name => invalid_each(found, "spec.externalName", name, dns1123_subdomain(name)),
    }
}

fn ports(spec: &Value, found: &mut Found) {
    let ports = list(spec, "ports");
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(port, "name");
        if name.is_empty() && ports.len() > 1 {
            found.push(FieldError::required(format!("{path}.name"), ""));
        } else if !name.is_empty() {
            invalid_each(found, &format!("{path}.name"), name, dns1123_label(name));
            if !names.insert(name) {
                found.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        port_number(found, number(port, "port").unwrap_or_default(), &format!("{path}.port"));
        one_of(found, text(port, "protocol"), &["SCTP", "TCP", "UDP"], &format!("{path}.protocol"));
        port_or_name(found, port.get("targetPort"), &format!("{path}.targetPort"));
        if let Some(protocol) = port.get("appProtocol").and_then(Value::as_str) {
            invalid_each(found, &format!("{path}.appProtocol"), protocol, qualified_name(protocol));
        }
    }
}

/// A port given by number or by the name that a container gives it.
pub(super) fn port_or_name(found: &mut Found, port: Option<&Value>, field: &str) {
    match port {
        Some(Value::String(name)) => invalid_each(found, field, name, port_name(name)),
        other => port_number(found, other.and_then(Value::as_i64).unwrap_or_default(), field),
    }
}

fn session_affinity(spec: &Value, found: &mut Found) {
    let affinity = text(spec, "sessionAffinity");
    one_of(found, affinity, &["ClientIP", "None"], "spec.sessionAffinity");
    if affinity == "None" && given(spec, "sessionAffinityConfig") {
        let detail = "must not be set when session affinity is None";
        found.push(FieldError::forbidden("spec.sessionAffinityConfig", detail));
    }
    let timeout = spec.pointer("/sessionAffinityConfig/clientIP/timeoutSeconds").and_then(Value::as_i64);
    if affinity == "ClientIP"
        && let Some(seconds) = timeout.filter(|seconds| !(1..=86_400).contains(seconds))
    {
        let detail = "must be greater than 0 and less than 86400";
        found.push(FieldError::invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            seconds,
            detail,
        ));
    }
}

fn cluster_addresses(spec: &Value, found: &mut Found) {
    let first = text(spec, "clusterIP");
    let all = list(spec, "clusterIPs");
    let shown = || string_list(spec.get("clusterIPs"));
    if first.is_empty() {
        if !all.is_empty() {
            let detail = "must be empty when `clusterIP` is not specified";
            found.push(FieldError::invalid_verbatim("spec.clusterIPs", shown(), detail));
        }
    } else if all.is_empty() {
        found.push(FieldError::required("spec.clusterIPs", ""));
    } else if all[0] != first {
        let detail = "first value must match `clusterIP`";
        found.push(FieldError::invalid_verbatim("spec.clusterIPs", shown(), detail));
    }
    for (index, family) in list(spec, "ipFamilies").iter().enumerate() {
        let family = family.as_str().unwrap_or_default();
        if !["IPv4", "IPv6"].contains(&family) {
            let field = format!("spec.ipFamilies[{index}]");
            found.push(FieldError::not_supported(field, family, ["IPv4", "IPv6"]));
        }
    }
    let policy = text(spec, "ipFamilyPolicy");
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if !policy.is_empty() && !policies.contains(&policy) {
        found.push(FieldError::not_supported("spec.ipFamilyPolicy", policy, policies));
    }
    for (index, value) in all.iter().enumerate() {
        match value.as_str().unwrap_or_default() {
            "None" if index == 0 && all.len() == 1 => {}
            "None" if index == 0 => {
                let detail = "'None' must be the first and only value";
                found.push(FieldError::invalid_verbatim("spec.clusterIPs", shown(), detail));
            }
            other => {
                address(found, other, &format!("spec.clusterIPs[{index}]"));
            }
        }
    }
    if all.len() > 2 {
        found.push(FieldError::invalid_verbatim("spec.clusterIPs", shown(), "may only hold up to 2 values"));
    }
}

/// The primary address stays, unless the Service is or becomes an ExternalName.
fn cluster_addresses_kept(new: &Value, old: &Value, found: &mut Found) {
    let external = text(new, "type") == "ExternalName" || text(old, "type") == "ExternalName";
    if external || (is_headless(new) && is_headless(old)) {
        return;
    }
    let (before, after) = (list(old, "clusterIPs"), list(new, "clusterIPs"));
    let shown = string_list(new.get("clusterIPs"));
    match (before.first(), after.first()) {
        (Some(_), None) => {
            let detail = "primary clusterIP can not be unset";
            found.push(FieldError::invalid_verbatim("spec.clusterIPs[0]", shown, detail));
        }
        (Some(before), Some(after)) if before != after => {
            let detail = "may not change once set";
            found.push(FieldError::invalid_verbatim("spec.clusterIPs[0]", shown, detail));
        }
        _ => {}
    }
}

fn node_ports(spec: &Value, kind: &str, found: &mut Found) {
    let mut taken = HashSet::new();
    for (index, port) in list(spec, "ports").iter().enumerate() {
        let Some(node_port) = number(port, "nodePort").filter(|port| *port != 0) else { continue };
        let field = format!("spec.ports[{index}].nodePort");
        if kind == "ClusterIP" {
            found.push(FieldError::forbidden(field.as_str(), "may not be used when `type` is 'ClusterIP'"));
        }
        if !taken.insert((text(port, "protocol"), node_port)) {
            found.push(FieldError::duplicate(field, node_port));
        }
    }
}

fn repeated_ports(spec: &Value, found: &mut Found) {
    let mut seen = HashSet::new();
    for (index, port) in list(spec, "ports").iter().enumerate() {
        let (protocol, number) = (text(port, "protocol"), number(port, "port").unwrap_or_default());
        if !seen.insert((protocol, number)) {
            let shown = format!(
                "core.ServicePort{{Name:\"\", Protocol:{protocol:?}, AppProtocol:(*string)(nil), Port:{number}, \
                 TargetPort:intstr.IntOrString{{Type:0, IntVal:0, StrVal:\"\"}}, NodePort:0}}"
            );
            let mut error = FieldError::duplicate(format!("spec.ports[{index}]"), Value::Null);
            error.bad_value = crate::BadValue::Verbatim(shown);
            found.push(error);
        }
    }
}

fn traffic_policies(spec: &Value, kind: &str, found: &mut Found) {
    let external = text(spec, "externalTrafficPolicy");
    let with_addresses = kind == "ClusterIP" && !list(spec, "externalIPs").is_empty();
    let field = "spec.externalTrafficPolicy";
    if matches!(kind, "NodePort" | "LoadBalancer") || with_addresses {
        one_of(found, external, &["Cluster", "Local"], field);
    } else if !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        found.push(FieldError::invalid(field, external, detail));
    }
    let internal = text(spec, "internalTrafficPolicy");
    if kind != "ExternalName" || !internal.is_empty() {
        one_of(found, internal, &["Cluster", "Local"], "spec.internalTrafficPolicy");
    }
    if given(spec, "allocateLoadBalancerNodePorts") && kind != "LoadBalancer" {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        found.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", detail));
    }
    non_negative(found, spec, "healthCheckNodePort", "spec");
}
