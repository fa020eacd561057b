//! The objects by which k3s 1.33.1 runs CoreDNS.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use pace::Pace;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The Corefile of k3s 1.33.1 with its defaults put in.
const COREFILE: &str = "\
.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    hosts /etc/coredns/NodeHosts {
      ttl 60
      reload 15s
      fallthrough
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
    import /etc/coredns/custom/*.override
}
import /etc/coredns/custom/*.server
";

/// The line of it by which answers are remembered: denials for as long as their zones say, at least 5 s and at most 30 s.
const CACHE: &str = "    cache 30\n";
/// The same with denials that are remembered for a second, the shortest time that CoreDNS 1.12.1 takes.
const CACHE_OF_BRIEF_DENIALS: &str = "    cache 30 {\n      denial 9984 1 1\n    }\n";

/// For how long CoreDNS remembers that a name is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denials {
    /// As on k3s. Our own name server shrinks that with its pace.
    AsK3s,
    /// For a second: for a CoreDNS that knows no pace.
    Brief,
}

impl Denials {
    /// What a CoreDNS that knows no pace is told, so that it remembers as ours does.
    pub fn remembered_at(pace: Pace) -> Denials {
        if pace == Pace::REAL { Denials::AsK3s } else { Denials::Brief }
    }

    fn corefile(self) -> String {
        match self {
            Denials::AsK3s => COREFILE.to_owned(),
            Denials::Brief => COREFILE.replace(CACHE, CACHE_OF_BRIEF_DENIALS),
        }
    }
}

/// The objects in the order in which they can be created.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifests {
    /// `coredns` in `kube-system`.
    pub service_account: ServiceAccount,
    /// `system:coredns`.
    pub cluster_role: ClusterRole,
    /// `system:coredns`.
    pub cluster_role_binding: ClusterRoleBinding,
    /// The Corefile and NodeHosts.
    pub config_map: ConfigMap,
    /// `coredns` in `kube-system`.
    pub deployment: Deployment,
    /// `kube-dns` at 10.43.0.10.
    pub service: Service,
}

/// A line of NodeHosts: an address and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHost {
    /// The address of the node.
    pub address: std::net::IpAddr,
    /// The node's name.
    pub name: String,
}

/// k3s's CoreDNS for a cluster with these nodes.
#[must_use]
pub fn manifests(nodes: &[NodeHost], denials: Denials) -> Manifests {
    let node_hosts: String = nodes.iter().map(|node| format!("{} {}\n", node.address, node.name)).collect();
    Manifests {
        service_account: typed(json!({ "metadata": { "name": "coredns", "namespace": "kube-system" } })),
        cluster_role: typed(json!({
            "metadata": { "name": "system:coredns", "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } },
            "rules": [
                { "apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"] },
                { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"] },
            ],
        })),
        cluster_role_binding: typed(json!({
            "metadata": {
                "name": "system:coredns",
                "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
                "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
            },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns" },
            "subjects": [{ "kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system" }],
        })),
        config_map: typed(json!({
            "metadata": { "name": "coredns", "namespace": "kube-system" },
            "data": { "Corefile": denials.corefile(), "NodeHosts": node_hosts },
        })),
        deployment: typed(deployment()),
        service: typed(service()),
    }
}

/// The typed form of a literal of this file; a test builds each of them.
fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a literal of this file has the shape of its kind")
}

fn deployment() -> Value {
    json!({
        "metadata": {
            "name": "coredns",
            "namespace": "kube-system",
            "labels": { "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" },
        },
        "spec": {
            "revisionHistoryLimit": 0,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
            "selector": { "matchLabels": { "k8s-app": "kube-dns" } },
            "template": {
                "metadata": { "labels": { "k8s-app": "kube-dns" } },
                "spec": {
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": "coredns",
                    "tolerations": [
                        { "key": "CriticalAddonsOnly", "operator": "Exists" },
                        { "key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule" },
                    ],
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
                    }],
                    "containers": [container()],
                    "dnsPolicy": "Default",
                    "volumes": [
                        { "name": "config-volume", "configMap": { "name": "coredns", "items": [
                            { "key": "Corefile", "path": "Corefile" },
                            { "key": "NodeHosts", "path": "NodeHosts" },
                        ] } },
                        { "name": "custom-config-volume", "configMap": { "name": "coredns-custom", "optional": true } },
                    ],
                },
            },
        },
    })
}

fn container() -> Value {
    json!({
        "name": "coredns",
        "image": "rancher/mirrored-coredns-coredns:1.12.1",
        "imagePullPolicy": "IfNotPresent",
        "resources": { "limits": { "memory": "170Mi" }, "requests": { "cpu": "100m", "memory": "70Mi" } },
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [
            { "name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true },
            { "name": "custom-config-volume", "mountPath": "/etc/coredns/custom", "readOnly": true },
        ],
        "ports": [
            { "containerPort": 53, "name": "dns", "protocol": "UDP" },
            { "containerPort": 53, "name": "dns-tcp", "protocol": "TCP" },
            { "containerPort": 9153, "name": "metrics", "protocol": "TCP" },
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["all"] },
            "readOnlyRootFilesystem": true,
        },
        "livenessProbe": {
            "httpGet": { "path": "/health", "port": 8080, "scheme": "HTTP" },
            "initialDelaySeconds": 60, "periodSeconds": 10, "timeoutSeconds": 1,
            "successThreshold": 1, "failureThreshold": 3,
        },
        "readinessProbe": {
            "httpGet": { "path": "/ready", "port": 8181, "scheme": "HTTP" },
            "initialDelaySeconds": 0, "periodSeconds": 2, "timeoutSeconds": 1,
            "successThreshold": 1, "failureThreshold": 3,
        },
    })
}

fn service() -> Value {
    json!({
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "annotations": { "prometheus.io/port": "9153", "prometheus.io/scrape": "true" },
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "selector": { "k8s-app": "kube-dns" },
            "clusterIP": "10.43.0.10",
            "clusterIPs": ["10.43.0.10"],
            "ports": [
                { "name": "dns", "port": 53, "protocol": "UDP" },
                { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
                { "name": "metrics", "port": 9153, "protocol": "TCP" },
            ],
            "ipFamilyPolicy": "SingleStack",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_has_the_shape_of_its_kind() {
        let node = NodeHost { address: [172, 18, 0, 3].into(), name: "node-0".to_owned() };
        let made = manifests(&[node], Denials::AsK3s);
        let hosts = made.config_map.data.unwrap().get("NodeHosts").cloned();
        assert_eq!(hosts.as_deref(), Some("172.18.0.3 node-0\n"));
        let corefile = crate::corefile::parse("/nowhere/Corefile", COREFILE).unwrap();
        assert_eq!(corefile.blocks.len(), 1);
        assert_eq!(corefile.unmatched_imports.len(), 2);
    }

    #[test]
    fn brief_denials_are_the_cache_s_business_alone() {
        let (usual, brief) = (Denials::AsK3s.corefile(), Denials::remembered_at(Pace::FAST).corefile());
        assert_eq!(Denials::remembered_at(Pace::REAL), Denials::AsK3s);
        assert_eq!(brief.replace(" {\n      denial 9984 1 1\n    }", ""), usual);
        assert_ne!(brief, usual);
        crate::corefile::parse("/nowhere/Corefile", &brief).unwrap();
    }
}
