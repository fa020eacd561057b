//! `SeldonConfig`: the components of a mesh and their settings.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The components of a mesh. Only those in the operator's own namespace are ever read.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize)]
#[kube(
    group = "mlops.seldon.io",
    version = "v1alpha1",
    kind = "SeldonConfig",
    namespaced,
    schema = "disabled"
)]
#[kube(derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct SeldonConfigSpec {
    /// One workload each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentDefinition>,
    /// Settings that become ConfigMaps and Service types.
    #[serde(default)]
    pub config: SeldonConfiguration,
}

/// One component: a StatefulSet when it has claims, else a Deployment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDefinition {
    /// One of the six fixed names, such as `seldon-scheduler`.
    pub name: String,
    /// Labels of the workload and its pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the workload and its pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Pods wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_spec: Option<Value>,
    /// Its claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<PersistentVolumeClaimTemplate>,
}

/// A claim of every pod of a StatefulSet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PersistentVolumeClaimTemplate {
    /// Name of the volume.
    pub name: String,
    /// A `PersistentVolumeClaimSpec`.
    pub spec: Value,
}

/// Settings that become ConfigMaps and Service types.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeldonConfiguration {
    /// Becomes ConfigMap `seldon-tracing`.
    #[serde(default)]
    pub tracing_config: TracingConfig,
    /// Becomes ConfigMap `seldon-kafka`.
    #[serde(default)]
    pub kafka_config: KafkaConfig,
    /// Becomes ConfigMap `seldon-agent`.
    #[serde(default)]
    pub agent_config: AgentConfig,
    /// Types and port names of Services.
    #[serde(default)]
    pub service_config: ServiceConfig,
}

/// OpenTelemetry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TracingConfig {
    /// No exporter at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
    /// `host:port` of the collector.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub otel_exporter_endpoint: String,
    /// `grpc`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub otel_exporter_protocol: String,
    /// Share of sampled requests, as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ratio: String,
}

/// Kafka clients of the gateways and the dataflow engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaConfig {
    /// `host:port`.
    #[serde(rename = "bootstrap.servers", default, skip_serializing_if = "String::is_empty")]
    pub bootstrap_servers: String,
    /// Prefix of consumer groups.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub consumer_group_id_prefix: String,
    /// librdkafka debug contexts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub debug: String,
    /// Consumer properties: numbers or texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consumer: BTreeMap<String, Value>,
    /// Producer properties: numbers or texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub producer: BTreeMap<String, Value>,
    /// Streams properties: numbers or texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, Value>,
    /// Prefix of topics.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub topic_prefix: String,
}

/// The agent's settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// Its rclone remotes.
    #[serde(default)]
    pub rclone: RcloneConfig,
}

/// rclone remotes that every agent loads at start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RcloneConfig {
    /// Secrets holding one remote each. A missing one kills the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_secrets: Vec<String>,
    /// Remotes written out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
}

/// Types and port names of Services.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceConfig {
    /// Prefix of the names of gRPC ports.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub grpc_service_prefix: String,
    /// `ClusterIP`, `NodePort` or `LoadBalancer`; empty leaves it to the rule in `seldon-mesh`'s own place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_type: String,
}
