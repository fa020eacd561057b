//! The resolver of the outside, with manners that can be changed at run time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::message::{Request, Transport, address_record, code_word, normal, read_request, to_name};

/// TTL of the addresses it answers, in seconds.
const TTL: u32 = 300;

/// How many ports are tried where any will do.
const PORTS_TRIED: usize = 64;

/// How the resolver treats every question.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Mode {
    /// NXDOMAIN, with the root's SOA, for every name but those of the table.
    Honest(BTreeMap<String, Vec<IpAddr>>),
    /// Every A question is answered with one address, every other with nothing (NODATA).
    Hijack(Ipv4Addr),
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// NOERROR without a single record.
    Empty,
    /// No answer at all.
    Silent,
}

impl Mode {
    /// NXDOMAIN for everything.
    #[must_use]
    pub fn honest() -> Mode {
        Mode::Honest(BTreeMap::new())
    }
}

/// One question that reached the resolver.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Question {
    /// When it came.
    pub at: SystemTime,
    /// Who asked.
    pub from: IpAddr,
    /// The name in lower case with a closing dot.
    pub name: String,
    /// What was asked for, such as `A`.
    pub kind: String,
    /// How it came.
    pub transport: Transport,
    /// The code of the answer; `None` when there was none.
    pub code: Option<String>,
    /// How many records the answer had.
    pub answers: usize,
}

struct Shared {
    mode: Mutex<Mode>,
    questions: Mutex<Vec<Question>>,
}

/// The resolver; it answers until it is dropped.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Upstream {
    /// Opens UDP and TCP on `address` (port 0: any port, the same for both) in the network namespace of the caller.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(address: SocketAddr, mode: Mode) -> std::io::Result<Upstream> {
        let (udp, tcp) = bind_both(address).await?;
        let address = udp.local_addr()?;
        let shared = Arc::new(Shared { mode: Mutex::new(mode), questions: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(datagrams(udp, shared.clone()));
        tasks.spawn(streams(tcp, shared.clone()));
        Ok(Upstream { address, shared, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the manners; the next question is treated so.
    pub fn set_mode(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = mode;
    }

    /// The manners in force.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.shared.mode.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Every question so far, oldest first.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        self.shared.questions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn answer(&self, request: &Request) -> Option<Vec<u8>> {
        let mode = self.mode.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let reply = reply(&mode, request);
        let question = Question {
            at: SystemTime::now(),
            from: request.client,
            name: request.name.clone(),
            kind: request.kind.to_string(),
            transport: request.transport,
            code: reply.as_ref().map(|reply| code_word(reply.metadata.response_code).to_owned()),
            answers: reply.as_ref().map_or(0, |reply| reply.answers.len()),
        };
        self.questions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(question);
        request.encode(reply?)
    }
}

/// UDP and TCP of one port. The kernel knows no "a port free in both": one found in the first may be taken in the
/// second, and then the next is tried.
async fn bind_both(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut taken = Vec::new();
    loop {
        let udp = UdpSocket::bind(address).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            // Held until the end, so that the kernel offers another.
            Err(error) if address.port() == 0 && error.kind() == std::io::ErrorKind::AddrInUse => {
                taken.push(udp)
            }
            Err(error) => return Err(error),
        }
        if taken.len() == PORTS_TRIED {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
    }
}

/// The answer of a resolver of these manners, RA set; `None` for silence.
fn reply(mode: &Mode, request: &Request) -> Option<Message> {
    let with = |code| {
        let mut reply = request.reply(code);
        reply.metadata.recursion_available = true;
        reply
    };
    match mode {
        Mode::Silent => None,
        Mode::ServFail => Some(with(ResponseCode::ServFail)),
        Mode::Refused => Some(with(ResponseCode::Refused)),
        Mode::Empty => Some(with(ResponseCode::NoError)),
        Mode::Hijack(address) => {
            let mut reply = with(ResponseCode::NoError);
            if request.kind == RecordType::A {
                reply.add_answer(address_record(&request.asked, TTL, IpAddr::V4(*address)));
            }
            Some(reply)
        }
        Mode::Honest(table) => {
            let known = table.iter().find(|(host, _)| normal(host) == request.name);
            let mut reply =
                with(if known.is_some() { ResponseCode::NoError } else { ResponseCode::NXDomain });
            for address in known.iter().flat_map(|(_, addresses)| addresses.iter()) {
                if matches!(
                    (request.kind, address),
                    (RecordType::A, IpAddr::V4(_)) | (RecordType::AAAA, IpAddr::V6(_))
                ) {
                    reply.add_answer(address_record(&request.asked, TTL, *address));
                }
            }
            if reply.answers.is_empty() {
                reply.authorities.extend(root_authority());
            }
            Some(reply)
        }
    }
}

fn root_authority() -> Option<Record> {
    let (server, mailbox) = (to_name("a.root-servers.net.")?, to_name("nstld.verisign-grs.com.")?);
    let soa = SOA::new(server, mailbox, 2_025_010_100, 1800, 900, 604_800, 86400);
    Some(Record::from_rdata(Name::root(), 86400, RData::SOA(soa)))
}

async fn datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = vec![0; 65535];
    loop {
        let Ok((size, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(request) = read_request(&buffer[..size], from, Transport::Udp) else { continue };
        if let Some(bytes) = shared.answer(&request) {
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}

async fn streams(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, from)) = accepted {
                    connections.spawn(stream_of(stream, from, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn stream_of(mut stream: TcpStream, from: SocketAddr, shared: Arc<Shared>) {
    while let Ok(size) = stream.read_u16().await {
        let mut buffer = vec![0; usize::from(size)];
        if stream.read_exact(&mut buffer).await.is_err() {
            return;
        }
        let Some(request) = read_request(&buffer, from, Transport::Tcp) else { return };
        let Some(bytes) = shared.answer(&request) else { continue };
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        if stream.write_all(&[&length[..], &bytes].concat()).await.is_err() {
            return;
        }
    }
}
