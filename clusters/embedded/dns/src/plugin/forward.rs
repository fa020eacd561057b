//! `forward`: everything that no other plugin answers goes to a resolver outside.
//!
//! The answer is passed on as it came, RA and all. One try waits 2 s, all tries together 5 s, then SERVFAIL.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use rand::seq::SliceRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::number;
use crate::chain::Visit;
use crate::corefile::{CorefileError, Directive, Line, Token};
use crate::name;
use crate::outcome::{Failure, Outcome};
use outside::{Request, Transport};

/// How long one try waits for its answer.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// How long all tries take together.
const TOTAL_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a failed try, in which CoreDNS's health check runs.
const PAUSE: Duration = Duration::from_millis(500);
/// The most upstreams that CoreDNS takes.
const MOST_UPSTREAMS: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Random,
    RoundRobin,
    Sequential,
}

/// Which transport is used towards the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AsAsked,
    ForceTcp,
    PreferUdp,
}

/// One `forward` directive.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    from: String,
    except: Vec<String>,
    upstreams: Vec<SocketAddr>,
    policy: Policy,
    way: Way,
    max_concurrent: Option<usize>,
    turn: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
}

impl Forward {
    pub(crate) fn parse(directive: &Directive) -> Result<Forward, CorefileError> {
        let Some((from, to)) = directive.arguments.split_first() else {
            return Err(directive.name.wrong_count());
        };
        if to.is_empty() {
            return Err(from.wrong_count());
        }
        let mut upstreams = Vec::new();
        for token in to {
            upstreams.extend(addresses(token)?);
        }
        if upstreams.len() > MOST_UPSTREAMS {
            return Err(from.error(format!("more than {MOST_UPSTREAMS} TOs configured: {}", upstreams.len())));
        }
        let mut forward = Forward {
            from: name::zone_of_argument(&from.text),
            except: Vec::new(),
            upstreams,
            policy: Policy::Random,
            way: Way::AsAsked,
            max_concurrent: None,
            turn: Arc::default(),
            under_way: Arc::default(),
        };
        for line in &directive.block {
            forward.line(line)?;
        }
        Ok(forward)
    }

    fn line(&mut self, line: &Line) -> Result<(), CorefileError> {
        match line.name.text.as_str() {
            "except" if line.arguments.is_empty() => return Err(line.name.wrong_count()),
            "except" => self.except.extend(line.words().into_iter().map(name::zone_of_argument)),
            "force_tcp" => {
                line.none()?;
                self.way = Way::ForceTcp;
            }
            "prefer_udp" => {
                line.none()?;
                self.way = Way::PreferUdp;
            }
            "policy" => {
                let token = line.one()?;
                self.policy = match token.text.as_str() {
                    "random" => Policy::Random,
                    "round_robin" => Policy::RoundRobin,
                    "sequential" => Policy::Sequential,
                    other => return Err(token.error(format!("unknown policy '{other}'"))),
                };
            }
            "max_concurrent" => self.max_concurrent = Some(number(line.one()?)?).filter(|most| *most > 0),
            // These steer only when a dead upstream is passed over; here a dead one costs a try.
            "max_fails" | "expire" => {
                line.one()?;
            }
            "health_check" if line.arguments.is_empty() => return Err(line.name.wrong_count()),
            "health_check" | "failfast_all_unhealthy_upstreams" => {}
            "tls" | "tls_servername" | "next" => {
                return Err(line.name.error(format!("property '{}' is not supported here", line.name.text)));
            }
            other => return Err(line.name.error(format!("unknown property '{other}'"))),
        }
        Ok(())
    }

    fn takes(&self, asked: &str) -> bool {
        name::within(&self.from, asked)
            && (asked == self.from || name::closest(&self.except, asked).is_none())
    }

    fn order(&self) -> Vec<SocketAddr> {
        let mut list = self.upstreams.clone();
        match self.policy {
            Policy::Random => list.shuffle(&mut rand::rng()),
            Policy::RoundRobin => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % list.len().max(1);
                list.rotate_left(turn);
            }
            Policy::Sequential => {}
        }
        list
    }

    pub(crate) async fn serve(&self, request: &Request, visit: &Visit<'_>) -> Outcome {
        if !self.takes(&request.name) {
            return visit.next(request).await;
        }
        let held = Held::take(&self.under_way);
        if let Some(most) = self.max_concurrent.filter(|most| held.count > *most) {
            let reason = format!("concurrent queries exceeded maximum {most}");
            return Outcome::Failed(Failure { code: ResponseCode::Refused, reason: Some(reason) });
        }
        let pace = visit.surroundings().pace;
        let end = Instant::now() + pace.network(TOTAL_LIMIT);
        let list = self.order();
        let mut reason = "no healthy proxies".to_owned();
        for (tried, upstream) in list.iter().cycle().enumerate() {
            if Instant::now() >= end {
                break;
            }
            if tried > 0 && tried % list.len() == 0 {
                tokio::time::sleep(pace.wait(PAUSE)).await;
            }
            match self.exchange(request, *upstream, pace.network(READ_LIMIT)).await {
                Ok(reply) if answers(request, &reply) => return Outcome::Written(reply),
                Ok(_) => return Outcome::Written(request.reply(ResponseCode::FormErr)),
                Err(problem) => reason = problem,
            }
        }
        Outcome::Failed(Failure::because(reason))
    }

    async fn exchange(
        &self,
        request: &Request,
        upstream: SocketAddr,
        limit: Duration,
    ) -> Result<Message, String> {
        let by_tcp = match self.way {
            Way::AsAsked => request.transport == Transport::Tcp,
            Way::ForceTcp => true,
            Way::PreferUdp => false,
        };
        if by_tcp {
            return over_tcp(request, upstream, limit).await;
        }
        let reply = over_udp(request, upstream, limit).await?;
        if reply.metadata.truncation && self.way == Way::PreferUdp {
            return over_tcp(request, upstream, limit).await;
        }
        Ok(reply)
    }
}

