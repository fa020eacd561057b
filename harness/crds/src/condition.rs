//! Conditions as knative's `duck/v1` writes them; Seldon's status types embed that type.

use serde::{Deserialize, Serialize};

/// One condition of a Seldon object.
///
/// Seldon has three conventions for the texts: Models put the state's name into `message` and free text into
/// `reason`; Pipelines do it the other way round; Servers, runtimes and Experiments use `reason` only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about, such as `ModelReady` or `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// How bad a false condition is; absent means an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// RFC 3339 time of the last change of any other field (knative moves it on text changes too).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// See the type's remark on conventions. Empty means absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// See the type's remark on conventions. Empty means absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows (yet).
    Unknown,
}

/// How bad a false condition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// Written by knative for every condition type that does not belong to the object's own set.
    Info,
    /// Never written by Seldon 2.9.1.
    Warning,
}
