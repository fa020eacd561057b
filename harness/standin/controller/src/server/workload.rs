//! A Server's StatefulSet and replica Services.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use seldon_crds::{PersistentVolumeClaimTemplate, Server, ServerConfig};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::REPLICA_LABEL;
use crate::failure::Failure;
use crate::merge;
use crate::owned::owned_by;

const CAPABILITIES: &str = "SELDON_SERVER_CAPABILITIES";

/// The StatefulSet of a Server, from the configuration's template.
pub(super) fn stateful_set(
    server: &Server,
    config: &ServerConfig,
    replicas: i32,
) -> Result<StatefulSet, Failure> {
    let (name, namespace) = (server.name_any(), server.namespace().unwrap_or_default());
    let spec = &server.spec;
    let mut pod = merge::pod_specs(&config.spec.pod_spec, spec.pod_spec.as_ref());
    set_capabilities(&mut pod, &spec.capabilities, &spec.extra_capabilities);
    let mut labels = json!(merged(config.labels(), server.labels()));
    labels["app.kubernetes.io/name"] = json!("seldon-server");
    let mut pod_labels = labels.clone();
    pod_labels["seldon-server-name"] = json!(name);
    let annotations = merged(config.annotations(), server.annotations());
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": name, "namespace": namespace, "labels": labels, "annotations": annotations,
            "ownerReferences": [owned_by(server)],
        },
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"seldon-server-name": name}},
            "template": {"metadata": {"labels": pod_labels, "annotations": annotations}, "spec": pod},
            "volumeClaimTemplates": claims(&config.spec.volume_claim_templates),
        },
    });
    if let Some(policy) = &spec.stateful_set_persistent_volume_claim_retention_policy {
        set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!(policy);
    }
    typed(set)
}

/// The claims of a template as a StatefulSet writes them.
pub(crate) fn claims(templates: &[PersistentVolumeClaimTemplate]) -> Value {
    templates.iter().map(|claim| json!({"metadata": {"name": claim.name}, "spec": claim.spec})).collect()
}

/// Labels or annotations of two objects; the second one wins. All of them, also those that tools leave for
/// themselves.
pub(crate) fn merged(
    first: &std::collections::BTreeMap<String, String>,
    second: &std::collections::BTreeMap<String, String>,
) -> Map<String, Value> {
    first.iter().chain(second).map(|(key, value)| (key.clone(), json!(value))).collect()
}

/// A Kubernetes object from its JSON.
pub(crate) fn typed<K: DeserializeOwned>(value: Value) -> Result<K, Failure> {
    serde_json::from_value(value).map_err(|error| Failure::Refused(error.to_string()))
}

/// Own capabilities replace those of the configuration; extra ones are appended to them.
fn set_capabilities(pod: &mut Value, own: &[String], extra: &[String]) {
    if own.is_empty() && extra.is_empty() {
        return;
    }
    let containers = pod.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten();
    let variables = containers.filter_map(|container| container.get_mut("env")?.as_array_mut()).flatten();
    for variable in variables.filter(|variable| variable["name"] == CAPABILITIES) {
        let value = if own.is_empty() {
            format!("{},{}", variable["value"].as_str().unwrap_or_default(), extra.join(","))
        } else {
            own.join(",")
        };
        *variable = json!({"name": CAPABILITIES, "value": value});
    }
}

/// The headless Service of one replica. Envoy looks up its name but dials other ports than those listed here.
pub(super) fn replica_service(server: &Server, index: i32) -> Result<Service, Failure> {
    let name = format!("{}-{index}", server.name_any());
    typed(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": server.namespace(),
            "labels": {REPLICA_LABEL: server.name_any(), "seldon-server-replica-name": name},
            "ownerReferences": [owned_by(server)],
        },
        "spec": {
            "clusterIP": "None",
            "selector": {"statefulset.kubernetes.io/pod-name": name},
            "ports": [
                {"name": "http", "port": 9000, "targetPort": "http"},
                {"name": "grpc", "port": 9500, "targetPort": "grpc"},
                {"name": "agent", "port": 9005},
            ],
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use seldon_crds::ServerSpec;
    use seldon_crds::defaults::{Values, server_config};

    fn server(change: impl FnOnce(&mut ServerSpec)) -> Server {
        let mut spec = ServerSpec { server_config: "mlserver".into(), ..ServerSpec::default() };
        change(&mut spec);
        let mut server = Server::new("mlserver", spec);
        server.metadata.namespace = Some("seldon-mesh".into());
        server
    }

    fn capabilities(set: &StatefulSet) -> String {
        let containers = &set.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers;
        let agent = containers.iter().find(|container| container.name == "agent").unwrap();
        let variable = agent.env.as_ref().unwrap().iter().find(|variable| variable.name == CAPABILITIES);
        variable.unwrap().value.clone().unwrap()
    }

    #[rstest]
    #[case::the_configurations(&[], &[], "mlserver,alibi-detect,alibi-explain,huggingface,lightgbm,mlflow,python,sklearn,spark-mlib,xgboost")]
    #[case::own(&["a", "b"], &["c"], "a,b")]
    #[case::extra(&[], &["c"], "mlserver,alibi-detect,alibi-explain,huggingface,lightgbm,mlflow,python,sklearn,spark-mlib,xgboost,c")]
    fn capabilities_of_a_server(#[case] own: &[&str], #[case] extra: &[&str], #[case] expected: &str) {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        let server = server(|spec| (spec.capabilities, spec.extra_capabilities) = (owned(own), owned(extra)));
        let set = stateful_set(&server, &server_config(&Values::testable("seldon-mesh")), 1).unwrap();
        assert_eq!(capabilities(&set), expected);
    }

    #[test]
    fn labels_by_which_server_pods_are_found() {
        let set = stateful_set(&server(|_| ()), &server_config(&Values::testable("seldon-mesh")), 2).unwrap();
        let spec = set.spec.unwrap();
        let labels = spec.template.metadata.unwrap().labels.unwrap();
        assert_eq!(labels["app.kubernetes.io/name"], "seldon-server");
        assert_eq!(labels["seldon-server-name"], "mlserver");
        assert_eq!(spec.selector.match_labels.unwrap()["seldon-server-name"], "mlserver");
        assert_eq!((spec.replicas, spec.pod_management_policy.as_deref()), (Some(2), Some("Parallel")));
        assert_eq!(spec.volume_claim_templates.unwrap()[0].metadata.name.as_deref(), Some("mlserver-models"));
    }
}
