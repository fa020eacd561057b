//! The artefact store: rclone serving a directory over S3, in a namespace of its own.

use serde_json::{Value, json};

use crate::images;

/// Where it is, unless the cluster is shared.
pub(super) const NAMESPACE: &str = "model-store";

/// Namespace, Deployment and Service of the store.
pub(super) fn manifests(namespace: &str) -> Vec<Value> {
    let labels = json!({"app": "store"});
    let container = json!({
        "name": "store",
        "image": images::STORE,
        "ports": [{"name": "s3", "containerPort": 9000}],
        "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 5},
    });
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "store", "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [container]},
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "store", "namespace": namespace},
            "spec": {"selector": labels, "ports": [{"name": "s3", "port": 9000}]},
        }),
    ]
}

/// The Secret by which agents of `tenant` reach the store in `namespace`: one rclone remote called `s3`.
pub(super) fn secret(tenant: &str, namespace: &str) -> Value {
    let remote = format!(
        "type: s3\nname: s3\nparameters:\n  provider: Minio\n  env_auth: \"false\"\n  access_key_id: conformance\n  \
         secret_access_key: conformance-secret\n  endpoint: http://store.{namespace}:9000\n"
    );
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "store-s3", "namespace": tenant},
        "stringData": {"s3": remote},
    })
}