/// Counts a request as under way for as long as it lives.
struct Held {
    counter: Arc<AtomicUsize>,
    count: usize,
}

impl Held {
    fn take(counter: &Arc<AtomicUsize>) -> Held {
        Held { count: counter.fetch_add(1, Ordering::Relaxed) + 1, counter: counter.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answers(request: &Request, reply: &Message) -> bool {
    reply.queries.first().is_none_or(|query| {
        query.query_type == request.kind && name::normal(&query.name.to_ascii()) == request.name
    })
}

/// An error in Go's words: `read udp 10.42.0.2:40000->10.254.53.53:53: i/o timeout`.
fn words(
    operation: &str,
    protocol: &str,
    local: Option<SocketAddr>,
    remote: SocketAddr,
    error: &std::io::Error,
) -> String {
    let cause = match error.kind() {
        std::io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        std::io::ErrorKind::ConnectionRefused => format!("{operation}: connection refused"),
        std::io::ErrorKind::NetworkUnreachable => format!("{operation}: network is unreachable"),
        std::io::ErrorKind::HostUnreachable => format!("{operation}: no route to host"),
        std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => format!("{operation}: {}", error.to_string().to_lowercase()),
    };
    match local {
        Some(local) => format!("{operation} {protocol} {local}->{remote}: {cause}"),
        None => format!("{operation} {protocol} {remote}: {cause}"),
    }
}

async fn limited<T>(limit: Duration, work: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

async fn over_udp(request: &Request, upstream: SocketAddr, limit: Duration) -> Result<Message, String> {
    let any: IpAddr = if upstream.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let mut message = request.message.clone();
    message.metadata.id = rand::random();
    let bytes = message.to_vec().map_err(|error| error.to_string())?;
    let socket =
        UdpSocket::bind((any, 0)).await.map_err(|error| words("dial", "udp", None, upstream, &error))?;
    socket.connect(upstream).await.map_err(|error| words("dial", "udp", None, upstream, &error))?;
    let local = socket.local_addr().ok();
    socket.send(&bytes).await.map_err(|error| words("write", "udp", local, upstream, &error))?;
    let mut buffer = vec![0; 65535];
    let receive = async {
        loop {
            let size = socket.recv(&mut buffer).await?;
            // An answer to another question than ours is not for us.
            if let Ok(reply) = Message::from_vec(&buffer[..size])
                && reply.metadata.id == message.metadata.id
            {
                return Ok(reply);
            }
        }
    };
    limited(limit, receive).await.map_err(|error| words("read", "udp", local, upstream, &error))
}

async fn over_tcp(request: &Request, upstream: SocketAddr, limit: Duration) -> Result<Message, String> {
    let mut stream = limited(limit, TcpStream::connect(upstream))
        .await
        .map_err(|error| words("dial", "tcp", None, upstream, &error))?;
    let local = stream.local_addr().ok();
    let bytes = request.message.to_vec().map_err(|error| error.to_string())?;
    let exchange = async {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        stream.write_all(&[&length[..], &bytes].concat()).await?;
        let size = stream.read_u16().await?;
        let mut buffer = vec![0; usize::from(size)];
        stream.read_exact(&mut buffer).await?;
        Ok(buffer)
    };
    let buffer =
        limited(limit, exchange).await.map_err(|error| words("read", "tcp", local, upstream, &error))?;
    Message::from_vec(&buffer).map_err(|error| error.to_string())
}

/// The upstreams that an argument stands for: an address, an address with a port, or a resolv.conf.
fn addresses(token: &Token) -> Result<Vec<SocketAddr>, CorefileError> {
    let text = token.text.strip_prefix("dns://").unwrap_or(&token.text);
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(
            token.error(format!("'{scheme}' is not supported as a destination protocol in forward: {text}"))
        );
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, 53)]);
    }
    let content = std::fs::read_to_string(text)
        .map_err(|_| token.error(format!("not an IP address or file: \"{text}\"")))?;
    let servers: Vec<SocketAddr> = content
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|server| server.trim().parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .collect();
    if servers.is_empty() {
        return Err(token.error(format!("no nameservers found in {text}")));
    }
    Ok(servers)
}
