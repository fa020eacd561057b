//! The objects every new cluster has.

mod roles;

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::authentication::User;
use crate::config::{Authorization, Config};
use crate::options::Query;
use crate::state::State;
use crate::verbs::{Call, Part};

/// An object, and the kind and place it belongs to.
struct Initial {
    group: &'static str,
    plural: &'static str,
    namespace: &'static str,
    document: Value,
}

/// Creates namespaces, the cluster's CA, the `kubernetes` Service and, where the server's address is known, its endpoints.
pub(crate) fn populate(state: &Arc<State>) {
    for Initial { group, plural, namespace, document } in initial(&state.config) {
        create(state, group, plural, namespace, document);
    }
}

/// What a server with these settings begins with: `plural/name`, with the namespace before it where there is one.
pub fn initial_objects(config: &Config) -> Vec<String> {
    let named = |one: Initial| {
        let name = one.document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match one.namespace {
            "" => format!("{}/{name}", one.plural),
            namespace => format!("{namespace}/{}/{name}", one.plural),
        }
    };
    initial(config).into_iter().map(named).collect()
}

fn initial(config: &Config) -> Vec<Initial> {
    let object = |group, plural, namespace, document| Initial { group, plural, namespace, document };
    let named = |name| object("", "namespaces", "", json!({"metadata": {"name": name}}));
    let mut all: Vec<Initial> =
        ["kube-system", "default", "kube-public", "kube-node-lease"].map(named).into();
    if config.authorization == Authorization::Rbac {
        let roles = roles::all().into_iter();
        all.extend(roles.map(|(plural, role)| object("rbac.authorization.k8s.io", plural, "", role)));
    }
    if !config.ca_pem.is_empty() {
        let data = json!({"client-ca-file": config.ca_pem});
        let map = json!({"metadata": {"name": "extension-apiserver-authentication"}, "data": data});
        all.push(object("", "configmaps", "kube-system", map));
    }
    let (network, _) = config.service_network;
    let address = Ipv4Addr::from(u32::from(network) + 1).to_string();
    let target = config.endpoint.map_or(6443, |(_, port)| port);
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({
        "metadata": {"name": "kubernetes", "labels": labels},
        "spec": {"clusterIP": address, "ports": [{"name": "https", "port": 443, "targetPort": target, "protocol": "TCP"}]},
    });
    all.push(object("", "services", "default", service));
    if let Some((host, port)) = config.endpoint {
        let (endpoints, slice) = endpoints(host, port);
        all.push(object("", "endpoints", "default", endpoints));
        all.push(object("discovery.k8s.io", "endpointslices", "default", slice));
    }
    all
}

fn endpoints(host: Ipv4Addr, port: u16) -> (Value, Value) {
    let mirror = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    let endpoints = json!({
        "metadata": {"name": "kubernetes", "labels": mirror},
        "subsets": [{"addresses": [{"ip": host.to_string()}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    });
    let slice = json!({
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    (endpoints, slice)
}

fn create(state: &Arc<State>, group: &str, plural: &str, namespace: &str, document: Value) {
    let Some(resource) = state.catalog.find(group, "v1", plural) else {
        tracing::error!(group, plural, "a kind every cluster has is not in the table");
        return;
    };
    let call = Call {
        state: state.clone(),
        resource,
        namespace: namespace.to_owned(),
        name: String::new(),
        part: Part::Main,
        query: Query::default(),
        user: User::admin(),
        user_agent: "kube-apiserver".to_owned(),
    };
    if let Err(failure) = call.create(document.into()) {
        tracing::error!(%failure, plural, "an object every cluster has was refused");
    }
}
