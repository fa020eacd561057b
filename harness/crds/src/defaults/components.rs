//! `SeldonConfig` `default`: the six components of a mesh.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::environment::Environment;
use super::{Values, gateways, resources, unprivileged};
use crate::{
    AgentConfig, ComponentDefinition, KafkaConfig, PersistentVolumeClaimTemplate, RcloneConfig, SeldonConfig,
    SeldonConfigSpec, SeldonConfiguration, ServiceConfig, TracingConfig,
};

/// `SeldonConfig` `default` of the chart `seldon-core-v2-setup` 2.9.1, in the operator's namespace.
pub fn seldon_config(values: &Values) -> SeldonConfig {
    let mut object = SeldonConfig::new(
        "default",
        SeldonConfigSpec {
            components: vec![
                scheduler(values),
                gateways::pipelinegateway(values),
                gateways::modelgateway(values),
                gateways::hodometer(values),
                envoy(values),
                gateways::dataflow_engine(values),
            ],
            config: configuration(values),
        },
    );
    object.metadata.namespace = Some(values.namespace.clone());
    object
}

fn configuration(values: &Values) -> SeldonConfiguration {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, Value> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect()
    };
    SeldonConfiguration {
        agent_config: AgentConfig {
            rclone: RcloneConfig {
                config_secrets: vec!["seldon-rclone-gs-public".to_owned()],
                config: vec![],
            },
        },
        kafka_config: KafkaConfig {
            bootstrap_servers: "seldon-kafka-bootstrap.seldon-mesh:9092".to_owned(),
            topic_prefix: "seldon".to_owned(),
            consumer: texts(&[
                ("auto.offset.reset", "earliest"),
                ("message.max.bytes", "1000000000"),
                ("session.timeout.ms", "6000"),
                ("topic.metadata.propagation.max.ms", "300000"),
            ]),
            producer: texts(&[("linger.ms", "0"), ("message.max.bytes", "1000000000")]),
            ..KafkaConfig::default()
        },
        service_config: ServiceConfig {
            grpc_service_prefix: String::new(),
            service_type: values.service_type.clone(),
        },
        tracing_config: TracingConfig {
            disable: values.tracing_disabled,
            otel_exporter_endpoint: "seldon-collector.seldon-mesh:4317".to_owned(),
            otel_exporter_protocol: "grpc".to_owned(),
            ratio: "1".to_owned(),
        },
    }
}

/// A component with one pod and no claims.
pub(super) fn component(name: &str, pod_spec: Value) -> ComponentDefinition {
    ComponentDefinition {
        name: name.to_owned(),
        replicas: Some(1),
        pod_spec: Some(pod_spec),
        ..Default::default()
    }
}

/// The volumes that carry ConfigMaps `seldon-kafka` and `seldon-tracing`.
pub(super) fn kafka_and_tracing_volumes() -> Value {
    json!([
        {"name": "kafka-config-volume", "configMap": {"name": "seldon-kafka"}},
        {"name": "tracing-config-volume", "configMap": {"name": "seldon-tracing"}},
    ])
}

fn scheduler(values: &Values) -> ComponentDefinition {
    let flags = [
        "--pipeline-gateway-host=seldon-pipelinegateway",
        "--tracing-config-path=/mnt/tracing/tracing.json",
        "--db-path=/mnt/scheduler/db",
        "--allow-plaintxt=$(ALLOW_PLAINTXT)",
        "--kafka-config-path=/mnt/kafka/kafka.json",
        "--scheduler-ready-timeout-seconds=$(SCHEDULER_READY_TIMEOUT_SECONDS)",
        "--server-packing-enabled=$(SERVER_PACKING_ENABLED)",
        "--server-packing-percentage=$(SERVER_PACKING_PERCENTAGE)",
        "--envoy-accesslog-path=$(ENVOY_ACCESSLOG_PATH)",
        "--enable-envoy-accesslog=$(ENABLE_ENVOY_ACCESSLOG)",
        "--include-successful-requests-envoy-accesslog=$(INCLUDE_SUCCESSFUL_REQUESTS_ENVOY_ACCESSLOG)",
        "--enable-model-autoscaling=$(ENABLE_MODEL_AUTOSCALING)",
        "--enable-server-autoscaling=$(ENABLE_SERVER_AUTOSCALING)",
        "--log-level=$(LOG_LEVEL)",
    ];
    let ports = [
        ("xds", 9002),
        ("scheduler", 9004),
        ("scheduler-mtls", 9044),
        ("agent", 9005),
        ("agent-mtls", 9055),
        ("dataflow", 9008),
    ];
    let pod = json!({
        "containers": [{
            "name": "scheduler",
            "image": values.image("seldon-scheduler"),
            "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/scheduler"],
            "args": flags,
            "env": scheduler_environment(values),
            "ports": ports.map(|(name, port)| json!({"name": name, "containerPort": port})),
            "resources": resources("100m", "1Gi"),
            "volumeMounts": [
                {"name": "kafka-config-volume", "mountPath": "/mnt/kafka"},
                {"name": "tracing-config-volume", "mountPath": "/mnt/tracing"},
                {"name": "scheduler-state", "mountPath": "/mnt/scheduler"},
            ],
        }],
        "securityContext": unprivileged(),
        "serviceAccountName": "seldon-scheduler",
        "terminationGracePeriodSeconds": 5,
        "volumes": kafka_and_tracing_volumes(),
    });
    ComponentDefinition {
        volume_claim_templates: vec![claim("scheduler-state", "1Gi")],
        ..component("seldon-scheduler", pod)
    }
}

