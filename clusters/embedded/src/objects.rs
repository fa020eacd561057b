//! Objects that a cluster of one node gets before it is of use, as k3s 1.33 makes them.

use std::net::Ipv4Addr;

use anyhow::Context;
use embedded_dns::{Denials, Manifests, NodeHost};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

/// CoreDNS as k3s runs it, for a cluster of the one node `node_name`, in the order in which its objects are created.
///
/// # Errors
/// serde_json's; Kubernetes types always serialise.
pub fn dns_objects(node_name: &str, address: Ipv4Addr, denials: Denials) -> serde_json::Result<Vec<Value>> {
    let Manifests { service_account, cluster_role, cluster_role_binding, config_map, deployment, service } =
        embedded_dns::manifests(&[NodeHost { address: address.into(), name: node_name.into() }], denials);
    Ok(vec![
        serde_json::to_value(service_account)?,
        serde_json::to_value(cluster_role)?,
        serde_json::to_value(cluster_role_binding)?,
        serde_json::to_value(config_map)?,
        serde_json::to_value(service)?,
        serde_json::to_value(deployment)?,
    ])
}

/// The class that k3s's own provisioner has.
pub fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "local-path",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "rancher.io/local-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

/// Creates them, in order.
///
/// # Errors
/// The API server's answer to the first that it refuses.
pub async fn create(client: &Client, objects: &[Value]) -> anyhow::Result<()> {
    for object in objects {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.clone().context("a manifest has no apiVersion and kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let name = object.metadata.name.clone().unwrap_or_default();
        let created = api.create(&PostParams::default(), &object).await;
        created.with_context(|| format!("cannot create {} {name}", types.kind))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_says_what_it_is() {
        let objects = dns_objects("node-0", Ipv4Addr::LOCALHOST, Denials::AsK3s).unwrap();
        let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(
            kinds,
            ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "Service", "Deployment"]
        );
        assert!(objects.iter().all(|object| object["apiVersion"].is_string()));
    }
}
