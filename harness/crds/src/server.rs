//! `Server` and `ServerConfig`: the pods that run inference servers.

use k8s_openapi::api::apps::v1::StatefulSetPersistentVolumeClaimRetentionPolicy;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Condition, PersistentVolumeClaimTemplate};

/// How many inference servers to run, from which template.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize)]
#[kube(group = "mlops.seldon.io", version = "v1alpha1", kind = "Server", namespaced, schema = "disabled")]
#[kube(status = "ServerStatus", shortname = "mls", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct ServerSpec {
    /// Name of the [`ServerConfig`], looked up in the *operator's* namespace.
    pub server_config: String,
    /// Capabilities added to those of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_capabilities: Vec<String>,
    /// Capabilities that replace those of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Other containers for agent and rclone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_overrides: Option<ImageOverrides>,
    /// A pod spec laid over the configuration's, merged by names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_spec: Option<Value>,
    /// What becomes of the claims when the Server goes or shrinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stateful_set_persistent_volume_claim_retention_policy:
        Option<StatefulSetPersistentVolumeClaimRetentionPolicy>,
    /// Pods wanted; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Lower end for autoscaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    /// Upper end for autoscaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i32>,
    /// Do not follow changes of the configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_auto_update: bool,
}

/// Other containers for the two helpers of a server pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageOverrides {
    /// Laid over the container `agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Value>,
    /// Laid over the container `rclone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rclone: Option<Value>,
}

/// What the operator last saw of the Server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Loaded model *copies*, as the scheduler counts them.
    #[serde(default)]
    pub loaded_models: i32,
    /// Pods asked for.
    #[serde(default)]
    pub replicas: i32,
    /// `seldon-server-name=<name>`.
    #[serde(default)]
    pub selector: String,
    /// Never written by 2.9.1's Server controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` and `StatefulSetReady`, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Template of a server pod. Only those in the operator's own namespace are ever read.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize)]
#[kube(
    group = "mlops.seldon.io",
    version = "v1alpha1",
    kind = "ServerConfig",
    namespaced,
    schema = "disabled"
)]
#[kube(shortname = "mlc", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct ServerConfigSpec {
    /// The pod.
    pub pod_spec: Value,
    /// Its claims.
    pub volume_claim_templates: Vec<PersistentVolumeClaimTemplate>,
}
