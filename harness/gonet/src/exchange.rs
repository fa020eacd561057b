//! One question to one server, over UDP and, when the answer was cut, over TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::dial::dial_tcp;
use crate::errno::{Operation, go_text};
use crate::lookup::LookupFailure;

/// The UDP payload Go announces (RFC 9471 and the DNS flag day).
const PAYLOAD: u16 = 1232;

/// Asks `server` for the addresses of the full name `name`, giving up at `deadline`.
pub(crate) async fn ask(
    server: SocketAddr,
    name: &str,
    record: RecordType,
    deadline: Instant,
) -> Result<Vec<IpAddr>, LookupFailure> {
    let query = question(name, record)?;
    let answer = over_udp(server, &query, deadline).await?;
    let answer = if answer.metadata.truncation { over_tcp(server, &query, deadline).await? } else { answer };
    judge(&answer)
}

fn question(name: &str, record: RecordType) -> Result<Message, LookupFailure> {
    // A name that cannot be written as a question is "no such host" to Go, without a packet.
    let name = Name::from_ascii(name).map_err(|_| LookupFailure::NotFound)?;
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, record));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.set_edns(edns);
    Ok(message)
}

async fn over_udp(server: SocketAddr, query: &Message, deadline: Instant) -> Result<Message, LookupFailure> {
    let dial_timeout = || LookupFailure::Timeout(format!("dial udp {server}: i/o timeout"));
    if Instant::now() >= deadline {
        // The caller's own deadline ended the search before this try could open its socket.
        return Err(dial_timeout());
    }
    let dial = |error: io::Error| {
        LookupFailure::Socket(format!("dial udp {server}: {}", go_text(Operation::Connect, &error)))
    };
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(dial)?;
    socket.connect(server).await.map_err(dial)?;
    let local = socket.local_addr().map_err(dial)?;
    let path = format!("udp {local}->{server}");
    let bytes = query.to_vec().map_err(|_| LookupFailure::Malformed)?;
    socket.send(&bytes).await.map_err(|error| {
        LookupFailure::Socket(format!("write {path}: {}", go_text(Operation::Write, &error)))
    })?;
    let mut buffer = vec![0; usize::from(PAYLOAD)];
    loop {
        let Ok(received) = tokio::time::timeout_at(deadline, socket.recv(&mut buffer)).await else {
            return Err(LookupFailure::Timeout(format!("read {path}: i/o timeout")));
        };
        let length = received.map_err(|error| {
            LookupFailure::Socket(format!("read {path}: {}", go_text(Operation::Read, &error)))
        })?;
        // Anything that is not the answer to this very question is ignored, as Go ignores it.
        if let Some(answer) = parse(&buffer[..length], query) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &Message, deadline: Instant) -> Result<Message, LookupFailure> {
    let limit = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream = dial_tcp(server, limit).await.map_err(|error| match error.errno() {
        None => LookupFailure::Timeout(error.to_string()),
        Some(_) => LookupFailure::Socket(error.to_string()),
    })?;
    let local = stream.local_addr().map_err(|error| LookupFailure::Socket(error.to_string()))?;
    let talk = async {
        let bytes = query.to_vec().map_err(io::Error::other)?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let path = format!("read tcp {local}->{server}");
    match tokio::time::timeout_at(deadline, talk).await {
        Err(_) => Err(LookupFailure::Timeout(format!("{path}: i/o timeout"))),
        Ok(Err(error)) => Err(LookupFailure::Socket(format!("{path}: {}", go_text(Operation::Read, &error)))),
        Ok(Ok(bytes)) => parse(&bytes, query).ok_or(LookupFailure::Malformed),
    }
}

fn parse(bytes: &[u8], query: &Message) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let same_question = match (answer.queries.first(), query.queries.first()) {
        (Some(one), Some(other)) => one.name == other.name && one.query_type == other.query_type,
        _ => false,
    };
    let is_answer = answer.metadata.message_type == MessageType::Response;
    (is_answer && answer.metadata.id == query.metadata.id && same_question).then_some(answer)
}

/// Go's `checkHeader` and `skipToAnswer`: what an answer means.
fn judge(answer: &Message) -> Result<Vec<IpAddr>, LookupFailure> {
    let header = &answer.metadata;
    let nothing_at_all = answer.answers.is_empty() && answer.additionals.is_empty() && answer.edns.is_none();
    match header.response_code {
        ResponseCode::NXDomain => return Err(LookupFailure::NotFound),
        ResponseCode::NoError if !header.authoritative && !header.recursion_available && nothing_at_all => {
            return Err(LookupFailure::LameReferral);
        }
        ResponseCode::NoError => {}
        ResponseCode::ServFail => return Err(LookupFailure::ServerFailure),
        _ => return Err(LookupFailure::Misbehaving),
    }
    let addresses: Vec<IpAddr> = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .collect();
    if addresses.is_empty() { Err(LookupFailure::NotFound) } else { Ok(addresses) }
}
