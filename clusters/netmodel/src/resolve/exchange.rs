//! One question to one server, and what can come of it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The record types that walks ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Text.
    Txt,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Txt => "TXT",
        })
    }
}

/// A DNS question of class IN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The whole name, absolute, written without its final dot.
    pub name: String,
    /// The record asked for.
    pub record: RecordType,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.record)
    }
}

/// Names one exchange of one walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(super) u64);

/// How a program treats answers it does not like while it still waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taste {
    /// Every answer and every ICMP error ends the exchange (Go, glibc).
    Everything,
    /// Only data, absence of data and NXDOMAIN end it; SERVFAIL is asked again at once;
    /// the socket is not connected, so ICMP goes unseen (musl).
    OnlyUseful,
    /// As `Everything`, but SERVFAIL is first asked again (busybox).
    AskAgainOnFailure,
}

/// One UDP question to port 53 of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Hand it back with the reply.
    pub id: ExchangeId,
    /// Whom to ask.
    pub server: IpAddr,
    /// What to ask.
    pub question: Question,
    /// Report [`Reply::Timeout`] after this long, real time at pace 1.
    pub wait: Duration,
    /// Send the same datagram again each time this long has passed, while waiting.
    pub resend: Option<Duration>,
    /// The UDP payload announced in an OPT record; `None` sends no such record.
    pub payload: Option<u16>,
    /// What the program does with an answer that was cut.
    pub cut: Cut,
    pub(super) taste: Taste,
}

/// What a program does with a truncated answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Asks the same server again over TCP, with a fresh [`Exchange::wait`].
    AskOverTcp,
    /// Takes what fitted into the datagram.
    TakeAsIs,
}

/// What the driver does with something that arrived before [`Exchange::wait`] was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Hand it to [`super::Walk::reply`]; the exchange is over.
    Report,
    /// Send the datagram once more, at once, and go on waiting.
    AskAgain,
    /// Go on waiting as if nothing had come.
    Ignore,
}

impl Exchange {
    /// Whether the program would look at `reply`. `failures` is how many SERVFAILs this exchange
    /// has had since its datagram was last sent by the clock, `reply` not counted.
    #[must_use]
    pub fn take(&self, reply: &Reply, failures: u32) -> Take {
        let again = *reply == Reply::ServFail && failures < 2;
        match self.taste {
            Taste::Everything => Take::Report,
            Taste::OnlyUseful | Taste::AskAgainOnFailure if again => Take::AskAgain,
            Taste::AskAgainOnFailure => Take::Report,
            Taste::OnlyUseful => match reply {
                Reply::ServFail | Reply::Refused | Reply::Code(_) | Reply::Unreachable => Take::Ignore,
                Reply::Addresses(_)
                | Reply::Records
                | Reply::AliasOnly
                | Reply::NoData
                | Reply::Lame
                | Reply::NxDomain
                | Reply::Timeout => Take::Report,
            },
        }
    }
}

/// What came of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// NOERROR with addresses of the type asked for (aliases in the same message followed).
    Addresses(Vec<IpAddr>),
    /// NOERROR with records of the type asked for that carry no addresses.
    Records,
    /// NOERROR with a CNAME whose target's addresses are not in the message.
    AliasOnly,
    /// NOERROR, no answer, from a server that is authoritative or offers recursion.
    NoData,
    /// NOERROR, no answer, neither AA nor RA nor additional records: a lame referral.
    Lame,
    /// RCODE 3.
    NxDomain,
    /// RCODE 2.
    ServFail,
    /// RCODE 5.
    Refused,
    /// Any other RCODE.
    Code(u8),
    /// Nothing usable within the exchange's `wait`.
    Timeout,
    /// The socket failed, as with `ECONNREFUSED` (an ICMP port-unreachable came back).
    Unreachable,
}

impl Reply {
    /// Sorts a decoded message: its RCODE, whether AA or RA is set, the addresses of the type
    /// asked for, and the number of records in the answer section.
    #[must_use]
    pub fn classify(rcode: u8, vouched: Vouched, addresses: Vec<IpAddr>, answers: usize) -> Self {
        match rcode {
            0 if !addresses.is_empty() => Self::Addresses(addresses),
            0 if answers > 0 => Self::AliasOnly,
            0 => match vouched {
                Vouched::Yes => Self::NoData,
                Vouched::No => Self::Lame,
            },
            2 => Self::ServFail,
            3 => Self::NxDomain,
            5 => Self::Refused,
            code => Self::Code(code),
        }
    }
}

/// Whether a message carries AA, RA or additional records, so that its emptiness counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// At least one of them.
    Yes,
    /// None: resolvers take an empty answer for a lame referral.
    No,
}
