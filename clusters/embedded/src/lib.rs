//! The embedded cluster: a Kubernetes on this machine, without Docker, root or the internet.
//!
//! Real packets in network namespaces, a Kubernetes API, pods that are processes. A cluster is one supervisor process
//! in its own namespaces; when it ends, however it ends, nothing of it is left.
//!
//! ```text
//! EmbeddedCluster::start ─► supervisor ─► boot: API server · node · controllers · DNS · the outside's name server
//! ```

mod boot;
mod border;
mod dispatch;
mod host;
mod namespaces;
mod node_ports;
mod obstacles;
mod supervisor;
mod wire;

pub use dispatch::{Builtin, intercept, try_namespaces};
pub use embedded_dns::{Mode as UpstreamMode, Question as UpstreamQuestion};
pub use embedded_node::{Program, ProgramImage};
pub use host::{ClusterError, EmbeddedCluster};
pub use namespaces::NamespaceError;
pub use netmodel::Profile;
pub use wire::{Access, ClusterSpec, HostPorts};
