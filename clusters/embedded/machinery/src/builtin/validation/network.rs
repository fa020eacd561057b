use serde_json::Value;

use super::{Found, address, given, invalid_each, list, number, one_of, port_number, text};
use crate::FieldError;
use crate::meta::{dns1123_label, dns1123_subdomain, validate_label_selector};

pub(super) fn endpoints(new: &Value, found: &mut Found) {
    for (index, subset) in list(new, "subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        if list(subset, "addresses").is_empty() && list(subset, "notReadyAddresses").is_empty() {
            found
                .push(FieldError::required(path.as_str(), "must specify `addresses` or `notReadyAddresses`"));
        }
        for key in ["addresses", "notReadyAddresses"] {
            for (index, entry) in list(subset, key).iter().enumerate() {
                address(found, text(entry, "ip"), &format!("{path}.{key}[{index}].ip"));
            }
        }
        let ports = list(subset, "ports");
        for (index, port) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{index}]");
            match text(port, "name") {
                "" if ports.len() > 1 => found.push(FieldError::required(format!("{path}.name"), "")),
                "" => {}
                name => invalid_each(found, &format!("{path}.name"), name, dns1123_label(name)),
            }
            port_number(found, number(port, "port").unwrap_or_default(), &format!("{path}.port"));
            one_of(found, text(port, "protocol"), &["SCTP", "TCP", "UDP"], &format!("{path}.protocol"));
        }
    }
}

pub(super) fn endpoint_slice(new: &Value, old: Option<&Value>, found: &mut Found) {
    let kind = text(new, "addressType");
    one_of(found, kind, &["FQDN", "IPv4", "IPv6"], "addressType");
    if let Some(old) = old
        && text(old, "addressType") != kind
    {
        found.push(FieldError::invalid("addressType", kind, "field is immutable"));
    }
    if list(new, "endpoints").len() > 1000 {
        found.push(FieldError::too_many("endpoints", list(new, "endpoints").len(), 1000));
    }
    for (index, endpoint) in list(new, "endpoints").iter().enumerate() {
        let path = format!("endpoints[{index}].addresses");
        let addresses = list(endpoint, "addresses");
        if addresses.is_empty() {
            found.push(FieldError::required(path.as_str(), "must contain at least 1 address"));
        }
        for (index, value) in addresses.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            let field = format!("{path}[{index}]");
            match kind {
                "FQDN" => invalid_each(found, &field, value, dns1123_subdomain(value)),
                _ => {
                    address(found, value, &field);
                }
            }
        }
    }
    for (index, port) in list(new, "ports").iter().enumerate() {
        let path = format!("ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            invalid_each(found, &format!("{path}.name"), name, dns1123_label(name));
        }
        one_of(found, text(port, "protocol"), &["SCTP", "TCP", "UDP"], &format!("{path}.protocol"));
    }
}

pub(super) fn ingress(new: &Value, found: &mut Found) {
    let spec = new.get("spec").unwrap_or(&Value::Null);
    if list(spec, "rules").is_empty() && !given(spec, "defaultBackend") {
        let detail = "either `defaultBackend` or `rules` must be specified";
        found.push(FieldError::invalid("spec", Value::Array(Vec::new()), detail));
    }
    for (index, rule) in list(spec, "rules").iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        let host = text(rule, "host");
        if !host.is_empty() && !host.starts_with("*.") {
            invalid_each(found, &format!("{path}.host"), host, dns1123_subdomain(host));
        }
        let Some(http) = rule.get("http") else { continue };
        for (index, entry) in list(http, "paths").iter().enumerate() {
            let path = format!("{path}.http.paths[{index}]");
            let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
            if given(entry, "pathType") {
                one_of(found, text(entry, "pathType"), &kinds, &format!("{path}.pathType"));
                let place = text(entry, "path");
                if text(entry, "pathType") != "ImplementationSpecific" && !place.starts_with('/') {
                    found.push(FieldError::invalid(
                        format!("{path}.path"),
                        place,
                        "must be an absolute path",
                    ));
                }
            } else {
                found.push(FieldError::required(format!("{path}.pathType"), "pathType must be specified"));
            }
        }
    }
}

pub(super) fn disruption_budget(new: &Value, found: &mut Found) {
    let spec = new.get("spec").unwrap_or(&Value::Null);
    if given(spec, "minAvailable") && given(spec, "maxUnavailable") {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        found.push(FieldError::invalid("spec", spec.clone(), detail));
    }
    if let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) {
        found.extend(validate_label_selector(selector, "spec.selector"));
    }
}

pub(super) fn lease(new: &Value, found: &mut Found) {
    let spec = new.get("spec").unwrap_or(&Value::Null);
    if let Some(seconds) = number(spec, "leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        found.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    if let Some(count) = number(spec, "leaseTransitions").filter(|count| *count < 0) {
        let detail = "must be greater than or equal to 0";
        found.push(FieldError::invalid("spec.leaseTransitions", count, detail));
    }
}
