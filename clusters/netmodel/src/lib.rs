//! What a Kubernetes node does to packets and names, as pure functions.
//!
//! Nothing here opens a socket or reads a clock: callers hand in Kubernetes objects, text and
//! answers, and get verdicts, rule text and the next question to ask.
//!
//! * [`profile`]: the two network stacks that are mimicked, and where they differ.
//! * [`view`]: the objects of one node's cluster, the input of what follows.
//! * [`policy`]: who may talk to whom, and which policy decided.
//! * [`service`]: where a Service's address leads.
//! * [`lost`]: packets that get no further than the node.
//! * [`ruleset`]: all of it as one nft script.
//! * [`resolve`]: how Go, glibc, musl and busybox `nslookup` walk a `resolv.conf`.
//! * [`symptom`]: what a denial looks like to a client.
//!
//! IPv4 alone: addresses of the other family are passed over.

pub mod lost;
pub mod policy;
pub mod profile;
mod ranges;
pub mod resolve;
pub mod ruleset;
mod selector;
pub mod service;
pub mod symptom;
pub mod view;

pub use lost::LostPackets;
pub use profile::Profile;
pub use ruleset::compile;
pub use symptom::OutcomeClass;
pub use view::{ClusterView, NodeView};
