//! A pod's network and its own files: what the pause container is on a real node.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;
use netmodel::profile::NewPod;

use super::hosts_file::{self, HostName};
use super::pod::PodRuntime;
use super::resolv_conf::{self, ClusterNames};
use crate::links::{NODE_ADDRESS, PodLink};

/// How long a pod waits for packet rules that know it. They come within milliseconds; if they do not, `nft` fails, which
/// is reported elsewhere, and a pod that never starts would hide it.
const RULES_PATIENCE: Duration = Duration::from_secs(5);

/// Why a sandbox could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("failed to setup network for sandbox: {0}")]
    Network(#[from] crate::links::LinkError),
    #[error(
        "failed to setup network for sandbox: no IP addresses available in range set: 10.42.0.2-10.42.0.254"
    )]
    NoAddress,
    #[error("write the pod's own files: {0}")]
    Files(#[from] std::io::Error),
}

/// Files that every container of a pod sees.
#[derive(Debug, Clone)]
pub(super) struct SandboxFiles {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
    pub(super) hostname: PathBuf,
    /// What `hostname` prints.
    pub(super) kernel_hostname: String,
}

/// Makes the pod's network and files.
pub(super) async fn create(runtime: &PodRuntime) -> Result<SandboxFiles, SandboxError> {
    let shared = &runtime.shared;
    let spec = runtime.spec();
    let address = if spec.host_network == Some(true) {
        runtime.set_network(NODE_ADDRESS, None);
        NODE_ADDRESS
    } else {
        let lease = shared.addresses.lease().ok_or(SandboxError::NoAddress)?;
        let link = PodLink::create(&shared.links, lease.address()).await?;
        // From here on it goes with the link.
        let address = lease.keep();
        shared.sandboxes.add(&runtime.uid, address);
        runtime.set_network(address, Some(link));
        if shared.settings.profile.knobs().new_pod == NewPod::ClosedUntilSync {
            wait_for_rules(runtime).await;
        }
        address
    };
    write_files(runtime, &spec, address).map_err(|error| {
        remove(runtime);
        error.into()
    })
}

/// Calico lets a pod's first process run only when the rules know the pod.
async fn wait_for_rules(runtime: &PodRuntime) {
    let mut rules = runtime.shared.rules.subscribe();
    let known = rules.wait_for(|it| it.pods.contains(&runtime.uid));
    if tokio::time::timeout(RULES_PATIENCE, known).await.is_err() {
        tracing::warn!(
            pod = runtime.full_name(),
            "the packet rules do not know this pod; it starts all the same"
        );
    }
}

fn write_files(
    runtime: &PodRuntime,
    spec: &PodSpec,
    address: std::net::Ipv4Addr,
) -> std::io::Result<SandboxFiles> {
    let settings = &runtime.shared.settings;
    let directory = runtime.shared.pod_directory(&runtime.object());
    fs::create_dir_all(&directory)?;
    let name = HostName::of(&runtime.name, &runtime.namespace, spec, &settings.cluster_domain);
    let cluster = ClusterNames {
        address: settings.cluster_dns,
        domain: &settings.cluster_domain,
        node_file: &settings.node_resolv_conf,
    };
    let files = SandboxFiles {
        resolv_conf: directory.join("resolv.conf"),
        hosts: directory.join("etc-hosts"),
        hostname: directory.join("hostname"),
        kernel_hostname: name.in_kernel(spec),
    };
    fs::write(&files.resolv_conf, resolv_conf::of_pod(&runtime.namespace, spec, cluster))?;
    fs::write(&files.hosts, hosts_file::of_pod(spec, &name, address))?;
    fs::write(&files.hostname, format!("{}\n", files.kernel_hostname))?;
    Ok(files)
}

/// Takes the pod's network away.
pub(super) fn remove(runtime: &PodRuntime) {
    runtime.shared.sandboxes.remove(&runtime.uid);
    if let Some(link) = runtime.take_link() {
        runtime.shared.addresses.give_back(link.address);
    }
}
