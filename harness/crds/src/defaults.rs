//! What Seldon 2.9.1's own charts install, as objects.
//!
//! * `seldon-core-v2-setup`: [`controller::manifests`], [`seldon_config`], [`server_config`].
//! * `seldon-core-v2-runtime`: [`seldon_runtime`], [`rclone_gs_public`].

mod components;
pub mod controller;
mod environment;
mod gateways;
mod runtime;
mod server;

pub use components::seldon_config;
pub use runtime::{rclone_gs_public, seldon_runtime, seldon_runtime_manifest};
pub use server::server_config;

/// The chart values that a mesh of this house differs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// Namespace of the release: where the operator runs and looks for its configuration.
    pub namespace: String,
    /// Tag of every Seldon image, `2.9.1`.
    pub tag: String,
    /// Image of the server that models are loaded into, `docker.io/seldonio/mlserver:1.7.1`.
    pub model_server: String,
    /// `scheduler.logLevel`; decisions are logged at `debug`.
    pub scheduler_log_level: String,
    /// `services.defaultServiceType`.
    pub service_type: String,
    /// `envoy.includeSuccessfulRequests`: log requests that went well too.
    pub log_successful_requests: bool,
    /// `scheduler.schedulerReadyTimeoutSeconds`.
    pub scheduler_ready_timeout_seconds: u32,
    /// `opentelemetry.disable`.
    pub tracing_disabled: bool,
}

impl Values {
    /// The values of a quiet, testable mesh: ClusterIP Services, debug scheduler, no tracing, all requests logged.
    pub fn testable(namespace: &str) -> Values {
        Values {
            namespace: namespace.to_owned(),
            tag: "2.9.1".to_owned(),
            model_server: "docker.io/seldonio/mlserver:1.7.1".to_owned(),
            scheduler_log_level: "debug".to_owned(),
            service_type: "ClusterIP".to_owned(),
            log_successful_requests: true,
            scheduler_ready_timeout_seconds: 600,
            tracing_disabled: true,
        }
    }

    fn image(&self, name: &str) -> String {
        format!("docker.io/seldonio/{name}:{}", self.tag)
    }
}

/// The security context that every pod of the charts has.
fn unprivileged() -> serde_json::Value {
    serde_json::json!({"fsGroup": 1000, "runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true})
}

/// Requests of both, limit on memory only, as the charts do everywhere.
fn resources(cpu: &str, memory: &str) -> serde_json::Value {
    serde_json::json!({"limits": {"memory": memory}, "requests": {"cpu": cpu, "memory": memory}})
}

#[cfg(test)]
mod tests;
