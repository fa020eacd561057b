//! How a walk ends.

use std::fmt;
use std::net::IpAddr;

use super::exchange::{ExchangeId, Question, Reply};
use crate::OutcomeClass;

/// The end of a walk and everything that was asked on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Addresses, or why there are none.
    pub result: Result<Found, Failure>,
    /// Every exchange that ended, in the order of their ends.
    pub replies: Vec<(Question, Reply)>,
}

impl Outcome {
    /// What busybox `nslookup` exits with: 1 if any question got no answer or an error code.
    #[must_use]
    pub fn nslookup_exit_code(&self) -> u8 {
        let fine = |(_, reply): &(Question, Reply)| {
            matches!(
                reply,
                Reply::Addresses(_) | Reply::Records | Reply::AliasOnly | Reply::NoData | Reply::Lame
            )
        };
        u8::from(self.replies.is_empty() || !self.replies.iter().all(fine))
    }
}

/// Addresses and the name that had them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// IPv4 first, in the answers' order. Empty where text was asked for.
    pub addresses: Vec<IpAddr>,
    /// The absolute name that answered, without a final dot.
    pub name: String,
}

/// Why a walk ended without addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The event the program reports.
    pub reason: Reason,
    /// The error of `getaddrinfo`; `None` for Go and `nslookup`.
    pub code: Option<GaiCode>,
    /// The server of that event, where one was involved.
    pub server: Option<IpAddr>,
    /// The exchange of that event, where one was involved (for its socket's addresses).
    pub exchange: Option<ExchangeId>,
}

impl Failure {
    /// The class of this end, as clients of a libc or of Go can tell it.
    #[must_use]
    pub fn class(&self) -> OutcomeClass {
        match (self.code, self.reason) {
            (Some(GaiCode::NoName | GaiCode::NoData), _) => OutcomeClass::NameNotFound,
            (Some(GaiCode::Again | GaiCode::Fail), _) => OutcomeClass::NameTemporary,
            (None, Reason::NotFound | Reason::BadName) => OutcomeClass::NameNotFound,
            (None, Reason::TimedOut) => OutcomeClass::NameTimeout,
            (
                None,
                Reason::ServerFailed
                | Reason::ServerRefused
                | Reason::ServerCode(_)
                | Reason::Lame
                | Reason::Unreachable,
            ) => OutcomeClass::NameTemporary,
        }
    }
}

/// The event that decided a failed walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// NXDOMAIN, or no address of a wanted type.
    NotFound,
    /// Not a domain name; nothing was asked.
    BadName,
    /// SERVFAIL.
    ServerFailed,
    /// REFUSED.
    ServerRefused,
    /// Another RCODE.
    ServerCode(u8),
    /// A lame referral.
    Lame,
    /// Silence.
    TimedOut,
    /// The socket failed, as after an ICMP port-unreachable from the server's address.
    Unreachable,
}

impl Reason {
    /// The reason behind a reply that brought no addresses.
    pub(super) fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Addresses(_) | Reply::Records | Reply::AliasOnly | Reply::NoData | Reply::NxDomain => {
                Self::NotFound
            }
            Reply::Lame => Self::Lame,
            Reply::ServFail => Self::ServerFailed,
            Reply::Refused => Self::ServerRefused,
            Reply::Code(code) => Self::ServerCode(*code),
            Reply::Timeout => Self::TimedOut,
            Reply::Unreachable => Self::Unreachable,
        }
    }
}

/// Errors of `getaddrinfo` that look-ups end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaiCode {
    /// `EAI_NONAME`, -2.
    NoName,
    /// `EAI_AGAIN`, -3.
    Again,
    /// `EAI_FAIL`, -4.
    Fail,
    /// `EAI_NODATA`, -5 (glibc alone).
    NoData,
}

impl GaiCode {
    /// The number `getaddrinfo` returns.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::NoName => -2,
            Self::Again => -3,
            Self::Fail => -4,
            Self::NoData => -5,
        }
    }

    /// `gai_strerror` of glibc 2.36.
    #[must_use]
    pub fn glibc_text(self) -> &'static str {
        match self {
            Self::NoName => "Name or service not known",
            Self::Again => "Temporary failure in name resolution",
            Self::Fail => "Non-recoverable failure in name resolution",
            Self::NoData => "No address associated with hostname",
        }
    }

    /// `gai_strerror` of musl 1.2.3, which knows no `EAI_NODATA`.
    #[must_use]
    pub fn musl_text(self) -> &'static str {
        match self {
            Self::NoName | Self::NoData => "Name does not resolve",
            Self::Again => "Try again",
            Self::Fail => "Non-recoverable error",
        }
    }
}

impl fmt::Display for GaiCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "EAI_NONAME",
            Self::Again => "EAI_AGAIN",
            Self::Fail => "EAI_FAIL",
            Self::NoData => "EAI_NODATA",
        })
    }
}
