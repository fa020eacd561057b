//! `ServerConfig` `mlserver`: rclone, agent and MLServer in one pod.

use serde_json::{Value, json};

use super::components::claim;
use super::environment::Environment;
use super::{Values, resources, unprivileged};
use crate::{ServerConfig, ServerConfigSpec};

/// The capabilities that the chart gives to MLServer.
const MLSERVER_CAPABILITIES: &str =
    "mlserver,alibi-detect,alibi-explain,huggingface,lightgbm,mlflow,python,sklearn,spark-mlib,xgboost";

/// `ServerConfig` `mlserver` of the chart `seldon-core-v2-setup` 2.9.1, in the operator's namespace.
pub fn server_config(values: &Values) -> ServerConfig {
    let spec = ServerConfigSpec {
        pod_spec: json!({
            "containers": [rclone(values), agent(values), mlserver(values)],
            "securityContext": unprivileged(),
            "serviceAccountName": "seldon-server",
            "terminationGracePeriodSeconds": 120,
            "volumes": [
                {"name": "downstream-ca-certs", "secret": {"secretName": "seldon-downstream-server", "optional": true}},
                {"name": "config-volume", "configMap": {"name": "seldon-agent"}},
                {"name": "tracing-config-volume", "configMap": {"name": "seldon-tracing"}},
            ],
        }),
        volume_claim_templates: vec![claim("mlserver-models", "1Gi")],
    };
    let mut object = ServerConfig::new("mlserver", spec);
    object.metadata.namespace = Some(values.namespace.clone());
    object
}

/// Every container of the pod asks the agent's drainer before it stops; the path has no leading slash in the chart.
fn drain_first() -> Value {
    json!({"preStop": {"httpGet": {"path": "terminate", "port": 9007}}})
}

fn rclone(values: &Values) -> Value {
    json!({
        "name": "rclone",
        "image": values.image("seldon-rclone"),
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "RCLONE_LOG_LEVEL", "value": "INFO"}],
        "lifecycle": drain_first(),
        "ports": [{"name": "rclone", "containerPort": 5572, "protocol": "TCP"}],
        "readinessProbe": {
            "tcpSocket": {"port": 5572},
            "initialDelaySeconds": 5,
            "periodSeconds": 5,
            "timeoutSeconds": 1,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "resources": resources("50m", "128Mi"),
        "volumeMounts": [{"name": "mlserver-models", "mountPath": "/mnt/agent"}],
    })
}

fn agent(values: &Values) -> Value {
    json!({
        "name": "agent",
        "image": values.image("seldon-agent"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/agent"],
        "args": ["--tracing-config-path=/mnt/tracing/tracing.json"],
        "env": agent_environment(),
        "lifecycle": drain_first(),
        "ports": [
            {"name": "grpc", "containerPort": 9501, "protocol": "TCP"},
            {"name": "http", "containerPort": 9001, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9006, "protocol": "TCP"},
            {"name": "readiness-port", "containerPort": 9008},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 9008}, "periodSeconds": 5, "failureThreshold": 1},
        "startupProbe": {"httpGet": {"path": "/ready", "port": 9008}, "periodSeconds": 15, "failureThreshold": 60},
        "resources": resources("200m", "1Gi"),
        "volumeMounts": [
            {"name": "mlserver-models", "mountPath": "/mnt/agent"},
            {"name": "config-volume", "mountPath": "/mnt/config"},
            {"name": "tracing-config-volume", "mountPath": "/mnt/tracing"},
        ],
    })
}

