//! Seldon Core 2.9.1's custom resources (`mlops.seldon.io/v1alpha1`): their types, their
//! CustomResourceDefinitions, and the objects that Seldon's own charts install.
//!
//! * Types: [`Model`], [`Server`], [`ServerConfig`], [`SeldonConfig`], [`SeldonRuntime`], [`Experiment`], [`Pipeline`].
//! * [`definitions::all`]: what the chart `seldon-core-v2-crds` installs.
//! * [`defaults`]: what `seldon-core-v2-setup` and `seldon-core-v2-runtime` install.
//!
//! Pod specs are kept as [`serde_json::Value`]: Seldon merges them as JSON, and a typed pod spec would invent
//! empty lists that were never written.

pub mod condition;
pub mod defaults;
pub mod definitions;
mod experiment;
mod model;
mod pipeline;
mod runtime;
mod seldon_config;
mod server;

pub use condition::{Condition, ConditionStatus, Severity};
pub use experiment::{
    Experiment, ExperimentCandidate, ExperimentMirror, ExperimentSpec, ExperimentStatus, ResourceType,
};
pub use model::{
    DataflowSpec, ExplainerSpec, LlmSpec, LoggingSpec, Model, ModelSpec, ModelStatus, ParameterSpec,
};
pub use pipeline::{
    JoinType, Pipeline, PipelineBatch, PipelineInput, PipelineOutput, PipelineSpec, PipelineStatus,
    PipelineStep,
};
pub use runtime::{OverrideSpec, SeldonRuntime, SeldonRuntimeSpec, SeldonRuntimeStatus};
pub use seldon_config::{
    AgentConfig, ComponentDefinition, KafkaConfig, PersistentVolumeClaimTemplate, RcloneConfig, SeldonConfig,
    SeldonConfigSpec, SeldonConfiguration, ServiceConfig, TracingConfig,
};
pub use server::{ImageOverrides, Server, ServerConfig, ServerConfigSpec, ServerSpec, ServerStatus};

/// The API group of every kind in this crate.
pub const GROUP: &str = "mlops.seldon.io";
/// The only version that 2.9.1 serves.
pub const VERSION: &str = "v1alpha1";
