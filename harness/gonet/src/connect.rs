//! One connection attempt of grpc-go: resolve, dial every address, wait for the server's preface.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use pace::Pace;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::back_off::BackOff;
use crate::dial::dial_tcp;
use crate::link::{Ending, Link};
use crate::resolver::Resolver;
use crate::status::GoStatus;

/// grpc-go's `minConnectTimeout`: one attempt's limit, over all addresses.
const DIAL: Duration = Duration::from_secs(20);
/// grpc-go's `ResolvingTimeout` (30 s) as a multiple of Go's DNS try (5 s). The ratio is kept when both are paced,
/// otherwise a paced lookup would end after another number of tries than a real one.
const TRIES_PER_RESOLUTION: u32 = 6;

/// HTTP/2 keepalive of a client (`keepalive.ClientParameters`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence after which a ping is sent.
    pub time: Duration,
    /// How long the answer may take before the connection is given up.
    pub timeout: Duration,
}

impl KeepAlive {
    /// What Seldon 2.9.1's programs set: a ping after 60 s, 2 s for its answer.
    pub const SELDON: KeepAlive =
        KeepAlive { time: Duration::from_secs(60), timeout: Duration::from_secs(2) };
}

/// How to connect. Times are unscaled; the pace is applied inside.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Scales the resolver's, the dial's and the keepalive's times.
    pub pace: Pace,
    /// Keepalive pings; `None` sends none.
    pub keepalive: Option<KeepAlive>,
    /// Resolves the name; `None` reads this machine's files at each attempt.
    pub resolver: Option<Resolver>,
    /// Waits between the attempts of a [`crate::ClientConn`].
    pub back_off: BackOff,
}

impl ConnectOptions {
    /// No keepalive, the machine's resolver, grpc-go's back-off.
    pub fn new(pace: Pace) -> ConnectOptions {
        ConnectOptions { pace, keepalive: None, resolver: None, back_off: BackOff::GRPC }
    }

    /// With the keepalive of Seldon's programs.
    #[must_use]
    pub fn with_keepalive(mut self, keepalive: KeepAlive) -> ConnectOptions {
        self.keepalive = Some(keepalive);
        self
    }

    /// With another back-off.
    #[must_use]
    pub fn with_back_off(mut self, back_off: BackOff) -> ConnectOptions {
        self.back_off = back_off;
        self
    }

    /// With a resolver of one's own.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Resolver) -> ConnectOptions {
        self.resolver = Some(resolver);
        self
    }
}

/// Makes one connection to `host:port` as grpc-go's first call on a fresh client would.
///
/// The channel is that single connection: when it breaks, calls fail with a status that
/// [`GoStatus::from_tonic`] words, and the caller connects again.
///
/// # Errors
/// `Unavailable`, with the text a failing call carries in grpc-go: `name resolver error: produced zero addresses`,
/// `dns: A record lookup error: …`, `connection error: desc = "…"`.
pub async fn connect(host: &str, port: u16, options: &ConnectOptions) -> Result<Channel, GoStatus> {
    attempt(host, port, options).await.map(|(channel, _)| channel)
}

/// As [`connect`], with the connection's ending to watch.
pub(crate) async fn attempt(
    host: &str,
    port: u16,
    options: &ConnectOptions,
) -> Result<(Channel, Arc<Ending>), GoStatus> {
    let addresses = resolve(host, options).await?;
    let deadline = Instant::now() + options.pace.dial(DIAL);
    let mut last = GoStatus::unavailable("name resolver error: produced zero addresses");
    for address in addresses {
        match open(host, SocketAddr::new(address, port), deadline, options).await {
            Ok(connection) => return Ok(connection),
            Err(desc) => last = GoStatus::unavailable(format!("connection error: desc = \"{desc}\"")),
        }
    }
    Err(last)
}

async fn resolve(host: &str, options: &ConnectOptions) -> Result<Vec<IpAddr>, GoStatus> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let resolver = options.resolver.clone().unwrap_or_else(|| Resolver::system(options.pace));
    let limit = resolver.paced_try() * TRIES_PER_RESOLUTION;
    let begin = Instant::now();
    match resolver.lookup_host(host, limit).await {
        Ok(addresses) => {
            let rest = limit.saturating_sub(begin.elapsed());
            resolver.ask_text(&format!("_grpc_config.{host}"), rest).await;
            Ok(addresses)
        }
        // A name that does not exist is no error to grpc-go's resolver: it yields no address.
        Err(error) if error.is_timeout() || error.is_temporary() => {
            Err(GoStatus::unavailable(format!("dns: A record lookup error: {error}")))
        }
        Err(_) => Err(GoStatus::unavailable("name resolver error: produced zero addresses")),
    }
}

/// Dials one address and waits for the server to speak HTTP/2; the error is the text inside `desc = "…"`.
async fn open(
    host: &str,
    address: SocketAddr,
    deadline: Instant,
    options: &ConnectOptions,
) -> Result<(Channel, Arc<Ending>), String> {
    let left = deadline.saturating_duration_since(Instant::now());
    let stream =
        dial_tcp(address, left).await.map_err(|error| format!("transport: Error while dialing: {error}"))?;
    let in_transport = |error: &dyn std::fmt::Display| format!("transport: {error}");
    let (link, ending, preface) = Link::new(stream).map_err(|error| in_transport(&error))?;
    let path = link.path().to_owned();
    let channel = channel_over(host, address, link, ending.clone(), options)
        .await
        .map_err(|error| in_transport(&error))?;
    let cause = match tokio::time::timeout_at(deadline, preface).await {
        Ok(Ok(Ok(()))) => return Ok((channel, ending)),
        Ok(Ok(Err(cause))) => cause,
        Ok(Err(_)) => "EOF".to_owned(),
        Err(_) => format!("read {path}: use of closed network connection"),
    };
    Err(format!("error reading server preface: {cause}"))
}

async fn channel_over(
    host: &str,
    address: SocketAddr,
    link: Link,
    ending: Arc<Ending>,
    options: &ConnectOptions,
) -> Result<Channel, tonic::transport::Error> {
    let authority = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut endpoint = Endpoint::from_shared(format!("http://{authority}:{}", address.port()))?;
    if let Some(keepalive) = options.keepalive {
        // Also without open calls, unlike grpc-go: hyper forgets to start the timer for a stream that opens last.
        endpoint = endpoint
            .http2_keep_alive_interval(options.pace.wait(keepalive.time))
            .keep_alive_timeout(options.pace.network(keepalive.timeout))
            .keep_alive_while_idle(true);
    }
    let once = Arc::new(Mutex::new(Some(link)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let link = once.lock().ok().and_then(|mut slot| slot.take());
        let end = ending.text().unwrap_or("error reading from server: EOF").to_owned();
        // A channel is one connection; asking for a second one repeats how the first one ended.
        std::future::ready(link.map(TokioIo::new).ok_or_else(|| std::io::Error::other(end)))
    });
    endpoint.connect_with_connector(connector).await
}
