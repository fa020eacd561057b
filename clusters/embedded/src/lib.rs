//! The embedded cluster: a Kubernetes on this machine, without Docker, root or the internet.
//!
//! Real packets in network namespaces, a Kubernetes API, pods that are processes. A cluster is one supervisor process
//! in its own namespaces; when it ends, however it ends, nothing of it is left.
//!
//! ```text
//! SupervisedCluster::start_embedded ─► supervisor ─► boot: API server · node · controllers · DNS · the outside's name server
//! ```

mod boot;
mod border;
mod conversation;
mod dispatch;
mod host;
mod levers;
mod namespaces;
mod node_ports;
mod objects;
mod obstacles;
mod readiness;
mod serve;
mod supervisor;
mod wire;

pub use boot::{Ingredients, ingredients};
pub use builtin::Builtin;
pub use dispatch::{intercept, try_namespaces};
pub use embedded_node::{LinkState, Program, ProgramImage};
pub use host::{ClusterError, SupervisedCluster};
pub use levers::{Connections, ContainerName, DeniedPackets, Levers, PodName};
pub use namespaces::NamespaceError;
pub use netmodel::{LostPackets, Profile};
pub use outside::{Mode as UpstreamMode, Question as UpstreamQuestion};
pub use wire::{Access, ClusterSpec, HostPorts};

/// What a supervisor of another kind of cluster shares with this one's: namespaces, the host's side, the conversation.
pub mod supervision {
    pub use crate::border::Border;
    pub use crate::namespaces::{Privilege, mount_state};
    pub use crate::node_ports::forward as forward_node_ports;
    pub use crate::objects::{create, dns_objects, storage_class};
    pub use crate::readiness::until_ready;
    pub use crate::serve::{Booted, NotUp, serve};
    pub use crate::supervisor::supervise;
    pub use embedded_dns::Denials;
    pub use embedded_node::{
        CAME, LOGGED_BYTES, NODE_ADDRESS, NodeLan, PACKET_GROUP, PacketLog, WENT_ON, forget_connections,
        set_link,
    };
    pub use outside::Upstream;
}
