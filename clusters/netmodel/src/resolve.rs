//! Resolver walks without sockets: which questions a program asks, and what it makes of the answers.
//!
//! A [`Walk`] is one look-up by one [`Stack`]. Its driver owns the sockets and the clock:
//!
//! ```text
//! let mut walk = Walk::new(&conf, Stack::Go, "scheduler.mesh", Family::Any);
//! loop {
//!     match walk.step() {
//!         Step::Ask(exchanges) => start each of them at once,
//!         Step::Wait           => wait for any running exchange, then walk.reply(id, reply),
//!         Step::Done(outcome)  => stop; drop what still runs,
//!     }
//! }
//! ```
//!
//! One [`Exchange`] is one UDP question to one server, port 53: send it, send it again every
//! `resend` if that is set, and report [`Reply::Timeout`] after `wait`. Before reporting an
//! answer ask [`Exchange::take`] whether this program would look at it at all. [`Cut`] says what
//! becomes of a truncated one. [`rehearse()`] drives a walk in virtual time.
//!
//! `/etc/hosts` comes before the name servers in all four; [`Hosts`] reads it.
//!
//! Sources: Go 1.24 `net/dnsclient_unix.go`, glibc 2.36 `resolv/res_query.c` and `res_send.c`,
//! musl 1.2.3 `lookup_name.c` and `res_msend.c`, busybox 1.36 `networking/nslookup.c`.

mod board;
mod conf;
mod exchange;
mod glibc;
mod go;
mod hosts;
mod musl;
mod nslookup;
mod outcome;
mod rehearse;
mod walk;

pub use conf::ResolvConf;
pub use exchange::{Cut, Exchange, ExchangeId, Question, RecordType, Reply, Take, Vouched};
pub use hosts::Hosts;
pub use outcome::{Failure, Found, GaiCode, Outcome, Reason};
pub use rehearse::{Rehearsal, rehearse};
pub use walk::{Family, Stack, Step, Walk};
