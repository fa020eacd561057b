//! What a client sees, reduced to the classes that tests may rely on.
//!
//! [`forecast()`] says what a dial will come to, [`denied`] what a denial looks like to a program,
//! [`read`] goes back from a program's words to the class.

mod denials;
mod forecast;
mod words;

use serde::{Deserialize, Serialize};

pub use denials::{Client, End, Symptom, Traffic, denials, denied};
pub use forecast::{Forecast, forecast};
pub use words::read;

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
