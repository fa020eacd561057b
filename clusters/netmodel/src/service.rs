//! Where a Service's address leads, as kube-proxy 1.33 in iptables mode has it.
//!
//! Not modelled: session affinity, traffic distribution hints, IPVS and nftables modes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};

use crate::policy::Protocol;
use crate::view::ClusterView;

/// Where a packet for an address and port goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// No Service serves this address and port: a ClusterIP leaves by the default route, any
    /// other address is what it is.
    Unserved,
    /// A Service without a usable endpoint: ICMP port-unreachable, after policies are asked.
    NoEndpoints {
        /// `namespace/name:port name`.
        service: String,
    },
    /// One of these at random.
    Endpoints {
        /// `namespace/name:port name`.
        service: String,
        /// Address and port of each endpoint, ascending.
        endpoints: Vec<(Ipv4Addr, u16)>,
    },
}

/// Whether node ports and outside addresses lead on with the client's own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExternalPolicy {
    /// The client's address is replaced by the node's, after policies.
    Cluster,
    /// It stays.
    Local,
}

/// One port of one Service with everything that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServedPort {
    /// `namespace/name:port name`.
    pub(crate) label: String,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// ClusterIPs of this family.
    pub(crate) cluster_ips: Vec<Ipv4Addr>,
    /// Load balancer and external addresses.
    pub(crate) external_ips: Vec<Ipv4Addr>,
    pub(crate) node_port: Option<u16>,
    pub(crate) external_policy: ExternalPolicy,
    /// Ascending, without doubles.
    pub(crate) endpoints: Vec<(Ipv4Addr, u16)>,
}

/// Where `address:port` leads. Node ports are found under the node's own addresses.
#[must_use]
pub fn route(view: &ClusterView, address: Ipv4Addr, protocol: Protocol, port: u16) -> Route {
    let own = view.node.addresses.contains(&address);
    let serves = |served: &ServedPort| {
        let by_address = served.cluster_ips.contains(&address) || served.external_ips.contains(&address);
        served.protocol == protocol
            && ((by_address && served.port == port) || (own && served.node_port == Some(port)))
    };
    match served_ports(view).into_iter().find(serves) {
        None => Route::Unserved,
        Some(ServedPort { label: service, endpoints, .. }) if endpoints.is_empty() => {
            Route::NoEndpoints { service }
        }
        Some(ServedPort { label: service, endpoints, .. }) => Route::Endpoints { service, endpoints },
    }
}

/// Every served port, by namespace and name, then in the Service's order. Headless and
/// ExternalName Services have none.
pub(crate) fn served_ports(view: &ClusterView) -> Vec<ServedPort> {
    let mut services: Vec<&Service> = view.services.iter().collect();
    services.sort_by_key(|service| (&service.metadata.namespace, &service.metadata.name));
    services.into_iter().flat_map(|service| ports_of(view, service)).collect()
}

fn ports_of(view: &ClusterView, service: &Service) -> Vec<ServedPort> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let external_name = spec.type_.as_deref() == Some("ExternalName");
    let addresses = spec.cluster_ips.iter().flatten().chain(spec.cluster_ip.iter());
    let cluster_ips: BTreeSet<Ipv4Addr> = addresses.filter_map(|text| text.parse().ok()).collect();
    if external_name || cluster_ips.is_empty() {
        return Vec::new();
    }
    let balancers = service.status.iter().filter_map(|status| status.load_balancer.as_ref());
    let ingress = balancers.flat_map(|balancer| balancer.ingress.iter().flatten());
    let external_ips: BTreeSet<Ipv4Addr> = ingress
        .filter_map(|ingress| ingress.ip.as_deref())
        .chain(spec.external_ips.iter().flatten().map(String::as_str))
        .filter_map(|text| text.parse().ok())
        .collect();
    let external_policy = match spec.external_traffic_policy.as_deref() {
        Some("Local") => ExternalPolicy::Local,
        _ => ExternalPolicy::Cluster,
    };
    let label = |port: &ServicePort| {
        let metadata = &service.metadata;
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}/{}:{}", part(&metadata.namespace), part(&metadata.name), part(&port.name))
    };
    let ports = spec.ports.iter().flatten().filter_map(|port| {
        Some(ServedPort {
            label: label(port),
            protocol: Protocol::of_api(port.protocol.as_deref())?,
            port: u16::try_from(port.port).ok()?,
            cluster_ips: cluster_ips.iter().copied().collect(),
            external_ips: external_ips.iter().copied().collect(),
            node_port: port.node_port.and_then(|number| u16::try_from(number).ok()).filter(|n| *n > 0),
            external_policy,
            endpoints: endpoints(view, service, port),
        })
    });
    ports.collect()
}

/// Ready endpoints; where there are none, those that still serve while they terminate.
fn endpoints(view: &ClusterView, service: &Service, port: &ServicePort) -> Vec<(Ipv4Addr, u16)> {
    let slices: Vec<&EndpointSlice> =
        view.endpoint_slices.iter().filter(|one| is_slice_of(one, service)).collect();
    let gather = |usable: fn(&SliceEndpoint) -> bool| {
        let mut all = BTreeSet::new();
        for slice in &slices {
            let name = port.name.as_deref().unwrap_or_default();
            let own = |one: &&k8s_openapi::api::discovery::v1::EndpointPort| {
                one.name.as_deref().unwrap_or_default() == name
                    && Protocol::of_api(one.protocol.as_deref()) == Protocol::of_api(port.protocol.as_deref())
            };
            let number = slice.ports.iter().flatten().find(own).and_then(|one| one.port);
            let Some(number) = number.and_then(|number| u16::try_from(number).ok()) else { continue };
            for endpoint in slice.endpoints.iter().filter(|endpoint| usable(endpoint)) {
                let first = endpoint.addresses.first().and_then(|text| text.parse().ok());
                all.extend(first.map(|address: Ipv4Addr| (address, number)));
            }
        }
        all
    };
    let ready = gather(is_ready);
    let chosen = if ready.is_empty() { gather(is_serving_while_terminating) } else { ready };
    chosen.into_iter().collect()
}

fn is_slice_of(slice: &EndpointSlice, service: &Service) -> bool {
    let label = slice.metadata.labels.iter().flatten().find(|(key, _)| *key == "kubernetes.io/service-name");
    slice.address_type == "IPv4"
        && slice.metadata.namespace == service.metadata.namespace
        && label.map(|(_, name)| name) == service.metadata.name.as_ref()
}

fn is_ready(endpoint: &SliceEndpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|own| own.ready).unwrap_or(true)
}

fn is_serving_while_terminating(endpoint: &SliceEndpoint) -> bool {
    endpoint.conditions.as_ref().is_some_and(|own| own.serving == Some(true) && own.terminating == Some(true))
}
