//! A Kubernetes to run on: the kinds of clusters, and the programs they need on this machine.
//!
//! A cluster is something that speaks the Kubernetes API and has a network. What is run on it is none of this
//! crate's business: it is handed a table of program images and does not know what the programs are for.

mod account;
mod balancer;
mod cache;
mod calico;
mod cluster;
mod command;
mod complaint;
mod dns;
mod doctor;
mod given_cluster;
mod helm;
mod images_lock;
mod k3d;
mod k3s;
mod kubernetes_cluster;
mod mirror;
mod node_image;
mod onlooker;
mod plan;
mod process;
mod programs;
mod real;
mod refusals;
mod registry;
mod rehearsal;
mod tool;

pub use account::once_accounted;
pub use cache::{Cache, CacheError};
pub use cluster::{Cluster, ClusterRequest, LeverError, future_kubeconfig, kubeconfig};
pub use command::{BUILD, Command, CommandError, FETCH, Output};
pub use doctor::{Finding, State, examine};
pub use embedded::{
    Access, Builtin, ClusterError, Connections, ContainerName, DeniedPackets, HostPorts, LinkState,
    LostPackets, PodName, Profile, Program, ProgramImage, UpstreamMode, UpstreamQuestion, try_namespaces,
};
pub use given_cluster::{GivenCluster, GivenError};
pub use helm::{Helm, HelmError, HelmTarget};
pub use image::ImageError;
pub use image::{full_reference, parse_reference};
pub use kubernetes_cluster::{
    KubernetesCluster, KubernetesError, KubernetesRequest, can_run_kubernetes, rehearse_kubernetes,
};
pub use node_image::{fingerprint as images_fingerprint, write_images};
pub use onlooker::{Interrupted, Onlooker};
pub use process::{end_process, wait_until_unread};
pub use programs::{
    KubernetesPrograms, Programs, ProvisionError, WithCalico, provision, provision_kubernetes,
    rehearse_provisioning, rehearse_provisioning_kubernetes, unprovisioned, unprovisioned_kubernetes,
};

pub use images_lock::{ImagesLock, LockedChart, LockedImage, ReleaseLock};
pub use mirror::{archive as mirrored_image, charts as mirror_of_charts, pull, push};
pub use plan::{Action, Condition, Expectation, Plan, PlanError, Site, Step, Task, Until, transcript};
pub use real::{
    ApiPlace, Home, HostPort, ImageSource, Lease, Listed, NoHostPort, Plans, Provider, RealCluster,
    RealError, RealName, RealRequest, Stamp, Swept, Usage, list_real, plans, real_clusters, sweep,
};
pub use registry::{NotARegistry, RegistryError, RegistryPlace, Transport, push_images};
pub use rehearsal::{ClusterTranscript, image_comments, rehearse_embedded};
pub use tool::{CURL, DOCKER, Daemon, GO, HELM, K3D, K3S, KUBECTL, Tool, ToolError, Version, daemon};

/// Runs the built-in program this process was started as, of `programs` or of a cluster's own; `None` when it was started as
/// itself. The first thing that a binary does, before it starts a thread.
pub fn intercept(programs: &[Builtin]) -> Option<std::process::ExitCode> {
    embedded::intercept(&[kubernetes::BUILTINS, programs].concat())
}
