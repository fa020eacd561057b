//! The three Services of a mesh.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use seldon_crds::{OverrideSpec, SeldonRuntime, ServiceConfig};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::owned::{self, owned_by};
use crate::server::typed;

/// Keeps `seldon-scheduler`, `seldon-mesh` and `seldon-pipelinegateway` as wanted.
pub(super) async fn keep(
    cluster: &Cluster,
    runtime: &SeldonRuntime,
    config: &ServiceConfig,
    overrides: &BTreeMap<&str, &OverrideSpec>,
) -> Result<(), Failure> {
    for wanted in wanted(runtime, config, overrides) {
        let wanted: Service = typed(wanted)?;
        owned::keep(cluster, wanted).await?;
    }
    Ok(())
}

/// `LoadBalancer`, unless the settings say otherwise; an override entry wins even when its type is empty.
fn service_type<'a>(config: &'a ServiceConfig, over: Option<&&'a OverrideSpec>) -> &'a str {
    match over {
        Some(over) => &over.service_type,
        None if config.service_type.is_empty() => "LoadBalancer",
        None => &config.service_type,
    }
}

fn wanted(
    runtime: &SeldonRuntime,
    config: &ServiceConfig,
    overrides: &BTreeMap<&str, &OverrideSpec>,
) -> [Value; 3] {
    let prefix = &config.grpc_service_prefix;
    let prefixed = |name: &str, port: u16| port_entry(&format!("{prefix}{name}"), port, name);
    let scheduler = [
        prefixed("xds", 9002),
        prefixed("scheduler", 9004),
        prefixed("scheduler-mtls", 9044),
        prefixed("agent", 9005),
        prefixed("agent-mtls", 9055),
        prefixed("dataflow", 9008),
    ];
    let mesh = [port_entry(&format!("{prefix}data"), 80, "http"), port_entry("stats", 9003, "envoy-stats")];
    // "gprc" is the name in the original.
    let gateway = [port_entry("http", 9010, "http"), port_entry("gprc", 9011, "grpc")];
    let typed = |component: &str, ports: Value| {
        let mut spec = json!({"ports": ports});
        let kind = service_type(config, overrides.get(component));
        if !kind.is_empty() {
            spec["type"] = json!(kind);
        }
        spec
    };
    [
        service(runtime, "seldon-scheduler", "seldon-scheduler", typed("seldon-scheduler", json!(scheduler))),
        service(runtime, "seldon-mesh", "seldon-envoy", typed("seldon-envoy", json!(mesh))),
        service(
            runtime,
            "seldon-pipelinegateway",
            "seldon-pipelinegateway",
            json!({"ports": gateway, "clusterIP": "None"}),
        ),
    ]
}

fn port_entry(name: &str, port: u16, target: &str) -> Value {
    json!({"name": name, "port": port, "targetPort": target, "protocol": "TCP"})
}

fn service(runtime: &SeldonRuntime, name: &str, component: &str, mut spec: Value) -> Value {
    let label = json!({"app.kubernetes.io/name": component});
    spec["selector"] = label.clone();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name, "namespace": runtime.namespace(), "labels": label,
            "ownerReferences": [owned_by(runtime)],
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_said("", None, "LoadBalancer")]
    #[case::settings("NodePort", None, "NodePort")]
    #[case::override_wins("NodePort", Some("ClusterIP"), "ClusterIP")]
    #[case::even_an_empty_one("NodePort", Some(""), "")]
    fn types(#[case] config: &str, #[case] over: Option<&str>, #[case] expected: &str) {
        let config = ServiceConfig { service_type: config.to_owned(), ..ServiceConfig::default() };
        let over = over.map(|kind| OverrideSpec { service_type: kind.to_owned(), ..OverrideSpec::default() });
        assert_eq!(service_type(&config, over.as_ref().as_ref()), expected);
    }
}
