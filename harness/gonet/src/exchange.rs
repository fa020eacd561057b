//! One exchange of a resolver walk over sockets: a question over UDP and, where an answer was cut, over TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType as WireType};
use netmodel::resolve::{Cut, Exchange, RecordType, Reply, Take, Vouched};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

use crate::dial::dial_tcp;
use crate::errno::{Operation, go_text};
use crate::lookup::LookupFailure;
use crate::walk::Line;

/// What fits into a datagram for programs that announce no payload.
const BUFFER: u16 = 4096;

/// What came of an exchange: for the walk, and in Go's words where no server said it.
pub(crate) struct End {
    pub(crate) reply: Reply,
    pub(crate) failure: Option<LookupFailure>,
}

/// Holds `exchange` to its end.
pub(crate) async fn hold(exchange: &Exchange, line: &Line) -> End {
    // A name that cannot be written as a question does not exist, to all four programs, without a packet.
    let Some(query) = question(exchange) else { return End { reply: Reply::NxDomain, failure: None } };
    match asked(exchange, &query, line).await {
        Ok(answer) => End { reply: read(&answer, exchange), failure: None },
        Err(failure) => End { reply: failed(&failure), failure: Some(failure) },
    }
}

async fn asked(exchange: &Exchange, query: &Message, line: &Line) -> Result<Message, LookupFailure> {
    let answer = over_udp(exchange, query, line).await?;
    match exchange.cut {
        Cut::AskOverTcp if answer.metadata.truncation => over_tcp(exchange, query, line).await,
        Cut::AskOverTcp | Cut::TakeAsIs => Ok(answer),
    }
}

fn failed(failure: &LookupFailure) -> Reply {
    if matches!(failure, LookupFailure::Timeout(_)) { Reply::Timeout } else { Reply::Unreachable }
}

fn question(exchange: &Exchange) -> Option<Message> {
    let record = match exchange.question.record {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Txt => WireType::TXT,
    };
    let name = Name::from_ascii(format!("{}.", exchange.question.name)).ok()?;
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, record));
    if let Some(payload) = exchange.payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        message.set_edns(edns);
    }
    Some(message)
}

async fn over_udp(exchange: &Exchange, query: &Message, line: &Line) -> Result<Message, LookupFailure> {
    let server = line.server(exchange);
    let dial_timeout = || LookupFailure::Timeout(format!("dial udp {server}: i/o timeout"));
    let until = line.until(exchange);
    if Instant::now() >= until {
        // The caller's own deadline ended the search before this try could open its socket.
        return Err(dial_timeout());
    }
    let bytes = query.to_vec().map_err(|_| LookupFailure::Malformed)?;
    match Caller::open(server).await {
        Ok(caller) => {
            let resend = exchange.resend.map_or(Duration::MAX, |resend| line.pace.network(resend));
            let talk = caller.talk(exchange, query, &bytes, resend);
            tokio::time::timeout_at(until, talk).await.unwrap_or_else(|_| Err(caller.timed_out()))
        }
        // A program that does not look at errors of its socket waits as if it were silent.
        Err(failure) if exchange.take(&failed(&failure), 0) == Take::Ignore => {
            tokio::time::sleep_until(until).await;
            Err(dial_timeout())
        }
        Err(failure) => Err(failure),
    }
}

/// A socket that is connected to one server.
struct Caller {
    socket: UdpSocket,
    /// `udp <local>-><server>`, as Go prints a connection.
    path: String,
}

impl Caller {
    async fn open(server: SocketAddr) -> Result<Caller, LookupFailure> {
        let dial = |error: io::Error| {
            LookupFailure::Socket(format!("dial udp {server}: {}", go_text(Operation::Connect, &error)))
        };
        let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await.map_err(dial)?;
        socket.connect(server).await.map_err(dial)?;
        let path = format!("udp {}->{server}", socket.local_addr().map_err(dial)?);
        Ok(Caller { socket, path })
    }

    /// Sends the question, again by the clock where the program does, until something arrives that it looks at.
    async fn talk(
        &self,
        exchange: &Exchange,
        query: &Message,
        bytes: &[u8],
        resend: Duration,
    ) -> Result<Message, LookupFailure> {
        loop {
            if let Ok(end) = tokio::time::timeout(resend, self.round(exchange, query, bytes)).await {
                return end;
            }
        }
    }

