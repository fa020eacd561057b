use std::net::IpAddr;

use serde_json::{Value, json};

use super::service::port_or_name;
use super::{Found, given, list, number, port_number, text};
use crate::FieldError;
use crate::meta::validate_label_selector;

pub(super) fn network_policy(new: &Value, found: &mut Found) {
    let empty = json!({});
    let spec = new.get("spec").unwrap_or(&empty);
    found.extend(validate_label_selector(spec.get("podSelector").unwrap_or(&empty), "spec.podSelector"));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(spec, direction).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (index, port) in list(rule, "ports").iter().enumerate() {
                policy_port(port, &format!("{path}.ports[{index}]"), found);
            }
            for (index, peer) in list(rule, peers).iter().enumerate() {
                policy_peer(peer, &format!("{path}.{peers}[{index}]"), found);
            }
        }
    }
    let types = list(spec, "policyTypes");
    if types.len() > 2 {
        let shown: Vec<String> = types.iter().map(ToString::to_string).collect();
        let shown = format!("[]networking.PolicyType{{{}}}", shown.join(", "));
        let detail = "may not specify more than two policyTypes";
        found.push(FieldError::invalid_verbatim("spec.policyTypes", shown, detail));
        return;
    }
    for (index, kind) in types.iter().enumerate() {
        if kind != "Ingress" && kind != "Egress" {
            let field = format!("spec.policyTypes[{index}]");
            found.push(FieldError::not_supported(field, kind.clone(), ["Ingress", "Egress"]));
        }
    }
}

fn policy_port(port: &Value, path: &str, found: &mut Found) {
    let protocol = text(port, "protocol");
    if !["TCP", "UDP", "SCTP"].contains(&protocol) && given(port, "protocol") {
        found.push(FieldError::not_supported(format!("{path}.protocol"), protocol, ["TCP", "UDP", "SCTP"]));
    }
    let field = format!("{path}.endPort");
    let last = number(port, "endPort");
    match (port.get("port").filter(|port| !port.is_null()), last) {
        (Some(first @ Value::Number(_)), last) => {
            port_or_name(found, Some(first), &format!("{path}.port"));
            let Some(last) = last else { return };
            let first = first.as_i64().unwrap_or_default();
            if last < first {
                let detail = "must be greater than or equal to `port`";
                found.push(FieldError::invalid(field.as_str(), first, detail));
            }
            port_number(found, last, &field);
        }
        (Some(name), last) => {
            if let Some(last) = last {
                let detail = "may not be specified when `port` is non-numeric";
                found.push(FieldError::invalid(field, last, detail));
            }
            port_or_name(found, Some(name), &format!("{path}.port"));
        }
        (None, Some(last)) => {
            found.push(FieldError::invalid(field, last, "may not be specified when `port` is not specified"));
        }
        (None, None) => {}
    }
}

fn policy_peer(peer: &Value, path: &str, found: &mut Found) {
    let mut parts = 0;
    for key in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = peer.get(key).filter(|selector| !selector.is_null()) {
            parts += 1;
            found.extend(validate_label_selector(selector, &format!("{path}.{key}")));
        }
    }
    let block = peer.get("ipBlock").filter(|block| !block.is_null());
    if let Some(block) = block {
        parts += 1;
        ip_block(block, &format!("{path}.ipBlock"), found);
    }
    if parts == 0 {
        found.push(FieldError::required(path, "must specify a peer"));
    } else if parts > 1 && block.is_some() {
        found.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
}

fn ip_block(block: &Value, path: &str, found: &mut Found) {
    let whole = text(block, "cidr");
    if whole.is_empty() {
        found.push(FieldError::required(format!("{path}.cidr"), ""));
        return;
    }
    let Some(whole) = cidr(whole, &format!("{path}.cidr"), found) else { return };
    for (index, except) in list(block, "except").iter().enumerate() {
        let field = format!("{path}.except[{index}]");
        let except = except.as_str().unwrap_or_default();
        let Some(part) = cidr(except, &field, found) else { continue };
        if !whole.strictly_contains(&part) {
            found.push(FieldError::invalid(field, except, "must be a strict subset of `cidr`"));
        }
    }
}

/// A range of addresses.
struct Range {
    address: IpAddr,
    bits: u32,
}

impl Range {
    fn strictly_contains(&self, other: &Self) -> bool {
        let (width, mine, theirs) = match (self.address, other.address) {
            (IpAddr::V4(mine), IpAddr::V4(theirs)) => (32, mine.to_bits().into(), theirs.to_bits().into()),
            (IpAddr::V6(mine), IpAddr::V6(theirs)) => (128, mine.to_bits(), theirs.to_bits()),
            _ => return false,
        };
        let prefix = |address: u128| address.checked_shr(width - self.bits).unwrap_or(0);
        self.bits < other.bits && prefix(mine) == prefix(theirs)
    }
}

fn cidr(text: &str, field: &str, found: &mut Found) -> Option<Range> {
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: IpAddr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        (bits <= width).then_some(Range { address, bits })
    });
    if parsed.is_none() {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        found.push(FieldError::invalid(field, text, detail));
    }
    parsed
}
