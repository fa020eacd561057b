//! Endpoints from a Service and its pods. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as CorePort, EndpointSubset, ObjectReference, Pod, Service, ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{MANAGED_BY, MANAGER, SERVICE_LABEL};
use crate::pods;

/// The endpoints that share the numbers of their ports.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) ports: Vec<EndpointPort>,
    pub(super) endpoints: Vec<Endpoint>,
}

fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The endpoints of a Service; one empty group when no pod has an address.
pub(super) fn groups(service: &Service, pods: &[Arc<Pod>]) -> Vec<Group> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let mut found: Vec<Group> = Vec::new();
    for pod in pods.iter().filter(|pod| pods::is_alive(pod)) {
        let Some(address) =
            pod.status.as_ref().and_then(|status| status.pod_ip.clone()).filter(|ip| !ip.is_empty())
        else {
            continue;
        };
        let ports: Vec<EndpointPort> = ports.iter().filter_map(|port| resolve(port, pod)).collect();
        let endpoint = endpoint(service, pod, address);
        match found.iter_mut().find(|group| group.ports == ports) {
            Some(group) => group.endpoints.push(endpoint),
            None => found.push(Group { ports, endpoints: vec![endpoint] }),
        }
    }
    if found.is_empty() {
        found.push(Group { ports: Vec::new(), endpoints: Vec::new() });
    }
    for group in &mut found {
        group.endpoints.sort_by(|one, other| one.addresses.cmp(&other.addresses));
    }
    found
}

/// The port of one pod; `None` when it declares no port of that name.
fn resolve(port: &ServicePort, pod: &Pod) -> Option<EndpointPort> {
    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.iter().flat_map(|spec| {
                let sidecars = spec.init_containers.iter().flatten();
                let sidecars =
                    sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
                spec.containers.iter().chain(sidecars)
            });
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports
                .find(|declared| {
                    declared.name.as_ref() == Some(name)
                        && declared.protocol.as_deref().unwrap_or("TCP") == protocol
                })?
                .container_port
        }
    };
    Some(EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(number),
        protocol: Some(protocol),
        app_protocol: port.app_protocol.clone(),
    })
}

