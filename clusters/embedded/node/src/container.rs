//! Containers: processes with a mount view, a host name and a process tree of their own, in their pod's network.
//!
//! A container is made by a small program, this very executable run as `builtin container-init`. It enters the pod's network
//! namespace, makes the others, forks the container's process 1, and stays beside it as its keeper: it reports how process 1
//! ended, and kills it when the node's control socket closes, so that nothing outlives the node. Making namespaces in a
//! program of its own keeps the node's threads where they are, and the fork away from the node's memory.
//!
//! Process ids: the node waits only for the keepers it started, each by its own id (tokio does so by pidfd). Whoever is
//! process 1 above the node may reap every orphan with `waitpid(-1)` provided that it is not the node's own process; if it
//! is, it must wait only for ids it knows, or keepers' exits are lost.

mod channel;
mod init;
mod join;
mod launch;
mod mount_point;
mod process;
mod root;
mod spec;

pub use init::container_init;
pub(crate) use process::{Process, StartError, Stdio};
pub use spec::Program;
pub(crate) use spec::{Access, ContainerSpec, ExecSpec, MountSpec, PodNetwork, ToInit};
pub(crate) use spec::{Command, Terminal};

/// Name of the built-in program that makes a container, see [`container_init`].
pub const CONTAINER_INIT: &str = "container-init";
