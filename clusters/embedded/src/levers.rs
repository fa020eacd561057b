//! What the node of a cluster of ours can be told and asked, beside its API.

use std::fmt;

use embedded_node::LinkState;
use futures::future::BoxFuture;
use netmodel::LostPackets;
use serde::{Deserialize, Serialize};

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerName {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.pod)
    }
}

/// Connections to a port of a pod, whoever opened them and by whatever address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// The pod.
    pub to: PodName,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "connections to port {} of {}", self.port, self.to)
    }
}

/// A rule of the node's that denies, and how many packets it has denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedPackets {
    /// Which, in words that stay the same as long as the rule does.
    pub rule: String,
    /// Since it was loaded.
    pub packets: u64,
}

/// A node that obeys.
pub trait Levers {
    /// Kills the container's first process, as the kernel does when memory runs out.
    fn kill<'a>(&'a self, container: &'a ContainerName) -> BoxFuture<'a, anyhow::Result<()>>;

    /// Takes the node's end of a pod's link down, or up again.
    ///
    /// The link of a pod that is no more went with it: there is nothing to take up, and nothing that could be taken down.
    fn set_link<'a>(&'a self, pod: &'a PodName, state: LinkState) -> BoxFuture<'a, anyhow::Result<()>>;

    /// Forgets connections, and says how many; neither end is told, and policies judge what comes next of them.
    fn forget<'a>(&'a self, connections: &'a Connections) -> BoxFuture<'a, anyhow::Result<usize>>;

    /// Lets the node's own firewall drop what is sent to a port of a pod, and nothing else; or nothing at all.
    ///
    /// No object of the cluster's tells of it. The firewall is asked after the network's own rules.
    fn set_firewall<'a>(&'a self, drops: Option<&'a Connections>) -> BoxFuture<'a, anyhow::Result<()>>;

    /// Packets that began connections and got no further than the node, since it was up.
    fn lost_packets(&self) -> BoxFuture<'_, anyhow::Result<Vec<LostPackets>>>;

    /// What the rules that deny have counted.
    fn denials(&self) -> BoxFuture<'_, anyhow::Result<Vec<DeniedPackets>>>;
}
