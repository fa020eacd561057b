//! Addresses and ports of Services: chosen when a Service is written, free again when it is gone.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{MutexGuard, PoisonError};

use embedded_machinery::FieldError;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::object;
use crate::verbs::Call;

const SHELF: &str = "/services";

/// Holds the choice of addresses until the Service is stored.
#[derive(Debug, Default)]
#[must_use = "the addresses may be given to another Service as soon as this is dropped"]
pub(crate) struct Reserved<'a>(#[expect(dead_code, reason = "held for its Drop")] Option<MutexGuard<'a, ()>>);

/// Gives a Service the addresses and ports it lacks. Other kinds pass.
///
/// # Errors
/// 422 when a requested address or port is taken or out of range.
pub(crate) fn reserve<'a>(call: &'a Call, old: Option<&Value>, service: &mut Value) -> Outcome<Reserved<'a>> {
    if !call.resource.is_core("Service") {
        return Ok(Reserved::default());
    }
    let guard = call.state.addresses.lock().unwrap_or_else(PoisonError::into_inner);
    let own = (object::namespace(service).to_owned(), object::name(service).to_owned());
    let others = call.state.store.list(SHELF, "").entries;
    let others: Vec<&Value> = others
        .iter()
        .map(|entry| &entry.value)
        .filter(|other| (object::namespace(other), object::name(other)) != (own.0.as_str(), own.1.as_str()))
        .collect();
    assign_address(call, old, service, &others)?;
    assign_ports(call, old, service, &others)?;
    Ok(Reserved(Some(guard)))
}

fn assign_address(call: &Call, old: Option<&Value>, service: &mut Value, others: &[&Value]) -> Outcome<()> {
    if object::text(service, &["spec", "type"]) == "ExternalName" {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            object::remove(service, &["spec", key]);
        }
        return Ok(());
    }
    let of_old = old.map(|old| object::text(old, &["spec", "clusterIP"])).unwrap_or_default();
    let wanted = match object::text(service, &["spec", "clusterIP"]) {
        "" => of_old.to_owned(),
        given => given.to_owned(),
    };
    let address = match wanted.as_str() {
        "None" => wanted,
        "" => free_address(call, others)?.to_string(),
        given if given == of_old => wanted,
        given => checked_address(call, service, given, others)?.to_string(),
    };
    object::set(service, &["spec", "clusterIP"], address.as_str());
    object::set(service, &["spec", "clusterIPs"], json!([address]));
    let spec = object::object_at(service, &["spec"]);
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| json!("SingleStack"));
    Ok(())
}

/// The first address of the Service network and the number of addresses in it.
fn network(call: &Call) -> (u32, u32) {
    let (address, prefix) = call.state.config.service_network;
    let size = 1u32.checked_shl(32 - u32::from(prefix.clamp(1, 32))).unwrap_or(u32::MAX);
    (u32::from(address) & !(size - 1), size)
}

fn free_address(call: &Call, others: &[&Value]) -> Outcome<Ipv4Addr> {
    let (first, size) = network(call);
    let used: HashSet<&str> =
        others.iter().map(|other| object::text(other, &["spec", "clusterIP"])).collect();
    // As the real allocator: at random from the upper part, the lower 256 being kept for requested addresses.
    let reserved = (size / 16).clamp(16, 256).min(size / 2);
    let upper = size.saturating_sub(reserved + 1).max(1);
    let start = rand::random_range(0..upper);
    let upper_first = (0..upper).map(|step| reserved + (start + step) % upper);
    let candidates = upper_first.chain(2..reserved).map(|offset| Ipv4Addr::from(first + offset));
    let mut free = candidates.filter(|address| !used.contains(address.to_string().as_str()));
    free.next().ok_or_else(|| Failure::internal("failed to allocate a serviceIP: range is full"))
}

fn checked_address(call: &Call, service: &Value, given: &str, others: &[&Value]) -> Outcome<Ipv4Addr> {
    let (first, size) = network(call);
    let refuse = |why: String| {
        let error = FieldError::invalid_verbatim("spec.clusterIPs", format!("[\"{given}\"]"), why);
        Failure::invalid(&call.resource, object::name(service), &[error])
    };
    let address: Ipv4Addr = given
        .parse()
        .map_err(|_| refuse("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()))?;
    let (network, prefix) = call.state.config.service_network;
    let offset = u32::from(address).wrapping_sub(first);
    if offset == 0 || offset >= size - 1 {
        return Err(refuse(format!(
            "failed to allocate IP {given}: the provided IP ({given}) is not in the valid range. \
             The range of valid IPs is {network}/{prefix}"
        )));
    }
    if others.iter().any(|other| object::text(other, &["spec", "clusterIP"]) == given) {
        return Err(refuse(format!("failed to allocate IP {given}: provided IP is already allocated")));
    }
    Ok(address)
}

fn assign_ports(call: &Call, old: Option<&Value>, service: &mut Value, others: &[&Value]) -> Outcome<()> {
    let kind = object::text(service, &["spec", "type"]).to_owned();
    let name = object::name(service).to_owned();
    let old_ports = old.map(node_ports).unwrap_or_default();
    let old_by_key: Vec<(String, i64)> = old.map(ports_by_key).unwrap_or_default();
    let mut used: HashSet<i64> = others.iter().flat_map(|other| node_ports(other)).collect();
    let range = &call.state.config.node_ports;
    let ports = service["spec"].get_mut("ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        if kind != "NodePort" && kind != "LoadBalancer" {
            if let Some(port) = port.as_object_mut() {
                port.shift_remove("nodePort");
            }
            continue;
        }
        let given = port["nodePort"].as_i64().filter(|port| *port > 0);
        let kept = || old_by_key.iter().find(|(key, _)| *key == port_key(port)).map(|(_, port)| *port);
        let number = match given.or_else(kept) {
            Some(number) => {
                let refuse = |why: &str| {
                    let field = format!("spec.ports[{index}].nodePort");
                    Failure::invalid(&call.resource, &name, &[FieldError::invalid(field, number, why)])
                };
                if !u16::try_from(number).is_ok_and(|port| range.contains(&port)) {
                    let (first, last) = (range.start(), range.end());
                    return Err(refuse(&format!(
                        "provided port is not in the valid range. The range of valid ports is {first}-{last}"
                    )));
                }
                if used.contains(&number) && !old_ports.contains(&number) {
                    return Err(refuse("provided port is already allocated"));
                }
                number
            }
            None => {
                let (first, last) = (i64::from(*range.start()), i64::from(*range.end()));
                let start = rand::random_range(first..=last);
                let mut candidates = (start..=last).chain(first..start);
                let free = candidates.find(|port| !used.contains(port));
                free.ok_or_else(|| Failure::internal("failed to allocate a nodePort: range is full"))?
            }
        };
        used.insert(number);
        object::set(port, &["nodePort"], number);
    }
    Ok(())
}

fn port_key(port: &Value) -> String {
    format!("{}/{}", port["protocol"].as_str().unwrap_or("TCP"), port["port"])
}

fn ports_of(service: &Value) -> impl Iterator<Item = &Value> {
    object::field(service, &["spec", "ports"]).and_then(Value::as_array).into_iter().flatten()
}

fn ports_by_key(service: &Value) -> Vec<(String, i64)> {
    ports_of(service).filter_map(|port| Some((port_key(port), port["nodePort"].as_i64()?))).collect()
}

fn node_ports(service: &Value) -> Vec<i64> {
    ports_of(service).filter_map(|port| port["nodePort"].as_i64()).collect()
}
