//! The node's links: loopback, the LAN to the outside, the pods' bridge (or routes), and one network namespace per pod.
//!
//! Everything is set by netlink and by writes under `/proc/sys/net`; nothing here forks or runs a program.

mod addresses;
mod conntrack;
mod namespace;
mod netlink;
mod node;
mod packet_log;
mod pod;
mod state;
mod sysctl;

pub(crate) use addresses::Addresses;
pub use conntrack::forget_connections;
pub use netlink::LinkError;
pub use node::NodeLan;
pub(crate) use node::{Bridging, NodeLinks};
pub use packet_log::{CAME, LOGGED_BYTES, PACKET_GROUP, PacketLog, WENT_ON, rules as packet_log_rules};
pub(crate) use pod::PodLink;
pub use state::{LinkState, set_link};

use std::net::Ipv4Addr;

/// The node's own address on its LAN; what `hostIP` and the Node object show.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 10);
/// The LAN's gateway, in the outside's namespace. Whatever is sent beyond it is swallowed in silence.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
/// The address of the pods' bridge: what a pod sees when its node talks to it (flannel).
pub const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 1);
/// The next hop in a routed pod (Calico): nobody's address, answered by proxy ARP.
pub(crate) const ROUTED_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The MTU of a pod's link on k3s: 1500 less the VXLAN header.
pub(crate) const POD_MTU: u32 = 1450;

/// Runs blocking set-up work off the runtime's worker threads. It stays in the node's network namespace.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LinkError> + Send + 'static,
) -> Result<T, LinkError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(LinkError::system("set up links", std::io::Error::other(error.to_string())))
    })
}
