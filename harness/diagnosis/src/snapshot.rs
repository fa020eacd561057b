//! What the diagnosis is given.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use netmodel::{LostPackets, OutcomeClass};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that was seen at one time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Namespace of the controller.
    pub controller_namespace: String,
    /// All namespaces.
    pub namespaces: Vec<Namespace>,
    /// All pods.
    pub pods: Vec<Pod>,
    /// All Services.
    pub services: Vec<Service>,
    /// All EndpointSlices.
    pub endpoint_slices: Vec<EndpointSlice>,
    /// All NetworkPolicies.
    pub policies: Vec<NetworkPolicy>,
    /// All Models.
    pub models: Vec<Value>,
    /// All Servers.
    pub servers: Vec<Value>,
    /// All SeldonRuntimes.
    pub runtimes: Vec<Value>,
    /// Log tails of the mesh's containers.
    pub logs: Vec<Log>,
    /// What probes found.
    pub sightings: Vec<Sighting>,
    /// Packets that the node lost while they were looking; empty where nobody sees them.
    pub lost: Vec<LostPackets>,
}

/// The end of a container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Where it was written.
    pub pod: PodId,
    /// By which container.
    pub container: String,
    /// Its last lines.
    pub text: String,
}

/// A pod, by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodId {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for PodId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// One probe's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// In which pod the probe ran.
    pub from: PodId,
    /// What was looked at.
    pub look: Look,
    /// What was found.
    pub answer: Answer,
}

/// What a probe looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// A TCP connection to an address.
    Dial {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A name, as a Go program asks for it.
    GoLookup {
        /// The name.
        name: String,
    },
    /// A name, as busybox's nslookup asks for it.
    Nslookup {
        /// The name.
        name: String,
    },
    /// A name that nobody can have (below `.invalid`, RFC 6761), as busybox's nslookup asks for it.
    NobodysName {
        /// The name.
        name: String,
    },
    /// An HTTP GET through the mesh.
    Get {
        /// The path.
        path: String,
    },
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its class.
    pub class: OutcomeClass,
    /// Addresses, of a look-up.
    pub addresses: Vec<IpAddr>,
    /// HTTP status, of a GET.
    pub status: Option<u16>,
    /// In the program's words.
    pub text: String,
}

impl Snapshot {
    /// The condition of `kind` in `object`, as status, reason and message.
    pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
        let conditions = object["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        Some(Condition { status: text("status"), reason: text("reason"), message: text("message") })
    }

    /// The Service `name` in `namespace`.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| {
            service.metadata.namespace.as_deref() == Some(namespace)
                && service.metadata.name.as_deref() == Some(name)
        })
    }

    /// ClusterIP of a Service, if it has one.
    pub(crate) fn cluster_ip(service: &Service) -> Option<&str> {
        service
            .spec
            .as_ref()?
            .cluster_ip
            .as_deref()
            .filter(|address| *address != "None" && !address.is_empty())
    }

    /// Running pods of `namespace` with the label `key=value`.
    pub(crate) fn pods_labelled<'a>(
        &'a self,
        namespace: &'a str,
        key: &'a str,
        value: &'a str,
    ) -> impl Iterator<Item = &'a Pod> + 'a {
        self.pods.iter().filter(move |pod| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && pod
                    .metadata
                    .labels
                    .as_ref()
                    .and_then(|labels| labels.get(key))
                    .is_some_and(|found| found == value)
        })
    }

    /// Sightings of `look` from `namespace`.
    pub(crate) fn sightings_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Sighting> + 'a {
        self.sightings.iter().filter(move |sighting| sighting.from.namespace == namespace)
    }
}

/// A condition's texts, empty when absent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}
