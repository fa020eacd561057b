//! `SeldonRuntime`: one mesh in one namespace.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Condition, SeldonConfiguration};

/// Which configuration to run here, and what to change in it.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize)]
#[kube(
    group = "mlops.seldon.io",
    version = "v1alpha1",
    kind = "SeldonRuntime",
    namespaced,
    schema = "disabled"
)]
#[kube(status = "SeldonRuntimeStatus", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct SeldonRuntimeSpec {
    /// Name of the [`crate::SeldonConfig`], looked up in the *operator's* namespace.
    pub seldon_config: String,
    /// Changes per component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<OverrideSpec>,
    /// Changes of the settings.
    #[serde(default)]
    pub config: SeldonConfiguration,
    /// Do not follow changes of the configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_auto_update: bool,
}

/// Changes of one component. A name that no component has is ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverrideSpec {
    /// The component.
    pub name: String,
    /// Leave the component alone (an existing workload is not deleted).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
    /// Pods wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Type of the component's Service. An override entry wins even when this is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_type: String,
    /// A pod spec laid over the component's, merged by names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_spec: Option<Value>,
}

/// What the operator last saw of the mesh.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeldonRuntimeStatus {
    /// Never written by 2.9.1's controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One per component and `Ready`, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
