//! What a client sees, reduced to the classes that tests may rely on.

mod forecast;

use serde::{Deserialize, Serialize};

pub use forecast::{Forecast, forecast};

/// The class of an attempt's end, independent of the words a program uses for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// The peer answered.
    Open,
    /// `ECONNREFUSED`: a reset, or an ICMP port-unreachable.
    Refused,
    /// Nothing came back in time.
    Timeout,
    /// `EHOSTUNREACH`.
    NoRoute,
    /// `ENETUNREACH`.
    NetUnreachable,
    /// `EPERM`.
    NotPermitted,
    /// `ECONNRESET` on a connection that stood.
    Reset,
    /// The name does not exist or has no address.
    NameNotFound,
    /// The resolver says to try again: server failure, refusal, or (libc) silence.
    NameTemporary,
    /// The name server did not answer within the resolver's patience.
    NameTimeout,
    /// The name resolved, to an address that is not the wanted one.
    WrongAddress,
}
