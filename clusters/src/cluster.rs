//! Clusters as the layers above see them: something to start, reach and end.

use std::path::Path;
use std::sync::Arc;

use embedded::{
    Access, ClusterError, ClusterSpec, Connections, ContainerName, DeniedPackets, HostPorts, LinkState,
    LostPackets, PodName, Profile, ProgramImage, SupervisedCluster, UpstreamMode,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pace::Pace;

use crate::given_cluster::GivenCluster;
use crate::kubernetes_cluster::KubernetesCluster;
use crate::programs::Programs;

/// What is asked of a cluster before it exists.
#[derive(Debug, Clone)]
pub struct ClusterRequest {
    /// Its name.
    pub name: String,
    /// The network plugin it must behave like.
    pub profile: Profile,
    /// Factor for long timers.
    pub pace: Pace,
    /// Image table.
    pub images: Vec<ProgramImage>,
    /// Loopback address of the host on which it can be reached.
    pub host_address: std::net::Ipv4Addr,
    /// Port of its API server on the host; 0 lets the kernel choose.
    pub api_port: u16,
    /// What else listens on the host.
    pub host_ports: HostPorts,
    /// What the name server outside answers at first.
    pub upstream: UpstreamMode,
}

impl ClusterRequest {
    /// The embedded cluster that is asked for, of `programs`.
    pub(crate) fn describe(self, programs: &Programs) -> ClusterSpec {
        ClusterSpec {
            name: self.name,
            profile: self.profile,
            pace: self.pace,
            images: self.images,
            nft: programs.nft.clone(),
            mountpoint: programs.mountpoint.clone(),
            host_address: self.host_address,
            api_port: self.api_port,
            host_ports: self.host_ports,
            upstream: self.upstream,
        }
    }
}

/// A running cluster.
#[derive(Debug)]
pub enum Cluster {
    /// On this machine, in namespaces.
    Embedded(Box<SupervisedCluster>),
    /// Somebody else's.
    Given(GivenCluster),
    /// A real Kubernetes of this machine's, shared by the cases of a run.
    Kubernetes(GivenCluster, Arc<KubernetesCluster>),
}

/// Why something that only some clusters can do was not done.
#[derive(Debug, thiserror::Error)]
pub enum LeverError {
    /// This cluster has no such thing.
    #[error("a given cluster's {0} cannot be changed")]
    NotHere(&'static str),
    /// It could not do it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Cluster {
    /// Starts an embedded cluster; its supervisor logs to `log`.
    ///
    /// # Errors
    /// [`ClusterError`] with the remedy where there is one.
    pub async fn start_embedded(
        request: ClusterRequest,
        programs: &Programs,
        log: Option<&Path>,
    ) -> Result<Cluster, ClusterError> {
        let spec = request.describe(programs);
        Ok(Cluster::Embedded(Box::new(SupervisedCluster::start_embedded(&spec, log).await?)))
    }

    /// The cluster as its supervisor holds it, when that is ours.
    fn supervised(&self) -> Option<&SupervisedCluster> {
        match self {
            Cluster::Embedded(cluster) => Some(cluster),
            Cluster::Given(_) => None,
            Cluster::Kubernetes(_, cluster) => Some(cluster.supervised()),
        }
    }

    /// How to reach its API server, when that is this program's to tell.
    pub fn access(&self) -> Option<&Access> {
        self.supervised().map(SupervisedCluster::access)
    }

    /// A client of its API server, on the current runtime.
    ///
    /// # Errors
    /// kube's, when the access data cannot be used.
    pub async fn client(&self) -> anyhow::Result<Client> {
        match self {
            Cluster::Embedded(cluster) => client_for(cluster.access()).await,
            Cluster::Given(cluster) | Cluster::Kubernetes(cluster, _) => Ok(cluster.client()?),
        }
    }

    /// Changes what the name server outside the cluster answers.
    ///
    /// # Errors
    /// [`LeverError`] when the cluster has ended, or is given.
    pub async fn set_upstream(&self, mode: UpstreamMode) -> Result<(), LeverError> {
        let supervised = self.supervised().ok_or(LeverError::NotHere("name server outside"))?;
        Ok(supervised.set_upstream(mode).await?)
    }

    /// Kills a container's first process on its node.
    ///
    /// # Errors
    /// [`LeverError`] when it does not run, or the cluster is given.
    pub async fn kill(&self, container: ContainerName) -> Result<(), LeverError> {
        let supervised = self.supervised().ok_or(LeverError::NotHere("node"))?;
        Ok(supervised.kill(container).await?)
    }

    /// Takes the node's end of a pod's link down, or up again.
    ///
    /// # Errors
    /// [`LeverError`] when one is to be taken down that is not there, or the cluster is given.
    pub async fn set_link(&self, pod: PodName, state: LinkState) -> Result<(), LeverError> {
        let supervised = self.supervised().ok_or(LeverError::NotHere("node"))?;
        Ok(supervised.set_link(pod, state).await?)
    }

    /// Lets the node forget connections that it tracks.
    ///
    /// # Errors
    /// [`LeverError`] when it tracks no such connection, or the cluster is given.
    pub async fn forget(&self, connections: Connections) -> Result<(), LeverError> {
        let supervised = self.supervised().ok_or(LeverError::NotHere("node"))?;
        Ok(supervised.forget(connections).await?)
    }

    /// Lets the node's own firewall drop what is sent to a port of a pod, and nothing else; or nothing at all.
    ///
    /// # Errors
    /// [`LeverError`] when there is no such pod, or the cluster is given.
    pub async fn set_firewall(&self, drops: Option<Connections>) -> Result<(), LeverError> {
        let supervised = self.supervised().ok_or(LeverError::NotHere("node"))?;
        Ok(supervised.set_firewall(drops).await?)
    }

    /// Packets that began connections and got no further than the node, since it was up; nothing is known of a given
    /// cluster's.
    ///
    /// # Errors
    /// [`ClusterError`] when the node's kernel logs no packets, or the cluster has ended.
    pub async fn lost_packets(&self) -> Result<Option<Vec<LostPackets>>, ClusterError> {
        match self.supervised() {
            Some(cluster) => cluster.lost_packets().await.map(Some),
            None => Ok(None),
        }
    }

    /// What the node's rules that deny have counted so far; nothing is known of a given cluster's.
    ///
    /// # Errors
    /// [`ClusterError`] when they cannot be read.
    pub async fn denials(&self) -> Result<Option<Vec<DeniedPackets>>, ClusterError> {
        match self.supervised() {
            Some(cluster) => cluster.denials().await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether it has ended. A given cluster is not watched: what it no longer answers says so.
    pub fn has_ended(&self) -> bool {
        self.supervised().is_some_and(SupervisedCluster::has_ended)
    }

    /// Returns when it has ended, by whosever hand; never for a given cluster.
    pub async fn ended(&self) {
        match self.supervised() {
            Some(cluster) => cluster.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Ends it; nothing of it is left. A given cluster, and one that other cases use too, is let go of.
    ///
    /// # Errors
    /// [`ClusterError`] when it had ended before.
    pub async fn stop(self) -> Result<(), ClusterError> {
        match self {
            Cluster::Embedded(cluster) => cluster.stop().await,
            Cluster::Given(_) | Cluster::Kubernetes(..) => Ok(()),
        }
    }
}

/// A kubeconfig document for `access`, with one context called `name`.
pub fn kubeconfig(name: &str, access: &Access) -> String {
    use base64::Engine;
    let authority = base64::engine::general_purpose::STANDARD.encode(&access.ca_pem);
    kubeconfig_of(name, &access.server, &authority, &access.token)
}

/// The same for a cluster that is not there: for dry runs.
pub fn future_kubeconfig(name: &str) -> String {
    kubeconfig_of(name, "https://127.0.0.1:PORT", "AUTHORITY", "TOKEN")
}

fn kubeconfig_of(name: &str, server: &str, authority: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    \
         server: {server}\n    certificate-authority-data: {authority}\ncontexts:\n- name: {name}\n  context:\n    \
         cluster: {name}\n    user: {name}\nusers:\n- name: {name}\n  user:\n    token: {token}\n"
    )
}

/// A client of the cluster behind `access`.
///
/// # Errors
/// kube's, when the access data cannot be read.
async fn client_for(access: &Access) -> anyhow::Result<Client> {
    let document = Kubeconfig::from_yaml(&kubeconfig("cluster", access))?;
    let config = Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
