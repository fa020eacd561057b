//! `Experiment`: traffic split between Models or Pipelines.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// Who gets which share.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize)]
#[kube(group = "mlops.seldon.io", version = "v1alpha1", kind = "Experiment", namespaced, schema = "disabled")]
#[kube(status = "ExperimentStatus", shortname = "mlx", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct ExperimentSpec {
    /// The candidate whose own name is split as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The candidates.
    pub candidates: Vec<ExperimentCandidate>,
    /// Gets copies of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<ExperimentMirror>,
    /// What the names stand for; absent means Models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<ResourceType>,
}

/// What an Experiment's names stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceType {
    /// Models.
    Model,
    /// Pipelines.
    Pipeline,
}

/// One share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentCandidate {
    /// Model or Pipeline.
    pub name: String,
    /// Relative weight.
    pub weight: u32,
}

/// Where copies go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentMirror {
    /// Model or Pipeline.
    pub name: String,
    /// Share of requests copied, in percent.
    pub percent: u32,
}

/// What the operator last heard of the Experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStatus {
    /// Never written by 2.9.1's controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `CandidatesReady`, `ExperimentReady`, `MirrorReady`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
