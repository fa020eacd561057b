//! The objects of a cluster as one node sees them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;

/// Everything that decides where a packet may go. Order of the lists does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterView {
    /// The node whose rules are wanted.
    pub node: NodeView,
    /// Where ClusterIPs come from, 10.43.0.0/16 on k3s.
    pub service_cidr: Ipv4Net,
    /// All namespaces, for their labels.
    pub namespaces: Vec<Namespace>,
    /// All pods of the cluster; `status.podIP` says where each is.
    pub pods: Vec<Pod>,
    /// All network policies.
    pub policies: Vec<NetworkPolicy>,
    /// All Services.
    pub services: Vec<Service>,
    /// All endpoint slices.
    pub endpoint_slices: Vec<EndpointSlice>,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// Its name; pods with another `spec.nodeName` are not policed here.
    pub name: String,
    /// Its own addresses, the one that outside machines see first.
    pub addresses: Vec<Ipv4Addr>,
    /// Where its pods' addresses come from, 10.42.0.0/24 on the first node of k3s.
    pub pod_cidr: Ipv4Net,
}