fn endpoint(service: &Service, pod: &Pod, address: String) -> Endpoint {
    let spec = pod.spec.as_ref();
    let serving = pods::is_ready(pod);
    let terminating = pods::is_leaving(pod);
    let always = service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    let hostname = spec.and_then(|spec| spec.hostname.clone()).filter(|hostname| !hostname.is_empty());
    let subdomain = spec.and_then(|spec| spec.subdomain.as_deref());
    Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(always || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname.filter(|_| subdomain == Some(service.name_any().as_str())),
        node_name: spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.namespace(),
            name: Some(pod.name_any()),
            uid: pod.uid(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

/// The labels of a slice: the Service's own and the controller's.
pub(super) fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.labels().clone();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels.insert(SERVICE_LABEL.to_owned(), service.name_any());
    if is_headless(service) {
        labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    }
    labels
}

/// The labels of the Endpoints object.
pub(super) fn mirror_labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.labels().clone();
    labels.insert("endpoints.kubernetes.io/managed-by".to_owned(), "endpoint-controller".to_owned());
    if is_headless(service) {
        labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    }
    labels
}

/// The same endpoints in the older form. Pods on their way out are left out of it.
pub(super) fn subsets(groups: &[Group]) -> Vec<EndpointSubset> {
    groups
        .iter()
        .filter_map(|group| {
            let (mut ready, mut not_ready) = (Vec::new(), Vec::new());
            for endpoint in &group.endpoints {
                let conditions = endpoint.conditions.clone().unwrap_or_default();
                let leaving = conditions.terminating == Some(true);
                if leaving && conditions.ready != Some(true) {
                    continue;
                }
                let address = EndpointAddress {
                    ip: endpoint.addresses.first().cloned().unwrap_or_default(),
                    hostname: endpoint.hostname.clone(),
                    node_name: endpoint.node_name.clone(),
                    target_ref: endpoint.target_ref.clone(),
                };
                if conditions.ready == Some(true) { ready.push(address) } else { not_ready.push(address) }
            }
            let ports: Vec<CorePort> = group
                .ports
                .iter()
                .map(|port| CorePort {
                    name: port.name.clone().filter(|name| !name.is_empty()),
                    port: port.port.unwrap_or(0),
                    protocol: port.protocol.clone(),
                    app_protocol: port.app_protocol.clone(),
                })
                .collect();
            (!ready.is_empty() || !not_ready.is_empty()).then(|| EndpointSubset {
                addresses: Some(ready).filter(|addresses| !addresses.is_empty()),
                not_ready_addresses: Some(not_ready).filter(|addresses| !addresses.is_empty()),
                ports: Some(ports).filter(|ports| !ports.is_empty()),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({ "metadata": { "name": "web", "namespace": "np" }, "spec": spec }))
            .unwrap()
    }

    fn pod(name: &str, address: &str, ready: &str, leaving: bool) -> Arc<Pod> {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "np", "uid": name },
            "spec": {
                "nodeName": "node-0", "hostname": name, "subdomain": "web",
                "containers": [{ "name": "c", "ports": [{ "name": "grpc", "containerPort": 9500 }] }],
            },
            "status": { "phase": "Running", "podIP": address, "conditions": [{ "type": "Ready", "status": ready }] },
        })).unwrap();
        if leaving {
            pod.metadata.deletion_timestamp =
                Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        }
        Arc::new(pod)
    }

    fn told(groups: &[Group]) -> String {
        let group = |group: &Group| {
            let ports: Vec<String> = group
                .ports
                .iter()
                .map(|port| {
                    format!("{}={}", port.name.as_deref().unwrap_or_default(), port.port.unwrap_or(0))
                })
                .collect();
            let endpoints: Vec<String> = group
                .endpoints
                .iter()
                .map(|endpoint| {
                    let conditions = endpoint.conditions.clone().unwrap();
                    let flag = |value: Option<bool>, letter: &'static str| {
                        if value == Some(true) { letter } else { "-" }
                    };
                    format!(
                        "{}:{}{}{}",
                        endpoint.addresses[0],
                        flag(conditions.ready, "r"),
                        flag(conditions.serving, "s"),
                        flag(conditions.terminating, "t"),
                    )
                })
                .collect();
            format!("[{}] {}", ports.join(","), endpoints.join(" "))
        };
        groups.iter().map(group).collect::<Vec<_>>().join("; ")
    }

    #[rstest]
    #[case::nobody(json!({ "ports": [{ "port": 80 }] }), vec![], "[] ")]
    #[case::number(json!({ "ports": [{ "port": 80, "targetPort": 9000 }] }), vec![pod("a", "10.42.0.2", "True", false)],
        "[=9000] 10.42.0.2:rs-")]
    #[case::same_number(json!({ "ports": [{ "port": 80 }] }), vec![pod("a", "10.42.0.2", "True", false)], "[=80] 10.42.0.2:rs-")]
    #[case::name(json!({ "ports": [{ "name": "g", "port": 80, "targetPort": "grpc" }] }),
        vec![pod("a", "10.42.0.2", "False", false)], "[g=9500] 10.42.0.2:---")]
    #[case::unknown_name(json!({ "ports": [{ "name": "g", "port": 80, "targetPort": "http" }] }),
        vec![pod("a", "10.42.0.2", "True", false)], "[] 10.42.0.2:rs-")]
    #[case::leaving(json!({ "ports": [{ "port": 80 }] }), vec![pod("a", "10.42.0.2", "True", true)], "[=80] 10.42.0.2:-st")]
    #[case::published(json!({ "publishNotReadyAddresses": true, "ports": [{ "port": 80 }] }),
        vec![pod("a", "10.42.0.2", "False", false)], "[=80] 10.42.0.2:r--")]
    #[case::no_address_yet(json!({ "ports": [{ "port": 80 }] }), vec![pod("a", "", "False", false)], "[] ")]
    #[case::sorted(json!({ "ports": [{ "port": 80 }] }),
        vec![pod("b", "10.42.0.3", "True", false), pod("a", "10.42.0.2", "True", false)],
        "[=80] 10.42.0.2:rs- 10.42.0.3:rs-")]
    fn builds(#[case] spec: Value, #[case] pods: Vec<Arc<Pod>>, #[case] expected: &str) {
        assert_eq!(told(&groups(&service(spec), &pods)), expected);
    }

    #[test]
    fn a_pod_of_the_headless_service_has_its_hostname() {
        let service = service(json!({ "clusterIP": "None", "ports": [{ "port": 80 }] }));
        let groups = groups(&service, &[pod("a-0", "10.42.0.2", "True", false)]);
        assert_eq!(groups[0].endpoints[0].hostname.as_deref(), Some("a-0"));
        assert!(labels(&service).contains_key("service.kubernetes.io/headless"));
    }

    #[test]
    fn the_mirror_parts_ready_and_not_ready() {
        let service = service(json!({ "ports": [{ "port": 80 }] }));
        let pods = [
            pod("a", "10.42.0.2", "True", false),
            pod("b", "10.42.0.3", "False", false),
            pod("c", "10.42.0.4", "True", true),
        ];
        let subsets = subsets(&groups(&service, &pods));
        let addresses = |list: &Option<Vec<EndpointAddress>>| -> Vec<String> {
            list.iter().flatten().map(|address| address.ip.clone()).collect()
        };
        assert_eq!(addresses(&subsets[0].addresses), ["10.42.0.2"]);
        assert_eq!(addresses(&subsets[0].not_ready_addresses), ["10.42.0.3"]);
    }
}
