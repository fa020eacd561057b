//! What describes a cluster of this kind.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use embedded::{HostPorts, UpstreamMode};
use pace::Pace;
use serde::{Deserialize, Serialize};

/// Name of the supervisor's built-in program.
pub(crate) const SUPERVISOR: &str = "kubernetes-supervisor";
/// The node's name.
pub(crate) const NODE_NAME: &str = "node-0";
/// Where pods' addresses come from, as on k3s.
pub(crate) const CLUSTER_CIDR: &str = "10.42.0.0/16";
/// The node's share of them.
pub(crate) const POD_CIDR: &str = "10.42.0.0/24";
/// Where Services' addresses come from, as on k3s.
pub(crate) const SERVICE_CIDR: &str = "10.43.0.0/16";
/// The name server's Service.
pub(crate) const CLUSTER_DNS: &str = "10.43.0.10";
/// Service `kubernetes`.
pub(crate) const API_SERVICE: &str = "10.43.0.1";
/// The zone of cluster names.
pub(crate) const CLUSTER_DOMAIN: &str = "cluster.local";
/// The API server's port on the node.
pub(crate) const API_PORT: u16 = 6443;
/// The MTU of a pod's link on k3s: 1500 less the VXLAN header.
pub(crate) const POD_MTU: u32 = 1450;
/// The image that holds a pod's namespaces; k3s 1.33.1 uses this one.
pub(crate) const PAUSE_IMAGE: &str = "docker.io/rancher/mirrored-pause:3.6";

/// A boot takes ten seconds on two processors; one that takes this long never ends.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// How long it may take to load images: it takes a minute on two processors.
pub(crate) const LOADING: Duration = Duration::from_secs(600);
/// The CNI plugins that a node needs of the reference ones.
pub const CNI_PLUGINS: [&str; 5] = ["bridge", "host-local", "loopback", "portmap", "bandwidth"];

/// A cluster of one node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Names its cgroups; no two running clusters of a machine share it. A DNS label.
    pub name: String,
    /// A directory of its own on a disk, which exists and is empty but for containerd's part (see
    /// [`crate::copy_images`]). It is removed when the cluster has ended.
    pub state: PathBuf,
    /// Directory of the programs' logs, which exists.
    pub logs: PathBuf,
    /// An existing directory over which the supervisor mounts its tmpfs; stays empty on the host.
    pub mountpoint: PathBuf,
    /// The programs.
    pub programs: NodePrograms,
    /// The pods' network.
    pub network: Network,
    /// Directories of the host that must stay visible where the node has a directory of its own instead (`/run`, `/var/lib`,
    /// `/var/log`).
    pub visible: Vec<PathBuf>,
    /// Address of the host's loopback on which the API server (and NodePorts) listen.
    pub host_address: Ipv4Addr,
    /// Port of the API server on the host; 0 lets the kernel choose.
    pub api_port: u16,
    /// What else listens on the host.
    pub host_ports: HostPorts,
    /// What the name server outside the cluster answers at first.
    pub upstream: UpstreamMode,
    /// Whether the name server inside remembers for long that a name is not there.
    pub pace: Pace,
}

/// Where the programs of a node are. All paths are absolute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodePrograms {
    /// The executable that is kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy and etcd,
    /// by its first argument.
    pub kube: PathBuf,
    /// Directories of containerd, its shim, `ctr`, `runc`, `conntrack`, `ipset` and `iptables`, searched in this order
    /// before the system's.
    pub path: Vec<PathBuf>,
    /// Directories of the libraries that those need; empty where they are the system's own.
    pub libraries: Vec<PathBuf>,
    /// iptables' extensions, where they are not where it looks by itself.
    pub xtables: Option<PathBuf>,
    /// Directory of the [`CNI_PLUGINS`].
    pub cni: PathBuf,
}

/// Who makes the pods' network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Network {
    /// A bridge and the rules that flannel makes on a single node. Nobody enforces policies.
    Flannel,
    /// Calico, with policies.
    Calico(CalicoPrograms),
}

/// Where Calico's programs are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CalicoPrograms {
    /// The executable that is calico-node (`startup`, `felix`) and, by its name, the CNI plugins.
    pub calico: PathBuf,
    /// Directory of Calico's custom resource definitions.
    pub definitions: PathBuf,
}
