//! TCP: a name, an address, a connection, in Go's words.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gonet::{DialError, LookupError, LookupFailure, Resolver, dial_tcp};
use netmodel::OutcomeClass;
use pace::Pace;
use tokio::net::TcpStream;

use crate::probe::{Detail, Observation};

/// Why there is no connection.
pub(crate) struct NoConnection {
    class: OutcomeClass,
    errno: Option<i32>,
    text: String,
}

impl NoConnection {
    pub(crate) fn observed(self, began: Instant) -> Observation {
        Observation {
            class: self.class,
            errno: self.errno,
            elapsed_ms: millis(began),
            text: self.text,
            detail: Detail::None,
        }
    }
}

pub(crate) fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Opens a connection and says how that went.
pub(crate) async fn connect(host: &str, port: u16, limit_ms: u64, pace: Pace) -> Observation {
    let began = Instant::now();
    match open(host, port, Duration::from_millis(limit_ms), pace).await {
        Ok(stream) => Observation {
            class: OutcomeClass::Open,
            errno: None,
            elapsed_ms: millis(began),
            text: format!(
                "connected to {}",
                stream.peer_addr().map_or_else(|_| host.into(), |peer| peer.to_string())
            ),
            detail: Detail::None,
        },
        Err(failure) => failure.observed(began),
    }
}

/// Resolves `host` as Go does and connects to the first address.
pub(crate) async fn open(
    host: &str,
    port: u16,
    limit: Duration,
    pace: Pace,
) -> Result<TcpStream, NoConnection> {
    let address = resolved(host, port, limit, pace).await?;
    dial_tcp(address, limit).await.map_err(|error| no_dial(&error))
}

/// The first address of `host`, IPv4 preferred.
pub(crate) async fn resolved(
    host: &str,
    port: u16,
    limit: Duration,
    pace: Pace,
) -> Result<SocketAddr, NoConnection> {
    let addresses = Resolver::system(pace).lookup_host(host, limit).await.map_err(|error| no_name(&error))?;
    let Some(address) = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()) else {
        return Err(NoConnection {
            class: OutcomeClass::NameNotFound,
            errno: None,
            text: format!("lookup {host}: no suitable address found"),
        });
    };
    Ok(SocketAddr::new(*address, port))
}

/// The class of a failed look-up.
pub(crate) fn lookup_class(failure: &LookupFailure) -> OutcomeClass {
    match failure {
        LookupFailure::NotFound => OutcomeClass::NameNotFound,
        LookupFailure::Timeout(_) => OutcomeClass::NameTimeout,
        LookupFailure::ServerFailure
        | LookupFailure::Misbehaving
        | LookupFailure::LameReferral
        | LookupFailure::Malformed
        | LookupFailure::Socket(_) => OutcomeClass::NameTemporary,
    }
}

fn no_name(error: &LookupError) -> NoConnection {
    NoConnection { class: lookup_class(&error.failure), errno: None, text: error.to_string() }
}

fn no_dial(error: &DialError) -> NoConnection {
    let errno = error.errno();
    NoConnection { class: errno_class(errno), errno, text: error.to_string() }
}

/// The class of a system error; without one the limit passed.
pub(crate) fn errno_class(errno: Option<i32>) -> OutcomeClass {
    match errno {
        Some(libc_errno::REFUSED) => OutcomeClass::Refused,
        Some(libc_errno::NO_ROUTE) => OutcomeClass::NoRoute,
        Some(libc_errno::NET_UNREACHABLE) => OutcomeClass::NetUnreachable,
        Some(libc_errno::NOT_PERMITTED) => OutcomeClass::NotPermitted,
        Some(libc_errno::RESET) => OutcomeClass::Reset,
        Some(_) | None => OutcomeClass::Timeout,
    }
}

/// Linux errno numbers, the same on x86-64 and arm64.
mod libc_errno {
    pub(super) const NOT_PERMITTED: i32 = 1;
    pub(super) const NET_UNREACHABLE: i32 = 101;
    pub(super) const RESET: i32 = 104;
    pub(super) const REFUSED: i32 = 111;
    pub(super) const NO_ROUTE: i32 = 113;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_open_from_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(connect("127.0.0.1", port, 1000, Pace::REAL).await.class, OutcomeClass::Open);
        drop(listener);
        let refused = connect("127.0.0.1", port, 1000, Pace::REAL).await;
        assert_eq!((refused.class, refused.errno), (OutcomeClass::Refused, Some(111)));
        assert_eq!(refused.text, format!("dial tcp 127.0.0.1:{port}: connect: connection refused"));
    }
}
