//! Environment variables that several containers share.

use serde_json::{Value, json};

/// A list of `env` entries under construction.
#[derive(Debug, Default)]
pub(super) struct Environment(Vec<Value>);

/// The two TLS identities of a party: whose secret it owns, and whose it validates.
#[derive(Debug, Clone, Copy)]
enum Side {
    Server,
    Client,
}

impl Environment {
    /// Adds variables with plain values.
    pub(super) fn set(mut self, pairs: &[(&str, &str)]) -> Self {
        self.0.extend(pairs.iter().map(|(name, value)| json!({"name": name, "value": value})));
        self
    }

    /// Adds a variable taken from the pod.
    pub(super) fn field(mut self, name: &str, path: &str) -> Self {
        self.0.push(json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
        self
    }

    /// Adds an entry as it is.
    pub(super) fn entry(mut self, entry: Value) -> Self {
        self.0.push(entry);
        self
    }

    /// Adds the level of a component's log.
    pub(super) fn log_level(self, level: &str) -> Self {
        self.set(&[("LOG_LEVEL", level)])
    }

    /// Adds the pod's own namespace.
    pub(super) fn pod_namespace(self) -> Self {
        self.field("POD_NAMESPACE", "metadata.namespace")
    }

    /// Adds the control plane's TLS settings as a client sees them (plaintext).
    pub(super) fn control_plane_client(self) -> Self {
        self.set(&[("CONTROL_PLANE_SECURITY_PROTOCOL", "PLAINTEXT")]).identity(
            "CONTROL_PLANE",
            Side::Client,
            "seldon-controlplane",
            ("/tmp/certs/cpc", "/tmp/certs/cps"),
        )
    }

    /// Adds the control plane's TLS settings as the scheduler sees them (plaintext).
    pub(super) fn control_plane_server(self) -> Self {
        self.set(&[("CONTROL_PLANE_SECURITY_PROTOCOL", "PLAINTEXT")]).identity(
            "CONTROL_PLANE",
            Side::Server,
            "seldon-controlplane",
            ("/tmp/certs/cps", "/tmp/certs/cpc"),
        )
    }

    /// Adds the protocol of Envoy's own connections.
    pub(super) fn envoy_protocol(self) -> Self {
        self.set(&[("ENVOY_SECURITY_PROTOCOL", "PLAINTEXT")])
    }

    /// Adds Envoy's upstream TLS settings as Envoy's side (`client`) presents them.
    pub(super) fn envoy_upstream_client(self) -> Self {
        self.identity("ENVOY_UPSTREAM", Side::Client, "seldon-upstream", ("/tmp/certs/duc", "/tmp/certs/dus"))
    }

    /// Adds Envoy's upstream TLS settings as the server pods present them.
    pub(super) fn envoy_upstream_server(self) -> Self {
        self.identity("ENVOY_UPSTREAM", Side::Server, "seldon-upstream", ("/tmp/certs/dus", "/tmp/certs/duc"))
    }

    /// Adds Envoy's downstream TLS settings as Envoy presents them.
    pub(super) fn envoy_downstream_server(self) -> Self {
        self.set(&[
            ("ENVOY_DOWNSTREAM_SERVER_TLS_SECRET_NAME", "seldon-downstream-server"),
            ("ENVOY_DOWNSTREAM_CLIENT_TLS_SECRET_NAME", ""),
            ("ENVOY_DOWNSTREAM_SERVER_TLS_KEY_LOCATION", "/tmp/certs/dds/tls.key"),
            ("ENVOY_DOWNSTREAM_SERVER_TLS_CRT_LOCATION", "/tmp/certs/dds/tls.crt"),
            ("ENVOY_DOWNSTREAM_SERVER_TLS_CA_LOCATION", "/tmp/certs/dds/ca.crt"),
            ("ENVOY_DOWNSTREAM_CLIENT_TLS_CA_LOCATION", "/tmp/certs/ddc/ca.crt"),
        ])
    }

    /// Adds Envoy's downstream TLS settings as a client of the mesh sees them.
    pub(super) fn envoy_downstream_client(self) -> Self {
        self.set(&[
            ("ENVOY_DOWNSTREAM_CLIENT_MTLS", "false"),
            ("ENVOY_DOWNSTREAM_CLIENT_TLS_SECRET_NAME", ""),
            ("ENVOY_DOWNSTREAM_SERVER_TLS_SECRET_NAME", "seldon-downstream-server"),
            ("ENVOY_DOWNSTREAM_CLIENT_TLS_KEY_LOCATION", "/tmp/certs/ddc/tls.key"),
            ("ENVOY_DOWNSTREAM_CLIENT_TLS_CRT_LOCATION", "/tmp/certs/ddc/tls.crt"),
            ("ENVOY_DOWNSTREAM_CLIENT_TLS_CA_LOCATION", "/tmp/certs/ddc/ca.crt"),
            ("ENVOY_DOWNSTREAM_SERVER_TLS_CA_LOCATION", "/tmp/certs/dds/ca.crt"),
        ])
    }

    /// Adds the Kafka client's security settings (plaintext).
    pub(super) fn kafka_client(self) -> Self {
        self.set(&[
            ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("KAFKA_CLIENT_TLS_ENDPOINT_IDENTIFICATION_ALGORITHM", ""),
            ("KAFKA_CLIENT_TLS_SECRET_NAME", ""),
            ("KAFKA_CLIENT_TLS_KEY_LOCATION", "/tmp/certs/kafka/client/tls.key"),
            ("KAFKA_CLIENT_TLS_CRT_LOCATION", "/tmp/certs/kafka/client/tls.crt"),
            ("KAFKA_CLIENT_TLS_CA_LOCATION", "/tmp/certs/kafka/client/ca.crt"),
            ("KAFKA_CLIENT_SASL_USERNAME", "seldon"),
            ("KAFKA_CLIENT_SASL_SECRET_NAME", ""),
            ("KAFKA_CLIENT_SASL_PASSWORD_LOCATION", "password"),
            ("KAFKA_BROKER_TLS_SECRET_NAME", ""),
            ("KAFKA_BROKER_TLS_CA_LOCATION", "/tmp/certs/kafka/broker/ca.crt"),
        ])
    }

    /// The entries.
    pub(super) fn build(self) -> Value {
        Value::Array(self.0)
    }

    fn identity(
        self,
        family: &str,
        own: Side,
        secret: &str,
        (own_folder, other_folder): (&str, &str),
    ) -> Self {
        let (own_name, other_name) = match own {
            Side::Server => ("SERVER", "CLIENT"),
            Side::Client => ("CLIENT", "SERVER"),
        };
        let secret_of = |side: &str| format!("{secret}-{}", side.to_lowercase());
        let entries = [
            (format!("{family}_{own_name}_TLS_SECRET_NAME"), secret_of(own_name)),
            (format!("{family}_{other_name}_TLS_SECRET_NAME"), secret_of(other_name)),
            (format!("{family}_{own_name}_TLS_KEY_LOCATION"), format!("{own_folder}/tls.key")),
            (format!("{family}_{own_name}_TLS_CRT_LOCATION"), format!("{own_folder}/tls.crt")),
            (format!("{family}_{own_name}_TLS_CA_LOCATION"), format!("{own_folder}/ca.crt")),
            (format!("{family}_{other_name}_TLS_CA_LOCATION"), format!("{other_folder}/ca.crt")),
        ];
        entries.iter().fold(self, |list, (name, value)| list.set(&[(name, value)]))
    }
}
