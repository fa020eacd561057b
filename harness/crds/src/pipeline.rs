//! `Pipeline`: Models joined over Kafka.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::{Condition, DataflowSpec};

/// Steps and how they are joined.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize)]
#[kube(group = "mlops.seldon.io", version = "v1alpha1", kind = "Pipeline", namespaced, schema = "disabled")]
#[kube(status = "PipelineStatus", shortname = "mlp", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct PipelineSpec {
    /// Input taken from other Pipelines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<PipelineInput>,
    /// The steps.
    pub steps: Vec<PipelineStep>,
    /// What is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<PipelineOutput>,
    /// Kafka topics (new in 2.9.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataflow: Option<DataflowSpec>,
    /// Steps may form a cycle (new in 2.9.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_cycles: bool,
    /// How often a step may be visited (new in 2.9.1).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_step_revisits: u32,
}

/// How several inputs are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinType {
    /// All of them.
    Inner,
    /// Those that came within the window.
    Outer,
    /// The first.
    Any,
}

/// One step: a Model of the same name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStep {
    /// The Model.
    pub name: String,
    /// Steps, or `step.outputs.tensor`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Window of a join, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_window_ms: Option<u32>,
    /// Renamed tensors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tensor_map: BTreeMap<String, String>,
    /// Steps that must have answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<String>,
    /// How inputs are joined; the schema's default is `inner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_join_type: Option<JoinType>,
    /// How triggers are joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers_join_type: Option<JoinType>,
    /// Batching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<PipelineBatch>,
}

/// Batching of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineBatch {
    /// Requests in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Time after which an incomplete batch goes, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u32>,
    /// Overlapping batches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolling: bool,
}

/// Input taken from other Pipelines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineInput {
    /// `pipeline.…` references.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_inputs: Vec<String>,
    /// `pipeline.…` references.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_triggers: Vec<String>,
    /// Window of a join, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_window_ms: Option<u32>,
    /// How inputs are joined; the schema's default is `inner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_type: Option<JoinType>,
    /// How triggers are joined; the schema's default is `inner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers_join_type: Option<JoinType>,
    /// Renamed tensors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tensor_map: BTreeMap<String, String>,
}

/// What is answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineOutput {
    /// Steps, or `step.outputs.tensor`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Window of the join, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub join_window_ms: u32,
    /// How the steps are joined; the schema's default is `inner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_join: Option<JoinType>,
    /// Renamed tensors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tensor_map: BTreeMap<String, String>,
}

/// What the operator last heard of the Pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatus {
    /// Never written by 2.9.1's controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `ModelsReady`, `PipelineReady`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
