//! A link's end on the node, up or down.

use rtnetlink::{LinkMessageBuilder, LinkUnspec};
use serde::{Deserialize, Serialize};

use super::netlink::{Batch, LinkError, Netlink};

/// Whether a link carries packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It does.
    Up,
    /// It does not, and the kernel has removed the node's routes through it. Its other end has lost its carrier.
    Down,
}

/// Sets the link called `interface` of the calling thread's network namespace.
///
/// # Errors
/// The kernel's, when there is no such link.
pub fn set_link(interface: &str, state: LinkState) -> Result<(), LinkError> {
    let link = LinkMessageBuilder::<LinkUnspec>::new().name(interface);
    let (step, link) = match state {
        LinkState::Up => ("up", link.up()),
        LinkState::Down => ("down", link.down()),
    };
    let mut batch = Batch::default();
    batch.change_link(format!("set {interface} {step}"), link.build());
    Netlink::open()?.apply(batch)
}
