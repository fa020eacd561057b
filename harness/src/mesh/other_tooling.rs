//! Scheduler and Envoy as somebody else's manifests make them: no SeldonRuntime, another name for the Service.

use seldon_crds::defaults::{Values, seldon_config};
use serde_json::{Value, json};

/// The name this tooling gives to the scheduler's Service.
pub(crate) const SERVICE: &str = "seldon-system-scheduler";

/// The objects of a runtime in `tenant`, with the pods of the charts.
pub(super) fn manifests(tenant: &str, values: &Values) -> anyhow::Result<Vec<Value>> {
    let config = seldon_config(values);
    let pod = |component: &str| {
        let found = config.spec.components.iter().find(|definition| definition.name == component);
        found
            .and_then(|definition| definition.pod_spec.clone())
            .ok_or_else(|| anyhow::anyhow!("the configuration has no component {component}"))
    };
    let meta = |name: &str| json!({"name": name, "namespace": tenant});
    let mut objects = Vec::new();
    for account in ["seldon-scheduler", "seldon-server"] {
        objects.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(account)}));
        objects.extend(rights(tenant, account));
    }
    for (name, key, text) in [
        ("seldon-agent", "agent.yaml", "rclone:\n  config_secrets:\n  - seldon-rclone-gs-public\n"),
        ("seldon-kafka", "kafka.json", "{\"topicPrefix\":\"seldon\"}"),
        ("seldon-tracing", "tracing.json", "{\"disable\":true}"),
    ] {
        objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(name), "data": {key: text},
        }));
    }
    objects.push(workload("StatefulSet", tenant, "seldon-scheduler", with_state(pod("seldon-scheduler")?)));
    objects.push(workload("Deployment", tenant, "seldon-envoy", pod("seldon-envoy")?));
    let scheduler_ports = [("xds", 9002), ("scheduler", 9004), ("agent", 9005), ("dataflow", 9008)];
    objects.push(service(
        tenant,
        SERVICE,
        "seldon-scheduler",
        &scheduler_ports.map(|(name, port)| (name, port, port)),
    ));
    objects.push(service(
        tenant,
        "seldon-mesh",
        "seldon-envoy",
        &[("data", 80, 9000), ("stats", 9003, 9003)],
    ));
    Ok(objects)
}

/// What Seldon's programs read of the API: Secrets and ConfigMaps of their namespace.
fn rights(tenant: &str, account: &str) -> [Value; 2] {
    let metadata = json!({"name": account, "namespace": tenant});
    let group = "rbac.authorization.k8s.io";
    let reads =
        json!({"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get", "list", "watch"]});
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": [reads],
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": tenant}],
    });
    [role, binding]
}

/// The scheduler's state in an emptyDir: this tooling makes no claims.
fn with_state(mut pod: Value) -> Value {
    if let Some(volumes) = pod["volumes"].as_array_mut() {
        volumes.push(json!({"name": "scheduler-state", "emptyDir": {}}));
    }
    pod
}

fn workload(kind: &str, tenant: &str, name: &str, pod: Value) -> Value {
    let labels = json!({"app.kubernetes.io/name": name});
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": tenant, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    })
}

fn service(tenant: &str, name: &str, selected: &str, ports: &[(&str, u16, u16)]) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port, target)| json!({"name": name, "port": port, "targetPort": target, "protocol": "TCP"}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": tenant},
        "spec": {"selector": {"app.kubernetes.io/name": selected}, "ports": ports},
    })
}
