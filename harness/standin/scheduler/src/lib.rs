//! Stand-in for the scheduler of Seldon Core 2.9.1.
//!
//! It speaks what the real one speaks: the scheduler API (port 9004), the agents' API (9005), Envoy's delta discovery
//! (9002, late: after the start gate and 10 s more), and it listens on 9008 without knowing any call of the dataflow
//! engines. Models are versioned, filtered, placed and reported by the rules of 2.9.1, in its words, and it logs the
//! same lines.
//!
//! What it leaves out: TLS (ports 9044 and 9055 are never opened), the database (state comes back from the agents and
//! the operator), packing, model autoscaling, and the GOAWAY for clients that ping too often.
//!
//! Long waits shrink by the pace in `CONFORMANCE_PACE`; nothing else differs.

mod api;
mod core;
mod event;
mod experiment;
mod flags;
mod gate;
mod journal;
mod listener;
mod pipeline;
mod program;
mod prototext;
mod routes;
mod schedule;
mod server;
mod store;
mod xds;

pub use crate::core::Autoscaling;
pub use flags::{FlagError, Flags};
pub use journal::{Journal, Level};
pub use program::main;
pub use server::{Doors, Settings, serve};
pub use xds::{EnvoySettings, Successes};