fn agent_environment() -> Value {
    Environment::default()
        .set(&[
            ("SELDON_SERVER_CAPABILITIES", MLSERVER_CAPABILITIES),
            ("SELDON_MODEL_INFERENCE_LAG_THRESHOLD", "30"),
            ("SELDON_MODEL_INACTIVE_SECONDS_THRESHOLD", "600"),
            ("SELDON_SCALING_STATS_PERIOD_SECONDS", "20"),
            ("SELDON_MAX_TIME_READY_SUB_SERVICE_AFTER_START_SECONDS", "30"),
            ("SELDON_MAX_ELAPSED_TIME_READY_SUB_SERVICE_BEFORE_START_MINUTES", "15"),
            ("SELDON_PERIOD_READY_SUB_SERVICE_SECONDS", "60"),
            ("SELDON_MAX_LOAD_ELAPSED_TIME_MINUTES", "120"),
            ("SELDON_MAX_UNLOAD_ELAPSED_TIME_MINUTES", "15"),
            ("SELDON_MAX_LOAD_RETRY_COUNT", "5"),
            ("SELDON_MAX_UNLOAD_RETRY_COUNT", "1"),
            ("SELDON_UNLOAD_GRACE_PERIOD_SECONDS", "2"),
            ("SELDON_OVERCOMMIT_PERCENTAGE", "10"),
        ])
        .control_plane_client()
        .envoy_protocol()
        .envoy_upstream_server()
        .set(&[
            ("MLSERVER_TRACING_SERVER", "seldon-collector.seldon-mesh:4317"),
            ("SELDON_LOG_LEVEL", "info"),
            ("SELDON_SERVER_HTTP_PORT", "9000"),
            ("SELDON_SERVER_GRPC_PORT", "9500"),
            ("SELDON_REVERSE_PROXY_HTTP_PORT", "9001"),
            ("SELDON_REVERSE_PROXY_GRPC_PORT", "9501"),
            ("SELDON_SCHEDULER_HOST", "seldon-scheduler"),
            ("SELDON_SCHEDULER_PORT", "9005"),
            ("SELDON_SCHEDULER_TLS_PORT", "9055"),
            ("SELDON_METRICS_PORT", "9006"),
            ("SELDON_DRAINER_PORT", "9007"),
            ("SELDON_READINESS_PORT", "9008"),
            ("AGENT_TLS_SECRET_NAME", ""),
            ("AGENT_TLS_FOLDER_PATH", ""),
            ("SELDON_SERVER_TYPE", "mlserver"),
            ("SELDON_ENVOY_HOST", "seldon-mesh"),
            ("SELDON_ENVOY_PORT", "80"),
        ])
        .field("POD_NAME", "metadata.name")
        .pod_namespace()
        .entry(json!({
            "name": "MEMORY_REQUEST",
            "valueFrom": {"resourceFieldRef": {"containerName": "mlserver", "resource": "requests.memory"}},
        }))
        .build()
}

fn mlserver(values: &Values) -> Value {
    let environment = Environment::default().set(&[
        ("MLSERVER_HTTP_PORT", "9000"),
        ("MLSERVER_GRPC_PORT", "9500"),
        ("MLSERVER_MODELS_DIR", "/mnt/agent/models"),
        ("MLSERVER_MODEL_PARALLEL_WORKERS", "1"),
        ("MLSERVER_LOAD_MODELS_AT_STARTUP", "false"),
        ("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", "1048576000"),
    ]);
    let live = json!({"path": "/v2/health/live", "port": "server-http"});
    json!({
        "name": "mlserver",
        "image": values.model_server,
        "imagePullPolicy": "IfNotPresent",
        "env": environment.build(),
        "lifecycle": drain_first(),
        "ports": [
            {"name": "server-grpc", "containerPort": 9500, "protocol": "TCP"},
            {"name": "server-http", "containerPort": 9000, "protocol": "TCP"},
            {"name": "server-metrics", "containerPort": 8082},
        ],
        "livenessProbe": {"httpGet": live},
        "readinessProbe": {"httpGet": live, "initialDelaySeconds": 5, "periodSeconds": 5},
        "startupProbe": {"httpGet": live, "periodSeconds": 10, "failureThreshold": 10},
        "resources": resources("100m", "1Gi"),
        "volumeMounts": [
            {"name": "mlserver-models", "mountPath": "/mnt/agent", "readOnly": true},
            {"name": "downstream-ca-certs", "mountPath": "/mnt/certs", "readOnly": true},
        ],
    })
}
