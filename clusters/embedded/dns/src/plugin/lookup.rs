//! The pure part of the `kubernetes` plugin: which Services and endpoints a name stands for.

use std::net::IpAddr;

use crate::directory::{EndpointName, Names, PortName, ServiceKind};
use crate::name;

/// One thing a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) target: Target,
    pub(crate) port: Option<u16>,
    /// The full name that an SRV record points to.
    pub(crate) owner: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Address(IpAddr),
    Alias(String),
}

/// The name does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoSuchName;

/// How names of pods are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pods {
    /// Never.
    #[default]
    Disabled,
    /// Any address-like name in an existing namespace.
    Insecure,
    /// Only for pods that exist.
    Verified,
}

/// The settings that decide what a name stands for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) pods: Pods,
    /// Only these namespaces; all when empty.
    pub(crate) namespaces: Vec<String>,
    pub(crate) endpoint_pod_names: bool,
    pub(crate) ignore_empty_service: bool,
}

/// A name split as `[endpoint | port.protocol].service.namespace.(svc|pod).zone`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts<'a> {
    family: Option<&'a str>,
    namespace: &'a str,
    service: &'a str,
    endpoint: &'a str,
    port: &'a str,
    protocol: &'a str,
}

fn split<'a>(name: &'a str, zone: &str) -> Result<Parts<'a>, NoSuchName> {
    let mut labels = name::labels_before(name, zone);
    let mut parts = Parts::default();
    let Some(family) = labels.pop() else { return Ok(parts) };
    if family != "svc" && family != "pod" {
        return Err(NoSuchName);
    }
    let Some(namespace) = labels.pop() else { return Ok(parts) };
    parts.family = Some(family);
    parts.namespace = namespace;
    parts.service = labels.pop().unwrap_or_default();
    match labels.as_slice() {
        [] => {}
        [endpoint] => parts.endpoint = endpoint,
        [port, protocol] => {
            parts.port = port.strip_prefix('_').unwrap_or(port);
            parts.protocol = protocol.strip_prefix('_').unwrap_or(protocol);
        }
        _ => return Err(NoSuchName),
    }
    Ok(parts)
}

impl Rules {
    fn exposes(&self, names: &Names, namespace: &str) -> bool {
        (self.namespaces.is_empty() || self.namespaces.iter().any(|allowed| allowed == namespace))
            && names.has_namespace(namespace)
    }

    /// What `name` in `zone` stands for; nothing is not the same as no such name.
    pub(crate) fn find(&self, names: &Names, name: &str, zone: &str) -> Result<Vec<Item>, NoSuchName> {
        let parts = split(name, zone)?;
        let Some(family) = parts.family else { return Ok(Vec::new()) };
        if name::is_reverse(name) || !self.exposes(names, parts.namespace) {
            return Err(NoSuchName);
        }
        if parts.service.is_empty() {
            return Ok(Vec::new());
        }
        if family == "pod" {
            self.find_pod(names, &parts, zone)
        } else {
            self.find_service(names, &parts, zone)
        }
    }

    fn find_pod(&self, names: &Names, parts: &Parts<'_>, zone: &str) -> Result<Vec<Item>, NoSuchName> {
        let label = parts.service;
        let dotted = label.matches('-').count() == 3 && !label.contains("--");
        let text = label.replace('-', if dotted { "." } else { ":" });
        let address: IpAddr = text.parse().map_err(|_| NoSuchName)?;
        let exists = match self.pods {
            Pods::Disabled => false,
            Pods::Insecure => true,
            Pods::Verified => names.has_pod(parts.namespace, address),
        };
        let owner = format!("{label}.{}.pod.{zone}", parts.namespace);
        if exists {
            Ok(vec![Item { target: Target::Address(address), port: Some(0), owner }])
        } else {
            Err(NoSuchName)
        }
    }

    fn find_service(&self, names: &Names, parts: &Parts<'_>, zone: &str) -> Result<Vec<Item>, NoSuchName> {
        let service = names.service(parts.namespace, parts.service).ok_or(NoSuchName)?;
        let owner = format!("{}.{}.svc.{zone}", service.name, service.namespace);
        let slices = || names.slices_of(parts.namespace, parts.service);
        match &service.kind {
            ServiceKind::External(target) => {
                let plain = parts.endpoint.is_empty() && parts.port.is_empty() && parts.protocol.is_empty();
                // An address is no target for an alias.
                if !plain || target.is_empty() || target.parse::<IpAddr>().is_ok() {
                    return Err(NoSuchName);
                }
                Ok(vec![Item { target: Target::Alias(target.clone()), port: None, owner }])
            }
            ServiceKind::Cluster(addresses) if parts.endpoint.is_empty() => {
                if self.ignore_empty_service && slices().all(|slice| slice.endpoints.is_empty()) {
                    return Err(NoSuchName);
                }
                let ports = matching(&service.ports, parts);
                let items = ports.flat_map(|port| {
                    let owner = owner.clone();
                    addresses.iter().map(move |address| Item {
                        target: Target::Address(*address),
                        port: port.port,
                        owner: owner.clone(),
                    })
                });
                some(items.collect())
            }
            ServiceKind::Cluster(_) | ServiceKind::Headless => {
                let mut items = Vec::new();
                for slice in slices() {
                    for endpoint in &slice.endpoints {
                        let host = self.host_of(endpoint);
                        if !parts.endpoint.is_empty() && !host.eq_ignore_ascii_case(parts.endpoint) {
                            continue;
                        }
                        items.extend(matching(&slice.ports, parts).map(|port| Item {
                            target: Target::Address(endpoint.address),
                            port: port.port,
                            owner: format!("{host}.{owner}"),
                        }));
                    }
                }
                some(items)
            }
        }
    }

    fn host_of(&self, endpoint: &EndpointName) -> String {
        if let Some(hostname) = &endpoint.hostname {
            return hostname.clone();
        }
        match &endpoint.target {
            Some(pod) if self.endpoint_pod_names && pod.len() < 64 => pod.clone(),
            _ => endpoint.address.to_string().replace(['.', ':'], "-"),
        }
    }

    /// The names of the Service at an address, or of the endpoints there.
    pub(crate) fn names_at(&self, names: &Names, address: IpAddr, zone: &str) -> Vec<String> {
        let hidden = |namespace: &str| !self.namespaces.is_empty() && !self.exposes(names, namespace);
        if let Some(service) = names.service_at(address).filter(|service| !hidden(&service.namespace)) {
            return vec![format!("{}.{}.svc.{zone}", service.name, service.namespace)];
        }
        let mut found: Vec<String> = Vec::new();
        for slice in names.slices().filter(|slice| !hidden(&slice.service.0)) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.address == address) {
                let name =
                    format!("{}.{}.{}.svc.{zone}", self.host_of(endpoint), slice.service.1, slice.service.0);
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        }
        found
    }
}

fn some(items: Vec<Item>) -> Result<Vec<Item>, NoSuchName> {
    if items.is_empty() { Err(NoSuchName) } else { Ok(items) }
}

fn matching<'a>(ports: &'a [PortName], parts: &'a Parts<'a>) -> impl Iterator<Item = &'a PortName> {
    ports.iter().filter(|port| {
        (parts.port.is_empty() || parts.port.eq_ignore_ascii_case(&port.name))
            && (parts.protocol.is_empty() || parts.protocol.eq_ignore_ascii_case(&port.protocol))
    })
}
