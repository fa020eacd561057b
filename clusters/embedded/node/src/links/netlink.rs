//! A blocking rtnetlink socket: several requests in one write, one answer for each.

use std::io;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour_table::{
    NeighbourTableAttribute, NeighbourTableMessage, NeighbourTableParameter,
};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A step of a network set-up that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}")]
pub struct LinkError {
    step: String,
    source: io::Error,
}

impl LinkError {
    pub(crate) fn system(step: impl Into<String>, source: impl Into<io::Error>) -> LinkError {
        LinkError { step: step.into(), source: source.into() }
    }
}

/// Requests collected for one write, each with the words that name it in an error.
#[derive(Default)]
pub(super) struct Batch {
    requests: Vec<(String, u16, RouteNetlinkMessage)>,
}

impl Batch {
    pub(super) fn add_link(&mut self, step: impl Into<String>, link: LinkMessage) -> &mut Batch {
        self.push(step, NLM_F_CREATE | NLM_F_EXCL, RouteNetlinkMessage::NewLink(link))
    }

    pub(super) fn change_link(&mut self, step: impl Into<String>, link: LinkMessage) -> &mut Batch {
        self.push(step, 0, RouteNetlinkMessage::NewLink(link))
    }

    pub(super) fn add_address(&mut self, step: impl Into<String>, address: AddressMessage) -> &mut Batch {
        self.push(step, NLM_F_CREATE | NLM_F_EXCL, RouteNetlinkMessage::NewAddress(address))
    }

    pub(super) fn add_route(&mut self, step: impl Into<String>, route: RouteMessage) -> &mut Batch {
        self.push(step, NLM_F_CREATE | NLM_F_EXCL, RouteNetlinkMessage::NewRoute(route))
    }

    /// The same, also where there is such a route already.
    pub(super) fn put_route(&mut self, step: impl Into<String>, route: RouteMessage) -> &mut Batch {
        self.push(step, NLM_F_CREATE | NLM_F_REPLACE, RouteNetlinkMessage::NewRoute(route))
    }

    /// Lets an interface answer ARP for others at once, where the kernel waits up to 0.8 s. By netlink, because user
    /// namespaces do not show the switch under `/proc/sys/net/ipv4/neigh`.
    pub(super) fn answer_arp_at_once(&mut self, interface: &str, index: u32) -> &mut Batch {
        let mut table = NeighbourTableMessage::default();
        table.header.family = AddressFamily::Inet;
        table.attributes = vec![
            NeighbourTableAttribute::Name("arp_cache".to_owned()),
            NeighbourTableAttribute::Parms(vec![
                NeighbourTableParameter::Ifindex(index),
                NeighbourTableParameter::ProxyDelay(0),
            ]),
        ];
        self.push(format!("set proxy_delay of {interface}"), 0, RouteNetlinkMessage::SetNeighbourTable(table))
    }

    fn push(&mut self, step: impl Into<String>, flags: u16, message: RouteNetlinkMessage) -> &mut Batch {
        self.requests.push((step.into(), flags, message));
        self
    }
}

/// An rtnetlink socket of the network namespace in which it was opened.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
}

impl Netlink {
    pub(super) fn open() -> Result<Netlink, LinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        open()
            .map(|socket| Netlink { socket })
            .map_err(|error: io::Error| LinkError::system("open a netlink socket", error))
    }

    /// Sends all requests and reads all answers; the first refusal is the error. Later requests are carried out all the
    /// same (the kernel does not stop at a refusal), so the caller throws the namespace away.
    pub(super) fn apply(&self, batch: Batch) -> Result<(), LinkError> {
        let mut bytes = Vec::new();
        for (sequence, (_, flags, message)) in batch.requests.iter().enumerate() {
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
            header.sequence_number = u32::try_from(sequence).unwrap_or(u32::MAX);
            let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message.clone()));
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len(), 0);
            message.serialize(&mut bytes[start..]);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        self.socket.send(&bytes, 0).map_err(|error| LinkError::system("write to netlink", error))?;
        let mut answers = 0;
        let mut refused = None;
        while answers < batch.requests.len() {
            let (datagram, _) = self
                .socket
                .recv_from_full()
                .map_err(|error| LinkError::system("read from netlink", error))?;
            for (sequence, outcome) in answers_in(&datagram)? {
                answers += 1;
                if let (Err(error), None) = (outcome, &refused) {
                    let step = batch
                        .requests
                        .get(sequence as usize)
                        .map_or("set links", |(step, _, _)| step.as_str());
                    refused = Some(LinkError::system(step, error));
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

/// The acknowledgements in one datagram: sequence number and outcome.
fn answers_in(datagram: &[u8]) -> Result<Vec<(u32, io::Result<()>)>, LinkError> {
    let mut rest = datagram;
    let mut answers = Vec::new();
    while rest.len() >= 16 {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
            .map_err(|error| LinkError::system("read from netlink", io::Error::other(error.to_string())))?;
        if let NetlinkPayload::Error(error) = &message.payload {
            let outcome = if error.raw_code() == 0 { Ok(()) } else { Err(error.to_io()) };
            answers.push((message.header.sequence_number, outcome));
        }
        let length = (message.header.length as usize).next_multiple_of(4).max(16);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(answers)
}
