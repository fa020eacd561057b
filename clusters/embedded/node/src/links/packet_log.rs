//! Packets that begin a connection and get no further than the node.
//!
//! Rules of the node's log each such packet when it comes and, behind every rule that could stop it, when it goes on
//! (`nfnetlink_log`, known as NFLOG). What came and did not go on was lost on the node, whoever's rule it was.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use netlink_packet_netfilter::nflog::{ConfigCmd, ConfigMode, PacketNla, ULogMessage, config_request};
use netlink_packet_netfilter::{NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};
use netmodel::LostPackets;
use netmodel::lost::Sent;
use netmodel::policy::Protocol;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::netlink::LinkError;

/// The group to which the rules log.
pub const PACKET_GROUP: u16 = 4242;
/// How the rules name a packet that has come.
pub const CAME: &str = "came";
/// How they name one that goes on, to another pod or host or to a program of the node's.
pub const WENT_ON: &str = "went-on";
/// How much of a packet is logged: the longest header of IPv4 and of TCP, in bytes.
pub const LOGGED_BYTES: u32 = 120;

/// Far longer than a packet is on its way through the node.
const ON_ITS_WAY: Duration = Duration::from_millis(5);
/// How many packets can be on their way at once.
const MOST_ON_THEIR_WAY: usize = 1024;
/// How many flows are counted before all of them are forgotten.
const MOST_FLOWS: usize = 4096;
/// Room for packets that are logged faster than they are read, in bytes.
const BUFFER: libc::c_int = 4 << 20;

/// The rules, for `nft`. They judge nothing.
///
/// A packet that comes is logged behind connection tracking and before its address is translated; one that goes on behind
/// the last filter, while its sender's address is still its own.
pub fn rules() -> String {
    let log =
        |word| format!("log prefix \"{word}\" group {PACKET_GROUP} snaplen {LOGGED_BYTES} queue-threshold 1");
    let chain = |name, end, hook, priority, word| {
        let begins = format!("{end} != \"lo\" meta l4proto {{ tcp, udp }} ct state new");
        format!("chain {name} {{ type filter hook {hook} priority {priority}; {begins} {}; }}\n", log(word))
    };
    format!(
        "table ip packet_log {{\n{}{}{}}}\n",
        chain("came", "iifname", "prerouting", "mangle", CAME),
        chain("forwarded", "oifname", "postrouting", "srcnat - 1", WENT_ON),
        chain("delivered", "iifname", "input", "security + 50", WENT_ON),
    )
}

/// What the kernel logs in the network namespace in which this was opened, until it is dropped.
#[derive(Debug)]
pub struct PacketLog {
    questions: mpsc::Sender<oneshot::Sender<BTreeMap<Sent, u64>>>,
    _reader: AbortOnDropHandle<()>,
}

impl PacketLog {
    /// Listens to [`PACKET_GROUP`] in the network namespace of the calling thread, within a runtime.
    ///
    /// # Errors
    /// The kernel's: it logs no packets, or not to us.
    pub async fn open() -> Result<PacketLog, LinkError> {
        let socket = listen()
            .await
            .map_err(|error| LinkError::system("listen to the kernel's log of packets", error))?;
        let (questions, asked) = mpsc::channel(1);
        let reader = AbortOnDropHandle::new(tokio::spawn(read(socket, asked)));
        Ok(PacketLog { questions, _reader: reader })
    }

    /// What was lost so far. Counts begin anew when more was logged than could be read.
    ///
    /// # Errors
    /// That the log could not be read on.
    pub async fn lost(&self) -> Result<Vec<LostPackets>, LinkError> {
        let before = self.counted().await?;
        tokio::time::sleep(ON_ITS_WAY).await;
        let after = self.counted().await?;
        // What was on its way then has arrived by now.
        let lost = before.into_iter().map(|(sent, count)| LostPackets {
            sent,
            packets: count.min(after.get(&sent).copied().unwrap_or(0)),
        });
        Ok(lost.filter(|lost| lost.packets > 0).collect())
    }

    async fn counted(&self) -> Result<BTreeMap<Sent, u64>, LinkError> {
        let (answer, counted) = oneshot::channel();
        // Who no longer reads does not answer either.
        let _ = self.questions.send(answer).await;
        counted.await.map_err(|_| {
            LinkError::system("read the kernel's log of packets", io::Error::from(io::ErrorKind::BrokenPipe))
        })
    }
}

