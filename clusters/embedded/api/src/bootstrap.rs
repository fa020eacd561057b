//! The objects every new cluster has.

mod roles;

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::authentication::User;
use crate::config::Authorization;
use crate::options::Query;
use crate::state::State;
use crate::verbs::{Call, Part};

/// Creates namespaces, the cluster's CA, the `kubernetes` Service and, where the server's address is known, its endpoints.
pub(crate) fn populate(state: &Arc<State>) {
    for name in ["kube-system", "default", "kube-public", "kube-node-lease"] {
        create(state, "", "namespaces", "", json!({"metadata": {"name": name}}));
    }
    if state.config.authorization == Authorization::Rbac {
        for (plural, document) in roles::all() {
            create(state, "rbac.authorization.k8s.io", plural, "", document);
        }
    }
    if !state.config.ca_pem.is_empty() {
        let data = json!({"client-ca-file": state.config.ca_pem});
        let map = json!({"metadata": {"name": "extension-apiserver-authentication"}, "data": data});
        create(state, "", "configmaps", "kube-system", map);
    }
    let (network, _) = state.config.service_network;
    let address = Ipv4Addr::from(u32::from(network) + 1).to_string();
    let target = state.config.endpoint.map_or(6443, |(_, port)| port);
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    create(
        state,
        "",
        "services",
        "default",
        json!({
            "metadata": {"name": "kubernetes", "labels": labels},
            "spec": {"clusterIP": address, "ports": [{"name": "https", "port": 443, "targetPort": target, "protocol": "TCP"}]},
        }),
    );
    let Some((host, port)) = state.config.endpoint else { return };
    let mirror = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    create(
        state,
        "",
        "endpoints",
        "default",
        json!({
            "metadata": {"name": "kubernetes", "labels": mirror},
            "subsets": [{"addresses": [{"ip": host.to_string()}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
        }),
    );
    create(
        state,
        "discovery.k8s.io",
        "endpointslices",
        "default",
        json!({
            "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host.to_string()], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }),
    );
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
