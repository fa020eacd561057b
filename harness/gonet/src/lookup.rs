//! The error of a lookup, `*net.DNSError`.

use std::net::SocketAddr;

/// A name that was not resolved. Displays as Go's: `lookup X on 10.43.0.10:53: no such host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// The name as the caller wrote it.
    pub name: String,
    /// The server that was asked last; `None` when none was.
    pub server: Option<SocketAddr>,
    /// What went wrong.
    pub failure: LookupFailure,
}

/// What went wrong in a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupFailure {
    /// The name does not exist, or has no address.
    NotFound,
    /// The server answered `SERVFAIL`; Go calls this temporary.
    ServerFailure,
    /// The server answered with another error code, such as `REFUSED`.
    Misbehaving,
    /// An empty answer from a server that is neither authoritative nor recursive.
    LameReferral,
    /// The answer could not be read.
    Malformed,
    /// A try's socket ran into its limit: `read udp A->B: i/o timeout`, `dial udp S: i/o timeout`.
    Timeout(String),
    /// A try's socket failed: `read udp A->B: read: connection refused`.
    Socket(String),
}

impl LookupError {
    /// Go's `IsNotFound`.
    pub fn is_not_found(&self) -> bool {
        self.failure == LookupFailure::NotFound
    }

    /// Go's `IsTimeout`.
    pub fn is_timeout(&self) -> bool {
        matches!(self.failure, LookupFailure::Timeout(_))
    }

    /// Go's `IsTemporary`: `SERVFAIL` and every failure of a socket.
    pub fn is_temporary(&self) -> bool {
        use LookupFailure::{ServerFailure, Socket, Timeout};
        matches!(self.failure, ServerFailure | Socket(_) | Timeout(_))
    }
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "lookup {}", self.name)?;
        if let Some(server) = self.server {
            write!(formatter, " on {server}")?;
        }
        write!(formatter, ": {}", self.failure)
    }
}

impl std::fmt::Display for LookupFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            LookupFailure::NotFound => "no such host",
            LookupFailure::ServerFailure | LookupFailure::Misbehaving => "server misbehaving",
            LookupFailure::LameReferral => "lame referral",
            LookupFailure::Malformed => "cannot unmarshal DNS message",
            LookupFailure::Timeout(text) | LookupFailure::Socket(text) => text,
        })
    }
}

impl std::error::Error for LookupError {}
