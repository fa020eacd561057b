//! A small cluster to judge: one node, two namespaces, a client, a server and a stranger.
use std::net::Ipv4Addr;

use k8s_openapi::serde::de::DeserializeOwned;
use netmodel::{ClusterView, NodeView};

pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 10);
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 77);
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 5);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 6);
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 80);
pub(crate) const EMPTY_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 81);

const NAMESPACES: &str = "
- {metadata: {name: np, labels: {kubernetes.io/metadata.name: np}}}
- {metadata: {name: far, labels: {kubernetes.io/metadata.name: far, team: x}}}
";

const PODS: &str = "
- metadata: {namespace: np, name: client, labels: {app: client}}
  spec: {containers: [{name: c}]}
  status: {podIP: 10.42.0.5, phase: Running}
- metadata: {namespace: np, name: server, labels: {app: server}}
  spec:
    containers:
    - {name: c, ports: [{name: http, containerPort: 8080}, {name: dns, protocol: UDP, containerPort: 5353}]}
  status: {podIP: 10.42.0.6, phase: Running}
- metadata: {namespace: far, name: client, labels: {app: client}}
  spec: {containers: [{name: c}]}
  status: {podIP: 10.42.0.7, phase: Running}
- metadata: {namespace: far, name: server, labels: {app: server}}
  spec: {containers: [{name: c}]}
  status: {podIP: 10.42.0.8, phase: Running}
- metadata: {namespace: np, name: on-the-node, labels: {app: server}}
  spec: {hostNetwork: true, containers: [{name: c}]}
  status: {podIP: 192.168.50.10, phase: Running}
- metadata: {namespace: np, name: finished, labels: {app: server}}
  spec: {containers: [{name: c}]}
  status: {podIP: 10.42.0.9, phase: Succeeded}
";

const SERVICES: &str = "
- metadata: {namespace: np, name: server}
  spec:
    type: NodePort
    clusterIP: 10.43.0.80
    ports:
    - {name: http, port: 80, targetPort: http, nodePort: 30080}
    - {name: dns, protocol: UDP, port: 53, targetPort: dns}
- metadata: {namespace: np, name: empty}
  spec: {clusterIP: 10.43.0.81, ports: [{port: 80}]}
- metadata: {namespace: np, name: headless}
  spec: {clusterIP: None, ports: [{port: 80}]}
- metadata: {namespace: np, name: alias}
  spec: {type: ExternalName, externalName: server.far.svc.cluster.local}
- metadata: {namespace: default, name: kubernetes}
  spec: {clusterIP: 10.43.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
";

const SLICES: &str = "
- metadata: {namespace: np, name: server-1, labels: {kubernetes.io/service-name: server}}
  addressType: IPv4
  endpoints:
  - {addresses: [10.42.0.6], conditions: {ready: true}}
  ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 5353, protocol: UDP}]
- metadata: {namespace: np, name: empty-1, labels: {kubernetes.io/service-name: empty}}
  addressType: IPv4
  endpoints: [{addresses: [10.42.0.7], conditions: {ready: false}}]
  ports: [{name: '', port: 8080, protocol: TCP}]
- metadata: {namespace: default, name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}
  addressType: IPv4
  endpoints: [{addresses: [192.168.50.10]}]
  ports: [{name: https, port: 6443, protocol: TCP}]
";

fn read<T: DeserializeOwned>(yaml: &str) -> T {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).expect("the test's YAML");
    serde_json::from_value(value).expect("the test's objects")
}

/// The cluster with policies of namespace `np`, each given as its spec.
pub(crate) fn view(specs: &[&str]) -> ClusterView {
    let policies = specs.iter().enumerate().map(|(index, spec)| {
        let name = char::from(b'a' + u8::try_from(index).expect("few policies"));
        read(&format!("{{metadata: {{namespace: np, name: '{name}'}}, spec: {spec}}}"))
    });
    ClusterView {
        node: NodeView {
            name: "node".to_owned(),
            addresses: vec![NODE],
            pod_cidr: "10.42.0.0/24".parse().expect("a range"),
        },
        service_cidr: "10.43.0.0/16".parse().expect("a range"),
        namespaces: read(NAMESPACES),
        pods: read(PODS),
        policies: policies.collect(),
        services: read(SERVICES),
        endpoint_slices: read(SLICES),
    }
}