    /// One datagram and what comes of it.
    async fn round(
        &self,
        exchange: &Exchange,
        query: &Message,
        bytes: &[u8],
    ) -> Result<Message, LookupFailure> {
        let mut unsent = self.send(bytes).await.err();
        let mut failures = 0;
        loop {
            let heard = match unsent.take() {
                Some(failure) => Err(failure),
                None => self.hear(exchange, query).await,
            };
            let reply = heard.as_ref().map_or_else(failed, |answer| read(answer, exchange));
            match exchange.take(&reply, failures) {
                Take::Report => return heard,
                Take::AskAgain => {
                    failures += 1;
                    unsent = self.send(bytes).await.err();
                }
                Take::Ignore => {}
            }
        }
    }

    async fn send(&self, bytes: &[u8]) -> Result<(), LookupFailure> {
        let sent = self.socket.send(bytes).await;
        sent.map(|_| ()).map_err(|error| self.broken("write", Operation::Write, &error))
    }

    /// The next answer to this very question; what answers something else is passed over.
    async fn hear(&self, exchange: &Exchange, query: &Message) -> Result<Message, LookupFailure> {
        let mut buffer = vec![0; usize::from(exchange.payload.unwrap_or(BUFFER))];
        loop {
            let length = self.socket.recv(&mut buffer).await;
            let length = length.map_err(|error| self.broken("read", Operation::Read, &error))?;
            if let Some(answer) = parse(&buffer[..length], query) {
                return Ok(answer);
            }
        }
    }

    fn broken(&self, verb: &str, operation: Operation, error: &io::Error) -> LookupFailure {
        LookupFailure::Socket(format!("{verb} {}: {}", self.path, go_text(operation, error)))
    }

    fn timed_out(&self) -> LookupFailure {
        LookupFailure::Timeout(format!("read {}: i/o timeout", self.path))
    }
}

async fn over_tcp(exchange: &Exchange, query: &Message, line: &Line) -> Result<Message, LookupFailure> {
    let server = line.server(exchange);
    let until = line.until(exchange);
    let limit = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream = dial_tcp(server, limit).await.map_err(|error| match error.errno() {
        None => LookupFailure::Timeout(error.to_string()),
        Some(_) => LookupFailure::Socket(error.to_string()),
    })?;
    let local = stream.local_addr().map_err(|error| LookupFailure::Socket(error.to_string()))?;
    let path = format!("read tcp {local}->{server}");
    match tokio::time::timeout_at(until, stream_round(&mut stream, query)).await {
        Err(_) => Err(LookupFailure::Timeout(format!("{path}: i/o timeout"))),
        Ok(Err(error)) => Err(LookupFailure::Socket(format!("{path}: {}", go_text(Operation::Read, &error)))),
        Ok(Ok(bytes)) => parse(&bytes, query).ok_or(LookupFailure::Malformed),
    }
}

/// One question and one answer, each behind its length.
async fn stream_round(stream: &mut TcpStream, query: &Message) -> io::Result<Vec<u8>> {
    let bytes = query.to_vec().map_err(io::Error::other)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// `None` for a datagram that answers something else.
fn parse(bytes: &[u8], query: &Message) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let same_question = match (answer.queries.first(), query.queries.first()) {
        (Some(one), Some(other)) => one.name == other.name && one.query_type == other.query_type,
        _ => false,
    };
    let is_answer = answer.metadata.message_type == MessageType::Response;
    (is_answer && answer.metadata.id == query.metadata.id && same_question).then_some(answer)
}

