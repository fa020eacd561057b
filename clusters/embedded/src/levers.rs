//! What the node of a cluster of ours can be told and asked, beside its API.

use futures::future::BoxFuture;
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

    /// What the rules that deny have counted.
    fn denials(&self) -> BoxFuture<'_, anyhow::Result<Vec<DeniedPackets>>>;
}
