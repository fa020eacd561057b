//! The DNS server of an embedded cluster.
//!
//! [`coredns`] is a program that reads a Corefile and answers as CoreDNS 1.12.1 does where k3s 1.33 uses it:
//! server blocks by the most specific zone, plugins in CoreDNS's compiled-in order whatever the file's order, the
//! flags of every answer (AA without RA inside the cluster's zone, the upstream's RA for what was forwarded).
//!
//! The core is [`Engine`]: a Corefile and a [`Directory`] of the cluster's names in, messages out.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chain;
pub mod corefile;
mod directory;
mod engine;
mod http;
mod log;
mod manifests;
mod name;
mod outcome;
mod plugin;
mod program;
mod reloading;
mod server;
mod watching;

pub use directory::{Directory, Names};
pub use engine::{Engine, Surroundings};
pub use log::Journal;
pub use manifests::{Denials, Manifests, NodeHost, manifests};
pub use program::coredns;
