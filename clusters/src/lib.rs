//! A Kubernetes to run on: the kinds of clusters, and the programs they need on this machine.
//!
//! A cluster is something that speaks the Kubernetes API and has a network. What is run on it is none of this
//! crate's business: it is handed a table of program images and does not know what the programs are for.

mod cache;
mod cluster;
mod command;
mod doctor;
mod given_cluster;
mod process;
mod programs;

pub use cache::{Cache, CacheError};
pub use cluster::{Cluster, ClusterRequest, LeverError, kubeconfig};
pub use command::{Command, CommandError, Output};
pub use doctor::{Finding, State, examine};
pub use embedded::{
    Access, Builtin, ClusterError, HostPorts, Profile, Program, ProgramImage, UpstreamMode, UpstreamQuestion,
    intercept, try_namespaces,
};
pub use given_cluster::{GivenCluster, GivenError};
pub use process::{end_process, wait_until_unread};
pub use programs::{Programs, ProvisionError, provision};