fn scheduler_environment(values: &Values) -> Value {
    Environment::default()
        .control_plane_server()
        .envoy_protocol()
        .envoy_upstream_client()
        .envoy_downstream_server()
        .set(&[
            ("SCHEDULER_READY_TIMEOUT_SECONDS", &values.scheduler_ready_timeout_seconds.to_string()),
            ("SERVER_PACKING_ENABLED", "false"),
            ("SERVER_PACKING_PERCENTAGE", "0"),
            ("ENVOY_ACCESSLOG_PATH", "/tmp/envoy-accesslog.txt"),
            ("ENABLE_ENVOY_ACCESSLOG", "true"),
            ("INCLUDE_SUCCESSFUL_REQUESTS_ENVOY_ACCESSLOG", &values.log_successful_requests.to_string()),
            ("ENABLE_MODEL_AUTOSCALING", "false"),
            ("ENABLE_SERVER_AUTOSCALING", "true"),
        ])
        .log_level(&values.scheduler_log_level)
        .set(&[("ALLOW_PLAINTXT", "true")])
        .pod_namespace()
        .build()
}

/// A `ReadWriteOnce` claim of every pod.
pub(super) fn claim(name: &str, storage: &str) -> PersistentVolumeClaimTemplate {
    PersistentVolumeClaimTemplate {
        name: name.to_owned(),
        spec: json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}),
    }
}

/// What Envoy's container does before it stops: fail its own health check, then leave clients time to notice.
const ENVOY_PRE_STOP: &str = r#"echo -ne "POST /healthcheck/fail HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" > /dev/tcp/localhost/9901
sleep '30'
"#;

fn envoy(values: &Values) -> ComponentDefinition {
    let secret = |name: &str, key: &str, secret: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"key": key, "name": secret, "optional": true}}});
    let environment = Environment::default()
        .envoy_protocol()
        .entry(secret("ENVOY_XDS_CLIENT_TLS_KEY", "tls.key", "seldon-controlplane-client"))
        .entry(secret("ENVOY_XDS_CLIENT_TLS_CRT", "tls.crt", "seldon-controlplane-client"))
        .entry(secret("ENVOY_XDS_SERVER_TLS_CA", "ca.crt", "seldon-controlplane-server"));
    let pod = json!({
        "containers": [{
            "name": "envoy",
            "image": values.image("seldon-envoy"),
            "imagePullPolicy": "IfNotPresent",
            "env": environment.build(),
            "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", ENVOY_PRE_STOP]}}},
            "ports": [{"name": "http", "containerPort": 9000}, {"name": "envoy-stats", "containerPort": 9003}],
            "readinessProbe": {
                "httpGet": {"path": "/ready", "port": "envoy-stats"},
                "initialDelaySeconds": 10,
                "periodSeconds": 5,
                "failureThreshold": 3,
            },
            "resources": resources("100m", "128Mi"),
        }],
        "securityContext": unprivileged(),
        "terminationGracePeriodSeconds": 120,
    });
    let annotations = [
        ("prometheus.io/path", "/stats/prometheus"),
        ("prometheus.io/port", "9003"),
        ("prometheus.io/scrape", "true"),
    ];
    ComponentDefinition {
        annotations: annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..component("seldon-envoy", pod)
    }
}