/// Sorts an answer for the walk.
fn read(answer: &Message, exchange: &Exchange) -> Reply {
    let wanted = exchange.question.record;
    let text = answer.answers.iter().any(|record| matches!(record.data, RData::TXT(_)));
    let code = u16::from(answer.metadata.response_code) as u8;
    if wanted == RecordType::Txt && text && code == 0 {
        return Reply::Records;
    }
    let addresses = answer.answers.iter().filter_map(|record| match (&record.data, wanted) {
        (RData::A(address), RecordType::A) => Some(IpAddr::V4(address.0)),
        (RData::AAAA(address), RecordType::Aaaa) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    let flags = &answer.metadata;
    let additional = !answer.additionals.is_empty() || answer.edns.is_some();
    let vouched = if flags.authoritative || flags.recursion_available || additional {
        Vouched::Yes
    } else {
        Vouched::No
    };
    Reply::classify(code, vouched, addresses.collect(), answer.answers.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::A;
    use netmodel::resolve::{Family, ResolvConf, Stack, Step, Walk};
    use pace::Pace;

    /// The first exchange of a look-up of `x.` at a server on loopback.
    fn exchange(stack: Stack) -> Exchange {
        let mut walk = Walk::new(&ResolvConf::parse("nameserver 127.0.0.1\n"), stack, "x.", Family::V4);
        match walk.step() {
            Step::Ask(mut exchanges) => exchanges.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// Answers each question with the next of `codes`, after a datagram that answers nothing.
    async fn reply(stack: Stack, codes: &[ResponseCode]) -> (Reply, usize) {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let asked = std::cell::Cell::new(0);
        let answering = async {
            for code in codes {
                let mut buffer = [0; 512];
                let (length, client) = server.recv_from(&mut buffer).await.unwrap();
                asked.set(asked.get() + 1);
                server.send_to(b"noise", client).await.unwrap();
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let mut answer = Message::response(query.metadata.id, OpCode::Query);
                answer.metadata.authoritative = true;
                answer.metadata.response_code = *code;
                answer.add_query(query.queries[0].clone());
                server.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let exchange = exchange(stack);
        let line = Line { port, ..Line::new(Pace::REAL) };
        tokio::select! {
            end = hold(&exchange, &line) => (end.reply, asked.get()),
            () = answering => unreachable!("it never ends"),
        }
    }

    #[tokio::test]
    async fn what_answers_nothing_is_passed_over() {
        assert_eq!(reply(Stack::Glibc, &[ResponseCode::NXDomain]).await, (Reply::NxDomain, 1));
        assert_eq!(reply(Stack::Glibc, &[ResponseCode::NoError]).await, (Reply::NoData, 1));
    }

    #[tokio::test]
    async fn musl_asks_again_after_a_server_failure() {
        let codes = [ResponseCode::ServFail, ResponseCode::ServFail, ResponseCode::NXDomain];
        assert_eq!(reply(Stack::Musl, &codes).await, (Reply::NxDomain, 3));
    }

    /// Cuts the answer over UDP and gives an address over TCP.
    async fn cut_reply(stack: Stack) -> Reply {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = UdpSocket::bind(address).await.unwrap();
        let answering = async {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::response(query.metadata.id, OpCode::Query);
            answer.metadata.authoritative = true;
            answer.metadata.truncation = true;
            answer.add_query(query.queries[0].clone());
            server.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut buffer = vec![0; usize::from(length)];
            stream.read_exact(&mut buffer).await.unwrap();
            answer.metadata.truncation = false;
            let name = query.queries[0].name.clone();
            answer.add_answer(Record::from_rdata(name, 5, RData::A(A::new(10, 43, 0, 7))));
            let bytes = answer.to_vec().unwrap();
            stream.write_u16(bytes.len() as u16).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            std::future::pending::<()>().await;
        };
        let (exchange, line) = (exchange(stack), Line { port: address.port(), ..Line::new(Pace::REAL) });
        tokio::select! {
            end = hold(&exchange, &line) => end.reply,
            () = answering => unreachable!("it never ends"),
        }
    }

    #[rstest::rstest]
    #[case(Stack::Go, Reply::Addresses(vec![IpAddr::from([10, 43, 0, 7])]))]
    #[case(Stack::Glibc, Reply::Addresses(vec![IpAddr::from([10, 43, 0, 7])]))]
    #[case(Stack::Musl, Reply::NoData)]
    #[case(Stack::BusyboxNslookup, Reply::NoData)]
    #[tokio::test]
    async fn a_cut_answer_is_asked_again_over_tcp_by_some(#[case] stack: Stack, #[case] expected: Reply) {
        assert_eq!(cut_reply(stack).await, expected);
    }
}
