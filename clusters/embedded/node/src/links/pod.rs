//! A pod's network namespace and its link to the node.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use netmodel::profile::Attachment;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{
    AddressMessageBuilder, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};

use super::namespace::Namespace;
use super::netlink::{Batch, LinkError, Netlink};
use super::node::{BRIDGE, Bridging, LOOPBACK, NodeLinks};
use super::state::{LinkState, set_link};
use super::{BRIDGE_ADDRESS, NODE_ADDRESS, POD_MTU, ROUTED_GATEWAY};

/// Interface numbers on the node's side, never used twice: a number that came again could be mixed up with a dying link.
static NEXT_INDEX: AtomicU32 = AtomicU32::new(1000);
/// `eth0` in every pod.
const ETH0: u32 = 2;

/// A pod's network namespace, held open. Dropping it (and ending the pod's processes) removes link and namespace.
#[derive(Debug)]
pub(crate) struct PodLink {
    namespace: Namespace,
    end: NodeEnd,
    /// The pod's address.
    pub(crate) address: Ipv4Addr,
}

/// A pod's link, as the node sees it.
#[derive(Debug, Clone)]
struct NodeEnd {
    interface: String,
    index: u32,
    attachment: Attachment,
}

impl NodeEnd {
    fn set(&self, address: Ipv4Addr, state: LinkState) -> Result<(), LinkError> {
        set_link(&self.interface, state)?;
        if (state, self.attachment) == (LinkState::Up, Attachment::Routed) {
            // The kernel removed it when the link went down; felix puts its own back, too.
            let mut batch = Batch::default();
            batch.put_route(format!("route {address} to its pod again"), self.route(address));
            Netlink::open()?.apply(batch)?;
        }
        Ok(())
    }

    fn route(&self, address: Ipv4Addr) -> RouteMessage {
        RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .output_interface(self.index)
            .scope(RouteScope::Link)
            .pref_source(NODE_ADDRESS)
            .build()
    }
}

impl PodLink {
    /// Makes a namespace with `lo` and `eth0`, and hangs it on the node.
    pub(crate) async fn create(node: &NodeLinks, address: Ipv4Addr) -> Result<PodLink, LinkError> {
        let (attachment, bridging) = (node.attachment, node.bridging);
        super::blocking(move || {
            let index = NEXT_INDEX.fetch_add(1, Ordering::Relaxed);
            let interface = match attachment {
                Attachment::Bridge => format!("veth{index:08x}"),
                Attachment::Routed => format!("cali{index:011x}"),
            };
            let node = Netlink::open()?;
            let namespace = Namespace::create()?;
            node.apply(node_side(&interface, index, &namespace, attachment, bridging))?;
            namespace.netlink.apply(pod_side(address, attachment))?;
            let end = NodeEnd { interface, index, attachment };
            if attachment == Attachment::Routed {
                let mut batch = Batch::default();
                batch
                    .add_route(format!("route {address} to its pod"), end.route(address))
                    .answer_arp_at_once(&end.interface, index);
                node.apply(batch)?;
            }
            Ok(PodLink { namespace, end, address })
        })
        .await
    }

    /// Takes the node's end of the link down, or up again.
    pub(crate) async fn set(&self, state: LinkState) -> Result<(), LinkError> {
        let (end, address) = (self.end.clone(), self.address);
        super::blocking(move || end.set(address, state)).await
    }

    /// The namespace, to be entered by the pod's processes.
    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.fd.as_fd()
    }
}

fn node_side(
    interface: &str,
    index: u32,
    namespace: &Namespace,
    attachment: Attachment,
    bridging: Bridging,
) -> Batch {
    let mut peer = LinkMessageBuilder::<LinkUnspec>::new().name("eth0").index(ETH0).mtu(POD_MTU).build();
    peer.attributes.push(LinkAttribute::NetNsFd(namespace.fd.as_raw_fd()));
    let mut link = LinkMessageBuilder::<LinkVeth>::new(interface, "eth0")
        .index(index)
        .mtu(POD_MTU)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
    match attachment {
        Attachment::Bridge => link = link.controller(BRIDGE),
        Attachment::Routed => link = link.address(vec![0xee; 6]),
    }
    let mut batch = Batch::default();
    batch.add_link(format!("create {interface}"), link.build());
    if attachment == Attachment::Bridge {
        let port = LinkBridgePort::new(index).hairpin(true).isolated(bridging == Bridging::Isolated);
        batch.change_link(format!("set up {interface} as a port of cni0"), port.build());
    }
    batch.change_link(
        format!("bring up {interface}"),
        LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build(),
    );
    batch
}

fn pod_side(address: Ipv4Addr, attachment: Attachment) -> Batch {
    let mut batch = Batch::default();
    batch
        .change_link(
            "bring up a pod's lo",
            LinkMessageBuilder::<LinkUnspec>::new().index(LOOPBACK).up().build(),
        )
        .change_link(
            "bring up a pod's eth0",
            LinkMessageBuilder::<LinkUnspec>::new().index(ETH0).up().build(),
        );
    let (prefix, gateway) = match attachment {
        Attachment::Bridge => (24, BRIDGE_ADDRESS),
        Attachment::Routed => (32, ROUTED_GATEWAY),
    };
    let own = AddressMessageBuilder::<Ipv4Addr>::new().index(ETH0).address(address, prefix).build();
    batch.add_address("give a pod's eth0 its address", own);
    if attachment == Attachment::Routed {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(gateway, 32)
            .output_interface(ETH0)
            .scope(RouteScope::Link);
        batch.add_route("add a pod's route to its gateway", route.build());
    }
    let default = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(ETH0).build();
    batch.add_route("add a pod's default route", default);
    batch
}
