//! What the parts of a node share.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::images::Images;
use crate::kubelet::{Events, PodRuntime};
use crate::links::{Addresses, NodeLinks};
use crate::settings::NodeSettings;

/// The node's parts know each other through this value.
pub(crate) struct Shared {
    pub(crate) settings: NodeSettings,
    pub(crate) client: kube::Client,
    pub(crate) images: Images,
    pub(crate) links: NodeLinks,
    pub(crate) addresses: Addresses,
    pub(crate) events: Events,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) rules: watch::Sender<crate::proxy::RulesState>,
    pub(crate) stop: CancellationToken,
    pub(crate) pods: Mutex<HashMap<(String, String), std::sync::Arc<PodRuntime>>>,
}

impl Shared {
    /// The directory of one pod (by uid).
    pub(crate) fn pod_directory(&self, pod: &Pod) -> PathBuf {
        self.settings.state_dir.join("pods").join(pod.metadata.uid.as_deref().unwrap_or("nobody"))
    }

    /// A pod that the node runs.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<std::sync::Arc<PodRuntime>> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

/// Addresses of the pods whose network stands, by pod uid: known here before the API server hears of them.
#[derive(Debug, Default)]
pub(crate) struct Sandboxes {
    state: watch::Sender<HashMap<String, LocalPod>>,
}

/// A pod of this node as the packet rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalPod {
    pub(crate) address: Ipv4Addr,
    pub(crate) since: tokio::time::Instant,
}

impl Sandboxes {
    pub(crate) fn add(&self, uid: &str, address: Ipv4Addr) {
        let pod = LocalPod { address, since: tokio::time::Instant::now() };
        self.state.send_modify(|it| {
            it.insert(uid.to_owned(), pod);
        });
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.state.send_modify(|it| {
            it.remove(uid);
        });
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<HashMap<String, LocalPod>> {
        self.state.subscribe()
    }
}