/// A socket to which the kernel logs.
async fn listen() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
    socket.socket_mut().bind_auto()?;
    socket.socket_ref().connect(&SocketAddr::new(0, 0))?;
    socket.socket_ref().set_rx_buf_sz(BUFFER)?;
    let wanted = vec![ConfigCmd::Bind.into(), ConfigMode::new_packet(LOGGED_BYTES).into()];
    let request = config_request(NetfilterProtoFamily::Unspec, PACKET_GROUP, wanted);
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes).await?;
    let (answer, _) = socket.recv_from_full().await?;
    let answer = NetlinkMessage::<NetfilterMessage>::deserialize(&answer)
        .map_err(|error| io::Error::other(error.to_string()))?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.raw_code() != 0 => Err(error.to_io()),
        _ => Ok(socket),
    }
}

/// Counts what is logged, and answers once all that was logged is counted.
async fn read(socket: TokioSocket, mut asked: mpsc::Receiver<oneshot::Sender<BTreeMap<Sent, u64>>>) {
    let mut seen = Seen::default();
    loop {
        let logged = tokio::select! {
            biased;
            logged = socket.recv_from_full() => logged,
            question = asked.recv() => {
                let Some(answer) = question else { return };
                // Who has gone away needs none.
                let _ = answer.send(seen.lost.clone());
                continue;
            }
        };
        match logged {
            Ok((datagram, _)) => sightings(&datagram).for_each(|sighting| seen.note(sighting)),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => seen = Seen::default(),
            Err(error) => return tracing::warn!(%error, "the kernel's log of packets cannot be read on"),
        }
    }
}

/// Where a packet was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Came,
    WentOn,
}

/// One packet at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sighting {
    place: Place,
    sender: Sender,
    sent: Sent,
}

/// What translation leaves as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sender {
    protocol: Protocol,
    address: Ipv4Addr,
    port: u16,
}

/// Packets that have come, but for those that went on.
#[derive(Debug, Default)]
struct Seen {
    lost: BTreeMap<Sent, u64>,
    /// The last that came and have not gone on, oldest first.
    on_their_way: VecDeque<(Sender, Sent)>,
}

impl Seen {
    fn note(&mut self, sighting: Sighting) {
        let Sighting { place, sender, sent } = sighting;
        match place {
            Place::Came => {
                if self.lost.len() >= MOST_FLOWS {
                    *self = Seen::default();
                }
                if self.on_their_way.len() >= MOST_ON_THEIR_WAY {
                    self.on_their_way.pop_front();
                }
                *self.lost.entry(sent).or_default() += 1;
                self.on_their_way.push_back((sender, sent));
            }
            Place::WentOn => {
                // Nobody saw packets of the node's own come.
                let Some(index) = self.on_their_way.iter().rposition(|(other, _)| *other == sender) else {
                    return;
                };
                let came = self.on_their_way.remove(index);
                if let Some(count) = came.and_then(|(_, sent)| self.lost.get_mut(&sent)) {
                    *count -= 1;
                }
            }
        }
    }
}

/// The packets of one datagram of the kernel's.
fn sightings(mut datagram: &[u8]) -> impl Iterator<Item = Sighting> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let message = NetlinkMessage::<NetfilterMessage>::deserialize(datagram).ok()?;
        let length = (message.header.length as usize).next_multiple_of(4).max(16);
        datagram = datagram.get(length..).unwrap_or_default();
        Some(sighting(&message))
    })
    .flatten()
}

fn sighting(message: &NetlinkMessage<NetfilterMessage>) -> Option<Sighting> {
    let NetlinkPayload::InnerMessage(NetfilterMessage {
        inner: NetfilterMessageInner::ULog(ULogMessage::Packet(attributes)),
        ..
    }) = &message.payload
    else {
        return None;
    };
    let prefix = attributes.iter().find_map(|attribute| match attribute {
        PacketNla::Prefix(prefix) => Some(prefix.as_c_str()),
        _ => None,
    });
    let bytes = attributes.iter().find_map(|attribute| match attribute {
        PacketNla::Payload(bytes) => Some(bytes),
        _ => None,
    });
    let (sender, sent) = packet(bytes?)?;
    Some(Sighting { place: place(prefix?)?, sender, sent })
}

fn place(prefix: &CStr) -> Option<Place> {
    match prefix.to_str().ok()? {
        CAME => Some(Place::Came),
        WENT_ON => Some(Place::WentOn),
        _ => None,
    }
}

