//! `Model`: one servable artefact.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// What is to be served and how often.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize)]
#[kube(group = "mlops.seldon.io", version = "v1alpha1", kind = "Model", namespaced, schema = "disabled")]
#[kube(status = "ModelStatus", shortname = "mlm", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct ModelSpec {
    /// Where the artefact lies, in rclone's syntax (`s3://bucket/path`, `gs://…`). The only required field.
    pub storage_uri: String,
    /// Which numbered sub-folder to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_version: Option<u32>,
    /// Where the artefact's schema lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_uri: Option<String>,
    /// Secret in the Model's namespace holding one rclone remote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Type of the artefact, appended to the requirements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// Capabilities a server must have, all of them, word for word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// Memory needed, as a Kubernetes quantity (a number or a text). Absent means none: it always fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<serde_json::Value>,
    /// Exact name of the Server to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Copies wanted; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Copies below which the Model is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    /// Upper end for autoscaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i32>,
    /// The server brings the artefact itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preloaded: bool,
    /// The server serves this Model only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dedicated: bool,
    /// Payload logging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<LoggingSpec>,
    /// The Model explains another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explainer: Option<ExplainerSpec>,
    /// Parameters handed to the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterSpec>,
    /// Large language model wiring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<LlmSpec>,
    /// Kafka topics (new in 2.9.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataflow: Option<DataflowSpec>,
}

/// Payload logging.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggingSpec {
    /// Share of requests to log, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
}

/// What an explainer explains.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainerSpec {
    /// Kind of explainer, such as `anchor_tabular`.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The explained Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_ref: Option<String>,
    /// The explained Pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<String>,
}

/// What a language model runtime refers to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LlmSpec {
    /// A Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_ref: Option<String>,
    /// A Pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<String>,
}

/// One parameter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterSpec {
    /// Its name.
    pub name: String,
    /// Its value, always a text.
    pub value: String,
}

/// Kafka topics of a Model or Pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataflowSpec {
    /// Delete the topics together with the object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clean_topics_on_delete: bool,
}

/// What the operator last heard of the Model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// Copies that exist, ready or not; 0 is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replicas: i32,
    /// `server=<name>`, for the scale subresource only: no pod carries this label.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Copies that answer; 0 is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub available_replicas: i32,
    /// Never written by 2.9.1's Model controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `ModelReady` and `Ready`, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}
