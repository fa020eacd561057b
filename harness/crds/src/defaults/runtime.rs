//! What the chart `seldon-core-v2-runtime` 2.9.1 installs into a tenant's namespace.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{OverrideSpec, SeldonConfiguration, SeldonRuntime, SeldonRuntimeSpec, TracingConfig};

/// `SeldonRuntime` `seldon`: scheduler and Envoy behind ClusterIP Services; the parts that need Kafka, and the
/// hodometer, at zero replicas; tracing off.
///
/// Zero replicas and not `disable`: a disabled component keeps the runtime's `Ready` at `Unknown` for ever.
pub fn seldon_runtime(namespace: &str) -> SeldonRuntime {
    let replicas = |name: &str, count| OverrideSpec {
        name: name.to_owned(),
        replicas: Some(count),
        ..OverrideSpec::default()
    };
    let cluster_ip = |over: OverrideSpec| OverrideSpec { service_type: "ClusterIP".to_owned(), ..over };
    let scheduler = OverrideSpec { name: "seldon-scheduler".to_owned(), ..OverrideSpec::default() };
    let mut object = SeldonRuntime::new(
        "seldon",
        SeldonRuntimeSpec {
            seldon_config: "default".to_owned(),
            overrides: vec![
                replicas("hodometer", 0),
                cluster_ip(scheduler),
                cluster_ip(replicas("seldon-envoy", 1)),
                replicas("seldon-dataflow-engine", 0),
                replicas("seldon-modelgateway", 0),
                replicas("seldon-pipelinegateway", 0),
            ],
            config: SeldonConfiguration {
                tracing_config: TracingConfig { disable: true, ..TracingConfig::default() },
                ..SeldonConfiguration::default()
            },
            disable_auto_update: false,
        },
    );
    object.metadata.namespace = Some(namespace.to_owned());
    object
}

/// [`seldon_runtime`] as the chart writes it: with every switch spelled out, also those that are off.
///
/// The operator's first update drops them, which makes generation 2 of it.
pub fn seldon_runtime_manifest(namespace: &str) -> serde_json::Value {
    let mut manifest = serde_json::json!(seldon_runtime(namespace));
    manifest["spec"]["disableAutoUpdate"] = serde_json::json!(false);
    for over in manifest["spec"]["overrides"].as_array_mut().into_iter().flatten() {
        over["disable"] = serde_json::json!(false);
    }
    manifest
}

/// Secret `seldon-rclone-gs-public`: the anonymous Google Cloud Storage remote. Every agent dies without it.
pub fn rclone_gs_public(namespace: &str) -> Secret {
    let remote = "type: \"google cloud storage\"\nname: gs\nparameters:\n  anonymous: true\n";
    Secret {
        metadata: ObjectMeta {
            name: Some("seldon-rclone-gs-public".to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        string_data: Some([("gs".to_owned(), remote.to_owned())].into()),
        ..Secret::default()
    }
}
