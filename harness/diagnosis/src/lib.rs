//! From a snapshot to a cause: pure functions, no cluster.
//!
//! A [`Snapshot`] holds what was seen: objects, logs, what probes found. [`diagnose`] asks one rule after the other,
//! the most specific first; each either names a [`Cause`] with its evidence or stays silent. A verdict is never drawn
//! from log text alone: a text says where to look, objects and probes decide.

mod cause;
mod contract;
mod rules;
mod snapshot;
mod text;

pub use cause::{Cause, Diagnosis};
pub use contract::{Flow, flows, guards};
pub use rules::diagnose;
pub use snapshot::{Answer, Log, Look, PodId, Sighting, Snapshot};
pub use text::{GoFailure, go_failure};
