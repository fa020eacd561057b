//! Names, with the habits of four programs.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use gonet::Resolver;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType as WireType};
use netmodel::OutcomeClass;
use netmodel::resolve::{
    Exchange, ExchangeId, Family, Hosts, Outcome, RecordType, Reply, ResolvConf, Stack, Step, Take, Vouched,
    Walk,
};
use pace::Pace;
use tokio::net::UdpSocket;

use crate::probe::{Detail, DnsStyle, Observation};
use crate::tcp::{lookup_class, millis};

/// grpc-go's limit for one resolution, the longest any of Seldon's programs waits.
const GO_LIMIT: Duration = Duration::from_secs(30);

/// Where name servers listen.
const PORT: u16 = 53;

/// Looks `name` up from this pod, with its `resolv.conf` and hosts file.
pub(crate) async fn look_up(style: DnsStyle, name: &str, pace: Pace) -> Observation {
    match style {
        DnsStyle::Go => go(name, pace).await,
        DnsStyle::Glibc => walked(Stack::Glibc, name, pace).await,
        DnsStyle::Musl => walked(Stack::Musl, name, pace).await,
        DnsStyle::BusyboxNslookup => walked(Stack::BusyboxNslookup, name, pace).await,
    }
}

async fn go(name: &str, pace: Pace) -> Observation {
    let began = Instant::now();
    match Resolver::system(pace).lookup_host(name, pace.network(GO_LIMIT)).await {
        Ok(addresses) => found(began, &addresses, join(&addresses), 0),
        Err(error) => observed(began, lookup_class(&error.failure), error.to_string(), vec![], 1),
    }
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn found(began: Instant, addresses: &[IpAddr], text: String, exit_code: u8) -> Observation {
    observed(began, OutcomeClass::Open, text, addresses.to_vec(), exit_code)
}

fn observed(
    began: Instant,
    class: OutcomeClass,
    text: String,
    addresses: Vec<IpAddr>,
    exit_code: u8,
) -> Observation {
    Observation {
        class,
        errno: None,
        elapsed_ms: millis(began),
        text,
        detail: Detail::Dns { addresses, exit_code },
    }
}

async fn walked(stack: Stack, name: &str, pace: Pace) -> Observation {
    let began = Instant::now();
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let in_hosts = Hosts::parse(&read("/etc/hosts")).addresses(name);
    // nslookup is a tool of DNS alone and does not read the hosts file.
    if !in_hosts.is_empty() && stack != Stack::BusyboxNslookup {
        return found(began, &in_hosts, join(&in_hosts), 0);
    }
    let conf = ResolvConf::parse(&read("/etc/resolv.conf"));
    let outcome = drive(Walk::new(&conf, stack, name, Family::Any), pace).await;
    let exit_code = match stack {
        Stack::BusyboxNslookup => outcome.nslookup_exit_code(),
        Stack::Go | Stack::Glibc | Stack::Musl => u8::from(outcome.result.is_err()) * 2,
    };
    let text = text(stack, name, &outcome);
    match &outcome.result {
        Ok(found) => observed(began, OutcomeClass::Open, text, found.addresses.clone(), exit_code),
        Err(failure) => observed(began, failure.class(), text, vec![], exit_code),
    }
}

/// What the program prints.
fn text(stack: Stack, name: &str, outcome: &Outcome) -> String {
    match (&outcome.result, stack) {
        (Ok(found), Stack::BusyboxNslookup) => {
            let lines =
                found.addresses.iter().map(|address| format!("Name:\t{}\nAddress: {address}", found.name));
            lines.collect::<Vec<_>>().join("\n")
        }
        (Ok(found), Stack::Go | Stack::Glibc | Stack::Musl) => join(&found.addresses),
        (Err(failure), Stack::BusyboxNslookup) => match (failure.class(), failure.server) {
            (OutcomeClass::NameTimeout, _) => ";; connection timed out; no servers could be reached".into(),
            (OutcomeClass::NameTemporary, Some(server)) => {
                format!("nslookup: write to '{server}': Connection refused")
            }
            _ => format!("** server can't find {name}: NXDOMAIN"),
        },
        (Err(failure), Stack::Musl) => {
            failure.code.map_or("not found", netmodel::resolve::GaiCode::musl_text).into()
        }
        (Err(failure), Stack::Go | Stack::Glibc) => {
            failure.code.map_or("not found", netmodel::resolve::GaiCode::glibc_text).into()
        }
    }
}

/// Owns the sockets and the clock of a walk.
async fn drive(mut walk: Walk, pace: Pace) -> Outcome {
    let mut running = FuturesUnordered::new();
    loop {
        match walk.step() {
            Step::Ask(exchanges) => running.extend(exchanges.into_iter().map(|exchange| ask(exchange, pace))),
            Step::Wait => {
                if let Some((id, reply)) = running.next().await {
                    walk.reply(id, reply);
                }
            }
            Step::Done(outcome) => return outcome,
        }
    }
}

async fn ask(exchange: Exchange, pace: Pace) -> (ExchangeId, Reply) {
    let limit = pace.network(exchange.wait);
    let reply = tokio::time::timeout(limit, exchanged(&exchange, PORT, pace)).await;
    (exchange.id, reply.unwrap_or(Reply::Timeout))
}

/// Sends the question, again by the clock where the program does, until something arrives that it looks at.
async fn exchanged(exchange: &Exchange, port: u16, pace: Pace) -> Reply {
    let Some(socket) = connected(SocketAddr::new(exchange.server, port)).await else {
        return Reply::Unreachable;
    };
    let Some((id, datagram)) = question(exchange) else { return Reply::NxDomain };
    let resend = exchange.resend.map_or(Duration::MAX, |resend| pace.network(resend));
    loop {
        let mut reply = socket.send(&datagram).await.err().map(|_| Reply::Unreachable);
        let mut failures = 0;
        let listening = async {
            loop {
                if let Some(reply) = reply.take() {
                    match exchange.take(&reply, failures) {
                        Take::Report => return reply,
                        Take::AskAgain => {
                            failures += 1;
                            // A failed send is met again by the receive that follows.
                            let _ = socket.send(&datagram).await;
                        }
                        Take::Ignore => {}
                    }
                }
                let mut buffer = vec![0; 4096];
                reply = match socket.recv(&mut buffer).await {
                    Ok(length) => read(&buffer[..length], id, exchange),
                    Err(_) => Some(Reply::Unreachable),
                };
            }
        };
        if let Ok(reply) = tokio::time::timeout(resend, listening).await {
            return reply;
        }
    }
}

async fn connected(server: SocketAddr) -> Option<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0").await.ok()?;
    socket.connect(server).await.ok()?;
    Some(socket)
}

fn question(exchange: &Exchange) -> Option<(u16, Vec<u8>)> {
    let id = rand::random();
    let record = match exchange.question.record {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
    };
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(format!("{}.", exchange.question.name)).ok()?, record));
    Some((id, message.to_vec().ok()?))
}

/// `None` for a datagram that answers something else.
fn read(datagram: &[u8], id: u16, exchange: &Exchange) -> Option<Reply> {
    let message = Message::from_vec(datagram).ok().filter(|message| message.metadata.id == id)?;
    let wanted: Vec<IpAddr> = message
        .answers
        .iter()
        .filter_map(|record| match (&record.data, exchange.question.record) {
            (RData::A(address), RecordType::A) => Some(IpAddr::V4(address.0)),
            (RData::AAAA(address), RecordType::Aaaa) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .collect();
    let flags = &message.metadata;
    let vouched = if flags.authoritative || flags.recursion_available || !message.additionals.is_empty() {
        Vouched::Yes
    } else {
        Vouched::No
    };
    Some(Reply::classify(u16::from(flags.response_code) as u8, vouched, wanted, message.answers.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::ResponseCode;

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
        tokio::select! {
            reply = exchanged(&exchange, port, Pace::REAL) => (reply, asked.get()),
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
}
