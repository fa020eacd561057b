//! The components that model serving does without: the Kafka gateways, the dataflow engine and the hodometer.

use serde_json::json;

use super::components::{component, kafka_and_tracing_volumes};
use super::environment::Environment;
use super::{Values, resources, unprivileged};
use crate::ComponentDefinition;

const KAFKA_AND_TRACING_MOUNTS: [(&str, &str); 2] =
    [("kafka-config-volume", "/mnt/kafka"), ("tracing-config-volume", "/mnt/tracing")];

fn mounts() -> [serde_json::Value; 2] {
    KAFKA_AND_TRACING_MOUNTS.map(|(name, path)| json!({"name": name, "mountPath": path}))
}

const GATEWAY_FLAGS: [&str; 8] = [
    "--scheduler-host=seldon-scheduler",
    "--scheduler-plaintxt-port=$(SELDON_SCHEDULER_PLAINTXT_PORT)",
    "--scheduler-tls-port=$(SELDON_SCHEDULER_TLS_PORT)",
    "--envoy-host=seldon-mesh",
    "--envoy-port=80",
    "--kafka-config-path=/mnt/kafka/kafka.json",
    "--tracing-config-path=/mnt/tracing/tracing.json",
    "--log-level=$(LOG_LEVEL)",
];

const SCHEDULER_PORTS: [(&str, &str); 2] =
    [("SELDON_SCHEDULER_PLAINTXT_PORT", "9004"), ("SELDON_SCHEDULER_TLS_PORT", "9044")];

pub(super) fn pipelinegateway(values: &Values) -> ComponentDefinition {
    let own = ["--http-port=9010", "--grpc-port=9011", "--metrics-port=9006"];
    let flags: Vec<&str> = own.into_iter().chain(GATEWAY_FLAGS).collect();
    let environment = Environment::default()
        .kafka_client()
        .envoy_protocol()
        .envoy_upstream_server()
        .envoy_downstream_client()
        .control_plane_client()
        .log_level("info")
        .set(&SCHEDULER_PORTS)
        .pod_namespace();
    let ports = [("http", 9010), ("grpc", 9011), ("metrics", 9006)];
    let pod = json!({
        "containers": [{
            "name": "pipelinegateway",
            "image": values.image("seldon-pipelinegateway"),
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/pipelinegateway"],
            "args": flags,
            "env": environment.build(),
            "ports": ports.map(|(name, port)| json!({"name": name, "containerPort": port, "protocol": "TCP"})),
            "resources": resources("100m", "1G"),
            "volumeMounts": mounts(),
        }],
        "securityContext": unprivileged(),
        "serviceAccountName": "seldon-scheduler",
        "terminationGracePeriodSeconds": 5,
        "volumes": kafka_and_tracing_volumes(),
    });
    component("seldon-pipelinegateway", pod)
}

pub(super) fn modelgateway(values: &Values) -> ComponentDefinition {
    let environment = Environment::default()
        .set(&[
            ("MODELGATEWAY_NUM_WORKERS", "8"),
            ("KAFKA_DEFAULT_REPLICATION_FACTOR", "1"),
            ("KAFKA_DEFAULT_NUM_PARTITIONS", "1"),
        ])
        .control_plane_client()
        .kafka_client()
        .envoy_protocol()
        .envoy_downstream_client()
        .log_level("info")
        .set(&SCHEDULER_PORTS)
        .set(&[("MODELGATEWAY_MAX_NUM_CONSUMERS", "100")])
        .pod_namespace();
    let pod = json!({
        "containers": [{
            "name": "modelgateway",
            "image": values.image("seldon-modelgateway"),
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/modelgateway"],
            "args": GATEWAY_FLAGS,
            "env": environment.build(),
            "resources": resources("100m", "1G"),
            "volumeMounts": mounts(),
        }],
        "securityContext": unprivileged(),
        "serviceAccountName": "seldon-scheduler",
        "terminationGracePeriodSeconds": 5,
        "volumes": kafka_and_tracing_volumes(),
    });
    component("seldon-modelgateway", pod)
}

pub(super) fn hodometer(values: &Values) -> ComponentDefinition {
    let environment = Environment::default()
        .set(&[("METRICS_LEVEL", "feature"), ("LOG_LEVEL", "info"), ("EXTRA_PUBLISH_URLS", "")])
        .control_plane_client()
        .set(&[
            ("PUBLISH_URL", "http://hodometer.seldon.io"),
            ("SCHEDULER_HOST", "seldon-scheduler"),
            ("SCHEDULER_PLAINTXT_PORT", "9004"),
            ("SCHEDULER_TLS_PORT", "9044"),
        ])
        .pod_namespace();
    let pod = json!({
        "containers": [{
            "name": "hodometer",
            "image": values.image("seldon-hodometer"),
            "imagePullPolicy": "IfNotPresent",
            "env": environment.build(),
            "resources": resources("1m", "32Mi"),
        }],
        "securityContext": unprivileged(),
        "serviceAccountName": "hodometer",
        "terminationGracePeriodSeconds": 5,
    });
    component("hodometer", pod)
}

pub(super) fn dataflow_engine(values: &Values) -> ComponentDefinition {
    let tracing = |name: &str| json!({"name": name, "valueFrom": {"configMapKeyRef": {"key": name, "name": "seldon-tracing"}}});
    let environment = Environment::default()
        .set(&[
            ("SELDON_KAFKA_BOOTSTRAP_SERVERS", "seldon-kafka-bootstrap.seldon-mesh:9092"),
            ("SELDON_KAFKA_CONSUMER_PREFIX", ""),
            ("SELDON_KAFKA_REPLICATION_FACTOR", "1"),
            ("SELDON_KAFKA_PARTITIONS_DEFAULT", "1"),
            ("SELDON_KAFKA_MAX_MESSAGE_SIZE_BYTES", "1000000000"),
            ("SELDON_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
            ("SELDON_CORES_COUNT", "4"),
            ("SELDON_LOG_LEVEL_APP", "INFO"),
            ("SELDON_LOG_LEVEL_KAFKA", "WARN"),
            ("SELDON_UPSTREAM_HOST", "seldon-scheduler"),
            ("SELDON_UPSTREAM_PORT", "9008"),
        ])
        .entry(tracing("OTEL_JAVAAGENT_ENABLED"))
        .entry(tracing("OTEL_EXPORTER_OTLP_ENDPOINT"))
        .entry(tracing("OTEL_EXPORTER_OTLP_PROTOCOL"))
        .field("SELDON_POD_NAMESPACE", "metadata.namespace");
    let pod = json!({
        "containers": [{
            "name": "dataflow-engine",
            "image": values.image("seldon-dataflow-engine"),
            "imagePullPolicy": "IfNotPresent",
            "env": environment.build(),
            "resources": resources("100m", "1G"),
        }],
        "securityContext": unprivileged(),
        "serviceAccountName": "seldon-scheduler",
        "terminationGracePeriodSeconds": 5,
    });
    component("seldon-dataflow-engine", pod)
}
