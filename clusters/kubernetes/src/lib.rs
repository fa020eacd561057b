//! A real Kubernetes on this machine: kube-apiserver, controller-manager, scheduler, kubelet and kube-proxy, etcd,
//! containerd and CoreDNS as processes in namespaces of their own. Root, but no container engine and no registry.
//!
//! ```text
//! start ─► supervisor (root; mount, pid, uts, ipc, network namespaces) ─► boot
//!            machine    what the node sees of this machine: its own /run, /var/lib, /sys
//!            pki        authorities, certificates, kubeconfigs
//!            script     every step, as data: what `crew` carries out, and what a dry run prints
//!            parts      each program's command line, set up as k3s sets its own up
//!            calico     felix and the CNI plugin, on a cluster that has them
//!            volumes    the class `local-path`
//! ```
//!
//! The cluster ends with its supervisor, and that with the harness, like an embedded one. What namespaces do not take with
//! them (cgroups) the process that was started removes when all others are gone; see [`cgroups`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod attachments;
mod boot;
mod calico;
pub mod cgroups;
mod configuration;
mod crew;
mod flannel;
mod levers;
mod machine;
mod netfilter;
mod node_images;
mod packet_log;
mod parts;
mod pki;
mod process;
mod script;
mod spec;
mod step;
mod supervisor;
mod volumes;

pub use node_images::{ImagesError, LOADER, copy_images, load_images};
pub use script::{boot_script, loading_script};
pub use spec::{CNI_PLUGINS, CalicoPrograms, Network, NodePrograms, NodeSpec};
pub use step::{Action, Program, Script, Sign, Step};

use std::path::Path;

use builtin::Builtin;
use embedded::{ClusterError, SupervisedCluster};
use spec::SUPERVISOR;

/// The programs that this crate re-executes, for [`builtin::intercept`].
pub const BUILTINS: &[Builtin] = &[
    Builtin { name: SUPERVISOR, main: supervisor::main },
    Builtin { name: node_images::LOADER, main: node_images::main },
    builtin::PAUSE,
];

/// Boots the cluster that `spec` describes and waits until its node is Ready and names resolve in it. The supervisor logs
/// to `log`, the programs below `spec.state`.
///
/// # Errors
/// [`ClusterError::Refused`] with a sentence that names the remedy where there is one.
pub async fn start(spec: &NodeSpec, log: Option<&Path>) -> Result<SupervisedCluster, ClusterError> {
    let supervisor = supervisor(spec);
    let words: Vec<&str> = supervisor.iter().map(String::as_str).collect();
    SupervisedCluster::start(&words, spec, log).await
}

/// The built-in program that is the supervisor of the cluster that `spec` describes, and its arguments.
pub fn supervisor(spec: &NodeSpec) -> [String; 3] {
    [SUPERVISOR.to_owned(), spec.name.clone(), spec.state.display().to_string()]
}
