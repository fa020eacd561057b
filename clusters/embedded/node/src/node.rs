//! Starting and stopping a node.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use embedded_api::NodeRequest;
use ipnet::Ipv4Net;
use netmodel::LostPackets;
use nix::sys::signal::Signal;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::images::Images;
use crate::kubelet::{self, Events};
use crate::links::{
    self, Addresses, BRIDGE_ADDRESS, LinkError, LinkState, NodeLinks, PacketLog, forget_connections,
};
use crate::proxy::{self, NftError, RulesState};
use crate::requests;
use crate::settings::NodeSettings;
use crate::shared::{Sandboxes, Shared};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its network could not be set up; the calling process must own its network namespace.
    #[error("set up the node's network: {0}")]
    Links(#[from] LinkError),
    /// Its directory could not be used.
    #[error("prepare {directory}: {source}")]
    Directory {
        /// The directory.
        directory: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A node that runs. Dropping it leaves its tasks running; [`Node::stop`] ends them.
pub struct Node {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    /// Or why there is none.
    packet_log: Result<PacketLog, String>,
}

impl Node {
    /// Starts a node: links first, then kubelet, proxy and the server of `requests`.
    ///
    /// To be called inside a multi-threaded tokio runtime, all of whose threads live in a network namespace that is the
    /// node's alone, by a process that is root in its own user, mount and PID namespaces with `/proc` mounted. The process's
    /// executable must run [`crate::container_init`] when its arguments are `builtin container-init`.
    ///
    /// # Errors
    /// [`StartError`], when links or directories cannot be made. A rule set that `nft` refuses is no such error: it shows in
    /// [`Node::rules`].
    pub async fn start(
        settings: NodeSettings,
        client: kube::Client,
        requests: mpsc::Receiver<NodeRequest>,
    ) -> Result<Node, StartError> {
        for part in ["staging", "pods", "claims", "disk"] {
            let directory = settings.state_dir.join(part);
            std::fs::create_dir_all(&directory).map_err(|source| StartError::Directory {
                directory: directory.display().to_string(),
                source,
            })?;
        }
        let links = NodeLinks::set_up(settings.profile.knobs().attachment).await?;
        let packet_log = packet_log(&settings).await;
        if let Err(why) = &packet_log {
            tracing::warn!("{why}");
        }
        let pods = Ipv4Net::new(BRIDGE_ADDRESS, 24).map(|it| it.trunc()).unwrap_or_default();
        let shared = Arc::new(Shared {
            images: Images::new(settings.images.clone()),
            links,
            addresses: Addresses::new(pods),
            events: Events::start(client.clone(), settings.name.clone()),
            sandboxes: Sandboxes::default(),
            rules: watch::Sender::new(RulesState::default()),
            stop: CancellationToken::new(),
            pods: Mutex::new(HashMap::new()),
            settings,
            client,
        });
        let tasks = TaskTracker::new();
        tasks.spawn(proxy::run(shared.clone()));
        tasks.spawn(kubelet::maintain_node(shared.clone()));
        tasks.spawn(kubelet::watch_sources(shared.clone()));
        tasks.spawn(kubelet::watch_pods(shared.clone(), tasks.clone()));
        tasks.spawn(requests::serve(shared.clone(), requests));
        tasks.close();
        Ok(Node { shared, tasks, packet_log })
    }

    /// What the kernel's packet rules are made from; changes with every rule set that is applied or refused.
    pub fn rules(&self) -> watch::Receiver<RulesState> {
        self.shared.rules.subscribe()
    }

    /// The network namespace of the outside, where the LAN's gateway 192.168.50.1 lives and everything else is swallowed.
    pub fn outside(&self) -> BorrowedFd<'_> {
        self.shared.links.outside()
    }

    /// How same-node traffic between pods comes before the packet rules: `br_netfilter`, or `isolated ports`.
    pub fn bridging(&self) -> &'static str {
        match self.shared.links.bridging {
            crate::links::Bridging::Netfilter => "br_netfilter",
            crate::links::Bridging::Isolated => "isolated ports",
        }
    }

    /// Kills a container's first process; `None` when it does not run.
    pub fn kill(&self, namespace: &str, pod: &str, container: &str) -> Option<()> {
        let running = self.shared.pod(namespace, pod)?.running(container)?;
        running.process.signal(Signal::SIGKILL);
        Some(())
    }

    /// Takes a pod's link down, or up again; `None` when the node has no such pod with a link of its own.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn set_link(
        &self,
        namespace: &str,
        pod: &str,
        state: LinkState,
    ) -> Result<Option<()>, LinkError> {
        match self.shared.pod(namespace, pod).and_then(|pod| pod.link()) {
            Some(link) => link.set(state).await.map(Some),
            None => Ok(None),
        }
    }

    /// Forgets the connections to a port of a pod, as [`crate::forget_connections`] does; `None` when the node has no such
    /// pod.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn forget(&self, namespace: &str, pod: &str, port: u16) -> Result<Option<usize>, LinkError> {
        match self.address(namespace, pod) {
            Some(address) => links::blocking(move || forget_connections(address, port)).await.map(Some),
            None => Ok(None),
        }
    }

    /// The address of a pod of the node's.
    pub fn address(&self, namespace: &str, pod: &str) -> Option<Ipv4Addr> {
        self.shared.pod(namespace, pod)?.address()
    }

    /// Lets a firewall of the node's own drop what goes to that port of a pod, and nothing else; or nothing at all.
    ///
    /// # Errors
    /// `nft`'s.
    pub async fn set_firewall(&self, drops: Option<SocketAddrV4>) -> Result<(), NftError> {
        proxy::apply(&self.shared.settings.nft, &proxy::firewall(drops)).await
    }

    /// Packets that began connections and got no further than the node, since it started.
    ///
    /// # Errors
    /// Why the kernel logs no packets.
    pub async fn lost_packets(&self) -> Result<Vec<LostPackets>, String> {
        match &self.packet_log {
            Ok(log) => log.lost().await.map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        }
    }

    /// What the rules that deny have counted since they were loaded, by the words in their comments. A change of the rules
    /// loads all of them anew.
    ///
    /// # Errors
    /// `nft`'s.
    pub async fn denials(&self) -> Result<Vec<(String, u64)>, NftError> {
        proxy::denials(&self.shared.settings.nft).await
    }

    /// Kills every container and ends the node's tasks. Links go with the process's namespaces.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.tasks.wait().await;
    }
}

/// What is lost on the node from here on, or why that is not seen.
async fn packet_log(settings: &NodeSettings) -> Result<PacketLog, String> {
    let why =
        |error: &dyn std::error::Error| format!("packets that are lost on the node are not seen: {error}");
    let log = PacketLog::open().await.map_err(|error| why(&error))?;
    proxy::apply(&settings.nft, &links::packet_log_rules()).await.map_err(|error| why(&error))?;
    Ok(log)
}