/// Who sent an IPv4 packet, and where to.
fn packet(bytes: &[u8]) -> Option<(Sender, Sent)> {
    let packet = LaxSlicedPacket::from_ip(bytes).ok()?;
    let Some(LaxNetSlice::Ipv4(network)) = &packet.net else { return None };
    let header = network.header();
    let (from, to) = (header.source_addr(), header.destination_addr());
    let (protocol, from_port, port) = match packet.transport? {
        TransportSlice::Tcp(tcp) => (Protocol::Tcp, tcp.source_port(), tcp.destination_port()),
        TransportSlice::Udp(udp) => (Protocol::Udp, udp.source_port(), udp.destination_port()),
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => return None,
    };
    Some((Sender { protocol, address: from, port: from_port }, Sent { protocol, from, to, port }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;
    use proptest::prelude::*;
    use rstest::rstest;

    const CLIENT: [u8; 4] = [10, 42, 0, 7];
    const SERVICE: [u8; 4] = [10, 43, 0, 9];
    const POD: [u8; 4] = [10, 42, 0, 5];

    fn seen(place: Place, from_port: u16, to: [u8; 4]) -> Sighting {
        let sender = Sender { protocol: Protocol::Tcp, address: CLIENT.into(), port: from_port };
        let sent = Sent { protocol: Protocol::Tcp, from: CLIENT.into(), to: to.into(), port: 9004 };
        Sighting { place, sender, sent }
    }

    fn lost(sightings: &[Sighting]) -> Vec<(Ipv4Addr, u64)> {
        let mut log = Seen::default();
        sightings.iter().for_each(|sighting| log.note(*sighting));
        log.lost.iter().filter(|(_, count)| **count > 0).map(|(sent, count)| (sent.to, *count)).collect()
    }

    #[rstest]
    #[case::goes_on_to_the_pod(&[(Place::Came, 1, SERVICE), (Place::WentOn, 1, POD)], 0)]
    #[case::is_sent_again_and_again(&[(Place::Came, 1, SERVICE), (Place::Came, 1, SERVICE)], 2)]
    #[case::another_goes_on(&[(Place::Came, 1, SERVICE), (Place::Came, 2, SERVICE), (Place::WentOn, 2, POD)], 1)]
    #[case::goes_on_at_last(&[(Place::Came, 1, SERVICE), (Place::Came, 1, SERVICE), (Place::WentOn, 1, POD)], 1)]
    #[case::the_node_s_own(&[(Place::WentOn, 3, POD)], 0)]
    fn what_came_and_did_not_go_on_is_lost(#[case] packets: &[(Place, u16, [u8; 4])], #[case] expected: u64) {
        let packets: Vec<Sighting> =
            packets.iter().map(|(place, port, to)| seen(*place, *port, *to)).collect();
        let expected: Vec<(Ipv4Addr, u64)> =
            (expected > 0).then_some((SERVICE.into(), expected)).into_iter().collect();
        assert_eq!(lost(&packets), expected);
    }

    proptest! {
        /// However packets of several senders come between each other, each that went on is counted out once.
        #[test]
        fn the_count_is_what_came_less_what_went_on(
            packets in prop::collection::vec((0..5u16, any::<bool>()), 0..200),
        ) {
            let mut sightings = Vec::new();
            let mut expected = 0;
            for (sender, goes_on) in packets {
                sightings.push(seen(Place::Came, sender, SERVICE));
                if goes_on {
                    sightings.push(seen(Place::WentOn, sender, POD));
                } else {
                    expected += 1;
                }
            }
            prop_assert_eq!(lost(&sightings).iter().map(|(_, count)| count).sum::<u64>(), expected);
        }
    }

    #[test]
    fn more_flows_than_anybody_counts_are_forgotten_and_counted_anew() {
        let mut log = Seen::default();
        for port in 0..=MOST_FLOWS {
            let mut sighting = seen(Place::Came, 1, SERVICE);
            sighting.sent.port = u16::try_from(port).unwrap();
            log.note(sighting);
        }
        assert_eq!((log.lost.len(), log.on_their_way.len()), (1, 1));
    }

    #[test]
    fn a_packet_is_read_from_its_first_bytes() {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4(CLIENT, SERVICE, 64).udp(40000, 53);
        builder.write(&mut bytes, &[7; 300]).unwrap();
        let (sender, sent) = packet(&bytes[..LOGGED_BYTES as usize]).unwrap();
        assert_eq!(sender, Sender { protocol: Protocol::Udp, address: CLIENT.into(), port: 40000 });
        let expected = Sent { protocol: Protocol::Udp, from: CLIENT.into(), to: SERVICE.into(), port: 53 };
        assert_eq!(sent, expected);
        assert_eq!(packet(&bytes[..10]), None);
        assert_eq!(packet(&[]), None);
    }
}
