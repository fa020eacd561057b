//! What the kernel remembers of connections, in the network namespace of the calling thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_netfilter::conntrack::{ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Tuple};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::netlink::LinkError;

/// Forgets the connections to `port` of `address`, whatever address their clients dialled, and says how many there were.
///
/// Neither end is told. The kernel takes the next packet of a TCP connection that it does not know for the first of a new
/// one (`nf_conntrack_tcp_loose`): its Service's address is translated once more, and policies judge it.
///
/// # Errors
/// The kernel's.
pub fn forget_connections(address: Ipv4Addr, port: u16) -> Result<usize, LinkError> {
    let memory = Memory::open()?;
    let mut forgotten = 0;
    for connection in memory.all()?.iter().filter(|connection| is_answered_by(connection, address, port)) {
        forgotten += usize::from(memory.forget(connection)? == Forgotten::Now);
    }
    Ok(forgotten)
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgotten {
    /// It was removed.
    Now,
    /// It had gone since it was listed.
    Before,
}

/// Whether answers come from `port` of `address`.
fn is_answered_by(connection: &[ConntrackAttribute], address: Ipv4Addr, port: u16) -> bool {
    let answers = connection.iter().find_map(|attribute| match attribute {
        ConntrackAttribute::CtaTupleReply(tuples) => Some(tuples),
        _ => None,
    });
    let answers = answers.map_or(&[][..], Vec::as_slice);
    let from_address = answers.iter().any(
        |tuple| matches!(tuple, Tuple::Ip(parts) if parts.contains(&IPTuple::SourceAddress(IpAddr::V4(address)))),
    );
    let from_port = answers
        .iter()
        .any(|tuple| matches!(tuple, Tuple::Proto(parts) if parts.contains(&ProtoTuple::SourcePort(port))));
    from_address && from_port
}

/// The kernel's table of connections.
struct Memory {
    socket: Socket,
}

impl Memory {
    fn open() -> Result<Memory, LinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(Memory { socket })
        };
        open().map_err(|error: io::Error| LinkError::system("open a netfilter socket", error))
    }

    fn all(&self) -> Result<Vec<Vec<ConntrackAttribute>>, LinkError> {
        self.ask(NLM_F_DUMP, ConntrackMessage::Get(Vec::new()))
            .map_err(|error| LinkError::system("list the connections that the kernel tracks", error))
    }

    fn forget(&self, connection: &[ConntrackAttribute]) -> Result<Forgotten, LinkError> {
        let named =
            connection.iter().filter(|attribute| matches!(attribute, ConntrackAttribute::CtaTupleOrig(_)));
        match self.ask(NLM_F_ACK, ConntrackMessage::Delete(named.cloned().collect())) {
            Ok(_) => Ok(Forgotten::Now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Forgotten::Before),
            Err(error) => Err(LinkError::system("let the kernel forget a connection", error)),
        }
    }

    /// Sends one request and reads its answer to the end.
    fn ask(&self, flags: u16, request: ConntrackMessage) -> io::Result<Vec<Vec<ConntrackAttribute>>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let request = NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::IPv4, 0, 0), request);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut listed = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let answer = NetlinkMessage::<NetfilterMessage>::deserialize(rest)
                    .map_err(|error| io::Error::other(error.to_string()))?;
                match answer.payload {
                    NetlinkPayload::Done(_) => return Ok(listed),
                    NetlinkPayload::Error(error) if error.raw_code() == 0 => return Ok(listed),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(NetfilterMessage {
                        inner: NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)),
                        ..
                    }) => listed.push(attributes),
                    _ => {}
                }
                let length = (answer.header.length as usize).next_multiple_of(4).max(16);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_netfilter::conntrack::Protocol;
    use rstest::rstest;

    fn tuple(from: [u8; 4], port: u16, to: [u8; 4], to_port: u16) -> Vec<Tuple> {
        vec![
            Tuple::Ip(vec![
                IPTuple::SourceAddress(IpAddr::from(from)),
                IPTuple::DestinationAddress(IpAddr::from(to)),
            ]),
            Tuple::Proto(vec![
                ProtoTuple::Protocol(Protocol::Tcp),
                ProtoTuple::SourcePort(port),
                ProtoTuple::DestinationPort(to_port),
            ]),
        ]
    }

    #[rstest]
    #[case::dialled_by_its_service([10, 42, 0, 5], 9004, true)]
    #[case::another_port([10, 42, 0, 5], 9002, false)]
    #[case::another_pod([10, 42, 0, 6], 9004, false)]
    #[case::the_client([10, 42, 0, 7], 40000, false)]
    #[case::the_service([10, 43, 0, 9], 9004, false)]
    fn a_connection_is_known_by_who_answers(
        #[case] address: [u8; 4],
        #[case] port: u16,
        #[case] known: bool,
    ) {
        let connection = [
            ConntrackAttribute::CtaTupleOrig(tuple([10, 42, 0, 7], 40000, [10, 43, 0, 9], 9004)),
            ConntrackAttribute::CtaTupleReply(tuple([10, 42, 0, 5], 9004, [10, 42, 0, 7], 40000)),
        ];
        assert_eq!(is_answered_by(&connection, address.into(), port), known);
    }
}
