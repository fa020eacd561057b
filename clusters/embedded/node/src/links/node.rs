//! The node's own links.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netmodel::profile::Attachment;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::packet_route::route::RouteType;
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};

use super::namespace::Namespace;
use super::netlink::{Batch, LinkError, Netlink};
use super::{BRIDGE_ADDRESS, GATEWAY, NODE_ADDRESS, POD_MTU, sysctl};

pub(super) const LOOPBACK: u32 = 1;
const LAN: u32 = 900;
/// Where clouds tell a machine about itself.
const CLOUD_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
pub(super) const BRIDGE: u32 = 901;

/// How same-node traffic between bridged pods comes before the packet rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bridging {
    /// br_netfilter hands bridged packets to the rules, as on a k3s node.
    Netfilter,
    /// br_netfilter is absent: ports are isolated and the bridge answers ARP for all, so packets are routed.
    Isolated,
}

/// The node's links, up. The outside's namespace lives as long as this value.
#[derive(Debug)]
pub(crate) struct NodeLinks {
    pub(crate) attachment: Attachment,
    pub(crate) bridging: Bridging,
    outside: Namespace,
}

impl NodeLinks {
    /// Sets up the calling process's network namespace, which must be fresh.
    pub(crate) async fn set_up(attachment: Attachment) -> Result<NodeLinks, LinkError> {
        super::blocking(move || {
            let node = Netlink::open()?;
            sysctl::set("ipv4/ip_forward", "1")?;
            sysctl::set("ipv4/icmp_ratelimit", "1000")?;
            sysctl::set_if_there("ipv4/conf/all/rp_filter", "0")?;
            sysctl::set_if_there("ipv4/conf/default/rp_filter", "0")?;
            sysctl::set_if_there("ipv6/conf/all/disable_ipv6", "1")?;
            sysctl::set_if_there("ipv6/conf/default/disable_ipv6", "1")?;
            let bridging = match attachment {
                Attachment::Bridge => choose_bridging(),
                Attachment::Routed => Bridging::Netfilter,
            };
            let mut batch = Batch::default();
            batch.change_link(
                "bring up lo",
                LinkMessageBuilder::<LinkUnspec>::new().index(LOOPBACK).up().build(),
            );
            if attachment == Attachment::Bridge {
                add_bridge(&mut batch);
            }
            node.apply(batch)?;
            let outside = add_outside(&node)?;
            if attachment == Attachment::Routed {
                // Inherited by every pod's link made later: each answers for 169.254.1.1.
                sysctl::set("ipv4/conf/default/proxy_arp", "1")?;
            } else if bridging == Bridging::Isolated {
                sysctl::set("ipv4/conf/cni0/proxy_arp_pvlan", "1")?;
                sysctl::set("ipv4/conf/cni0/send_redirects", "0")?;
                let mut batch = Batch::default();
                batch.answer_arp_at_once("cni0", BRIDGE);
                node.apply(batch)?;
            }
            Ok(NodeLinks { attachment, bridging, outside })
        })
        .await
    }

    /// The network namespace of the outside, where 192.168.50.1 lives.
    pub(crate) fn outside(&self) -> BorrowedFd<'_> {
        self.outside.fd.as_fd()
    }
}

fn choose_bridging() -> Bridging {
    match sysctl::set("bridge/bridge-nf-call-iptables", "1") {
        Ok(()) => Bridging::Netfilter,
        Err(error) => {
            tracing::info!(%error, "bridged packets do not reach the packet rules; pods are isolated and routed instead");
            Bridging::Isolated
        }
    }
}

fn add_bridge(batch: &mut Batch) {
    // A fixed hardware address: a bridge without one takes that of a port, and changes it as pods come and go.
    let bridge = LinkBridge::new("cni0")
        .index(BRIDGE)
        .address(vec![0x0a, 0x58, 0x0a, 0x2a, 0, 1])
        .mtu(POD_MTU)
        .up()
        .build();
    batch.add_link("create the bridge cni0", bridge).add_address(
        "give cni0 its address",
        AddressMessageBuilder::<Ipv4Addr>::new().index(BRIDGE).address(BRIDGE_ADDRESS, 24).build(),
    );
}

/// A node's LAN alone, for a node whose other links are made by programs of its own. The outside lives as long as this value.
#[derive(Debug)]
pub struct NodeLan {
    _outside: Namespace,
}

impl NodeLan {
    /// Gives the calling thread's network namespace, which must be fresh, a loopback that is up, a LAN with
    /// [`NODE_ADDRESS`] and a default route to an outside that answers nothing.
    ///
    /// # Errors
    /// The step that the kernel refused.
    pub fn set_up() -> Result<NodeLan, LinkError> {
        let node = Netlink::open()?;
        sysctl::set("ipv4/ip_forward", "1")?;
        sysctl::set_if_there("bridge/bridge-nf-call-iptables", "1")?;
        sysctl::set_if_there("ipv6/conf/all/disable_ipv6", "1")?;
        sysctl::set_if_there("ipv6/conf/default/disable_ipv6", "1")?;
        let mut batch = Batch::default();
        batch
            .change_link("bring up lo", LinkMessageBuilder::<LinkUnspec>::new().index(LOOPBACK).up().build());
        node.apply(batch)?;
        let lan = NodeLan { _outside: add_outside(&node)? };
        // There is no cloud here, and who looks for one is told at once: rclone waits ten seconds for silence.
        let mut batch = Batch::default();
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(CLOUD_METADATA, 32)
            .kind(RouteType::Unreachable)
            .build();
        batch.add_route("add the route to no cloud", route);
        node.apply(batch)?;
        Ok(lan)
    }
}

/// The LAN: `lan0` on the node, `gw0` in a namespace that forwards nothing. A packet to an address that nobody has is
/// dropped there without a word (a host that does not forward sends no ICMP), so it looks like a black hole, and the
/// node's own routing never answers "network is unreachable".
fn add_outside(node: &Netlink) -> Result<Namespace, LinkError> {
    let outside = Namespace::create()?;

    let mut peer = LinkMessageBuilder::<LinkUnspec>::new().name("gw0").index(LAN).build();
    peer.attributes.push(LinkAttribute::NetNsFd(outside.fd.as_raw_fd()));
    let lan = LinkMessageBuilder::<LinkVeth>::new("lan0", "gw0")
        .index(LAN)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    let address = |address| AddressMessageBuilder::<Ipv4Addr>::new().index(LAN).address(address, 24).build();
    let mut batch = Batch::default();
    batch
        .add_link("create lan0", lan)
        .change_link("bring up lan0", LinkMessageBuilder::<LinkUnspec>::new().index(LAN).up().build())
        .add_address("give lan0 its address", address(NODE_ADDRESS));
    node.apply(batch)?;

    let mut batch = Batch::default();
    batch
        .change_link(
            "bring up lo outside",
            LinkMessageBuilder::<LinkUnspec>::new().index(LOOPBACK).up().build(),
        )
        .change_link("bring up gw0", LinkMessageBuilder::<LinkUnspec>::new().index(LAN).up().build())
        .add_address("give gw0 its address", address(GATEWAY));
    outside.netlink.apply(batch)?;

    let mut batch = Batch::default();
    let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(GATEWAY).output_interface(LAN).build();
    batch.add_route("add the node's default route", route);
    node.apply(batch)?;
    Ok(outside)
}
