//! The three ConfigMaps of a mesh, from the runtime's settings completed by the configuration's.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use seldon_crds::{SeldonConfiguration, SeldonRuntime};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::owned::{self, owned_by};
use crate::server::typed;

/// The runtime's settings, completed. `tracingConfig.disable` is not completed: only the runtime's own counts.
pub(super) fn with_defaults(
    own: &SeldonConfiguration,
    defaults: &SeldonConfiguration,
) -> SeldonConfiguration {
    let mut all = own.clone();
    let text = |own: &mut String, default: &String| {
        if own.is_empty() {
            own.clone_from(default);
        }
    };
    let map = |own: &mut BTreeMap<String, Value>, default: &BTreeMap<String, Value>| {
        for (key, value) in default {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    };
    let (tracing, kafka) = (&mut all.tracing_config, &mut all.kafka_config);
    text(&mut tracing.ratio, &defaults.tracing_config.ratio);
    text(&mut tracing.otel_exporter_endpoint, &defaults.tracing_config.otel_exporter_endpoint);
    text(&mut tracing.otel_exporter_protocol, &defaults.tracing_config.otel_exporter_protocol);
    text(&mut kafka.bootstrap_servers, &defaults.kafka_config.bootstrap_servers);
    text(&mut kafka.consumer_group_id_prefix, &defaults.kafka_config.consumer_group_id_prefix);
    text(&mut kafka.debug, &defaults.kafka_config.debug);
    text(&mut kafka.topic_prefix, &defaults.kafka_config.topic_prefix);
    map(&mut kafka.consumer, &defaults.kafka_config.consumer);
    map(&mut kafka.producer, &defaults.kafka_config.producer);
    map(&mut kafka.streams, &defaults.kafka_config.streams);
    let (rclone, default_rclone) = (&mut all.agent_config.rclone, &defaults.agent_config.rclone);
    rclone.config.extend(default_rclone.config.iter().cloned());
    rclone.config_secrets.extend(default_rclone.config_secrets.iter().cloned());
    text(&mut all.service_config.grpc_service_prefix, &defaults.service_config.grpc_service_prefix);
    text(&mut all.service_config.service_type, &defaults.service_config.service_type);
    all
}

/// Keeps `seldon-agent`, `seldon-kafka` and `seldon-tracing` as wanted.
pub(super) async fn keep(
    cluster: &Cluster,
    runtime: &SeldonRuntime,
    settings: &SeldonConfiguration,
) -> Result<(), Failure> {
    for (name, data) in contents(settings)? {
        let wanted: ConfigMap = typed(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": runtime.namespace(), "ownerReferences": [owned_by(runtime)]},
            "data": data,
        }))?;
        owned::keep_by(cluster, wanted, |wanted: &ConfigMap, found| wanted.data == found.data).await?;
    }
    Ok(())
}

fn contents(settings: &SeldonConfiguration) -> Result<[(&'static str, Value); 3], Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let agent = serde_saphyr::to_string(&settings.agent_config).map_err(|error| refused(&error))?;
    let kafka = serde_json::to_string(&settings.kafka_config).map_err(|error| refused(&error))?;
    let tracing = serde_json::to_string(&settings.tracing_config).map_err(|error| refused(&error))?;
    let otel = &settings.tracing_config;
    Ok([
        ("seldon-agent", json!({"agent.yaml": agent})),
        ("seldon-kafka", json!({"kafka.json": kafka})),
        (
            "seldon-tracing",
            json!({
                "tracing.json": tracing,
                "OTEL_JAVAAGENT_ENABLED": (!otel.disable).to_string(),
                "OTEL_EXPORTER_OTLP_ENDPOINT": format!("http://{}", otel.otel_exporter_endpoint),
                "OTEL_EXPORTER_OTLP_PROTOCOL": otel.otel_exporter_protocol,
            }),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use seldon_crds::defaults::{Values, seldon_config, seldon_runtime};

    #[test]
    fn settings_of_the_runtime_completed_by_the_configuration() {
        let own = seldon_runtime("seldon-mesh").spec.config;
        let all = with_defaults(&own, &seldon_config(&Values::testable("seldon-mesh")).spec.config);
        insta::assert_snapshot!(
            contents(&all).unwrap().map(|(name, data)| format!("{name} {data:#}")).join("\n")
        );
    }

    #[test]
    fn tracing_is_disabled_by_the_runtime_alone() {
        let defaults = seldon_config(&Values::testable("seldon-mesh")).spec.config;
        assert!(defaults.tracing_config.disable);
        let all = with_defaults(&SeldonConfiguration::default(), &defaults);
        assert!(!all.tracing_config.disable);
    }
}
