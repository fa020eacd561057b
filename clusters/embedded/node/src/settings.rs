//! What a node needs to know.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use ipnet::Ipv4Net;
use netmodel::Profile;
use pace::Pace;

use crate::Program;

/// Issues the token of a service account, given its namespace and name.
pub type TokenIssuer = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// Settings of a [`crate::Node`].
#[derive(Clone)]
pub struct NodeSettings {
    /// The node's name.
    pub name: String,
    /// By what factor the kubelet's long timers shrink. Containers get it in the variable [`pace::VARIABLE`].
    pub pace: Pace,
    /// The network stack that is mimicked.
    pub profile: Profile,
    /// The images on the node. Another image cannot be pulled.
    pub images: Vec<ProgramImage>,
    /// The `nft` program.
    pub nft: PathBuf,
    /// An empty directory of the node, for volumes, logs and sandboxes. Whoever made it removes it.
    pub state_dir: PathBuf,
    /// Host directories that containers see at their own path, read-only. Needed only below `/tmp`, `/run` and `/mnt`, of
    /// which a container has its own; the rest of the host's directories are visible anyway.
    pub visible: Vec<PathBuf>,
    /// The address of the DNS Service; 10.43.0.10 on k3s.
    pub cluster_dns: Ipv4Addr,
    /// The cluster's DNS domain; `cluster.local`.
    pub cluster_domain: String,
    /// Where ClusterIPs come from; 10.43.0.0/16 on k3s.
    pub service_cidr: Ipv4Net,
    /// The text of the node's own `resolv.conf`, from which pods' are made (kubelet's `--resolv-conf`).
    pub node_resolv_conf: String,
    /// Tokens for projected service-account volumes.
    pub token_issuer: TokenIssuer,
    /// The port at which the API server listens on the node's address; 6443 on k3s.
    pub api_port: u16,
}

/// An image: no layers, only what its programs and files are.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ProgramImage {
    /// As manifests write it, such as `busybox:1.36`.
    pub reference: String,
    /// The image's `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// The image's `CMD`.
    pub command: Vec<String>,
    /// The image's environment.
    pub env: IndexMap<String, String>,
    /// The image's working directory; `/` when absent.
    pub working_dir: Option<String>,
    /// Programs by the name that command lines give them (`argv[0]`, such as `/bin/agent`). A name that is absent here is
    /// looked up in the container's `PATH`, among the host's programs.
    pub programs: IndexMap<String, Program>,
    /// Files of the image: absolute path to text. A text that begins with `#!` is executable.
    pub files: IndexMap<String, String>,
    /// Directories of the host that the programs need, at their own path.
    #[serde(default)]
    pub trees: Vec<PathBuf>,
}
