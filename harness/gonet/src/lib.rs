//! Go's `net` package (1.24) and grpc-go (1.73) as a client sees them, over tokio.
//!
//! Seldon's programs are Go programs: what a person reads in a Model's condition or in a log is a text that Go wrote
//! while it resolved, dialled or read. The stand-ins go through this crate, so that the same fault in the same real
//! network yields the same words, after the same number of tries.
//!
//! Which names a resolver asks, and how often, is [`netmodel::resolve`]'s to know; [`drive`] gives its walks sockets.

mod back_off;
mod client_conn;
mod connect;
mod dial;
mod errno;
mod exchange;
mod link;
mod lookup;
mod resolver;
mod status;
mod walk;

pub use back_off::{BackOff, Waits};
pub use client_conn::ClientConn;
pub use connect::{ConnectOptions, KeepAlive, connect};
pub use dial::{DialError, DialFailure, dial_tcp};
pub use errno::{Operation, go_text};
pub use lookup::{LookupError, LookupFailure};
pub use resolver::Resolver;
pub use status::GoStatus;
pub use walk::{Driven, Line, drive};
