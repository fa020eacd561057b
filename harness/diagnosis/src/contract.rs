//! The connectivity contract of a mesh: which flows it needs, by the pods that exist.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use netmodel::policy::{self, Direction, Endpoint, Path, Protocol};
use netmodel::profile::Profile;
use netmodel::view::{ClusterView, NodeView};

use crate::snapshot::Snapshot;

/// A flow that a mesh needs, between two pods that exist (Seldon 2.9.1; pod ports, after Service translation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// `controller`, `agent`, `envoy`.
    pub from: &'static str,
    /// Its pod, as namespace and name.
    pub from_pod: (String, String),
    /// `scheduler`, `server`, `name server`.
    pub to: &'static str,
    /// Its pod, as namespace and name.
    pub to_pod: (String, String),
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Port of the destination pod.
    pub port: u16,
}

/// One end of a row of the contract: what it is called, and its label.
#[derive(Clone, Copy)]
struct Role {
    name: &'static str,
    key: &'static str,
    value: &'static str,
}

const CONTROLLER: Role = Role { name: "controller", key: "control-plane", value: "v2-controller-manager" };
const SCHEDULER: Role = Role { name: "scheduler", key: "app.kubernetes.io/name", value: "seldon-scheduler" };
const AGENT: Role = Role { name: "agent", key: "app.kubernetes.io/name", value: "seldon-server" };
const SERVER: Role = Role { name: "server", ..AGENT };
const ENVOY: Role = Role { name: "envoy", key: "app.kubernetes.io/name", value: "seldon-envoy" };
const NAME_SERVER: Role = Role { name: "name server", key: "k8s-app", value: "kube-dns" };

/// Every flow that `snapshot`'s meshes need.
pub fn flows(snapshot: &Snapshot) -> Vec<Flow> {
    let mut flows = Vec::new();
    for namespace in tenants(snapshot) {
        let controller = snapshot.controller_namespace.as_str();
        for (from, from_namespace, to, port) in [
            (CONTROLLER, controller, SCHEDULER, 9004),
            (AGENT, namespace, SCHEDULER, 9005),
            (ENVOY, namespace, SCHEDULER, 9002),
            (ENVOY, namespace, SERVER, 9001),
            (ENVOY, namespace, SERVER, 9501),
        ] {
            flows.extend(between(snapshot, (from, from_namespace), (to, namespace), Protocol::Tcp, port));
        }
        for (from, from_namespace) in [(CONTROLLER, controller), (AGENT, namespace), (ENVOY, namespace)] {
            flows.extend(between(
                snapshot,
                (from, from_namespace),
                (NAME_SERVER, "kube-system"),
                Protocol::Udp,
                53,
            ));
        }
    }
    flows
}

/// The policies that decide who comes in to `port` of the pods of the mesh in namespace `tenant`, as `namespace/name`.
pub fn guards(snapshot: &Snapshot, profile: Profile, tenant: &str, port: u16) -> Vec<String> {
    let view = view(snapshot);
    let to_port = flows(snapshot).into_iter().filter(|flow| flow.port == port && flow.to_pod.0 == tenant);
    let gates = to_port.filter_map(|flow| policy::explain(&view, &flow.packet(), profile).ok());
    let ingress =
        gates.flat_map(|explained| explained.gates).filter(|gate| gate.direction == Direction::Ingress);
    let mut names: Vec<String> =
        ingress.flat_map(|gate| gate.selected_by).map(|policy| policy.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

/// Namespaces with a scheduler.
fn tenants(snapshot: &Snapshot) -> Vec<&str> {
    let mut namespaces: Vec<&str> = snapshot
        .pods
        .iter()
        .filter(|pod| label(pod, SCHEDULER.key) == Some(SCHEDULER.value))
        .filter_map(|pod| pod.metadata.namespace.as_deref())
        .collect();
    namespaces.dedup();
    namespaces
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn between(
    snapshot: &Snapshot,
    (from, from_namespace): (Role, &str),
    (to, to_namespace): (Role, &str),
    protocol: Protocol,
    port: u16,
) -> Option<Flow> {
    let pod = |role: Role, namespace: &str| {
        let found = snapshot.pods.iter().find(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && label(pod, role.key) == Some(role.value)
                && pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some())
        });
        Some((namespace.to_owned(), found?.metadata.name.clone()?))
    };
    Some(Flow {
        from: from.name,
        from_pod: pod(from, from_namespace)?,
        to: to.name,
        to_pod: pod(to, to_namespace)?,
        protocol,
        port,
    })
}

impl Flow {
    /// The same flow as the packet model asks for it.
    pub(crate) fn packet(&self) -> policy::Flow {
        let pod = |(namespace, name): &(String, String)| Endpoint::Pod {
            namespace: namespace.clone(),
            name: name.clone(),
        };
        policy::Flow {
            from: pod(&self.from_pod),
            to: pod(&self.to_pod),
            path: Path::Service,
            protocol: self.protocol,
            port: self.port,
        }
    }
}

/// The packet model's view of `snapshot`. Its node holds every pod: policies do not depend on where a pod runs.
pub(crate) fn view(snapshot: &Snapshot) -> ClusterView {
    let any = Ipv4Addr::UNSPECIFIED;
    let net = |length| ipnet::Ipv4Net::new(any, length).unwrap_or_default();
    ClusterView {
        node: NodeView { name: String::new(), addresses: Vec::new(), pod_cidr: net(0) },
        service_cidr: net(32),
        namespaces: snapshot.namespaces.clone(),
        pods: snapshot.pods.clone(),
        policies: snapshot.policies.clone(),
        services: snapshot.services.clone(),
        endpoint_slices: snapshot.endpoint_slices.clone(),
    }
}
