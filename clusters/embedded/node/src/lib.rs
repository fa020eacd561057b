//! One node of the embedded cluster: kubelet, container runtime and kube-proxy, in one process.
//!
//! * [`Node`] starts it all, given [`NodeSettings`] and a client of the API server.
//! * Pods are processes in namespaces of their own; see [`container_init`], the small program that makes them.
//! * Images hold no layers: a [`ProgramImage`] says which programs a container has, the rest is the host's.
//! * Statuses, events and messages are those of kubelet 1.33; the rules in the kernel are those of `netmodel`.
//!
//! IPv4 only. Not supported: HTTPS probes, users other than root, resource limits, block devices, ephemeral containers.

mod container;
mod images;
mod kubelet;
mod links;
mod logs;
mod node;
mod proxy;
mod requests;
mod settings;
mod shared;

pub use container::{CONTAINER_INIT, Program, container_init};
pub use links::{
    BRIDGE_ADDRESS, CAME, GATEWAY, LOGGED_BYTES, LinkError, LinkState, NODE_ADDRESS, NodeLan, PACKET_GROUP,
    PacketLog, WENT_ON, forget_connections, packet_log_rules, set_link,
};
pub use node::{Node, StartError};
pub use proxy::{NFT_ARGUMENTS, NftError, RulesState, first_rules};
pub use settings::{NodeSettings, ProgramImage, TokenIssuer};
