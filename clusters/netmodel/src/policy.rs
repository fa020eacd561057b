//! Network policies: who may talk to whom, and which policy decided.
//!
//! [`explain()`] answers for one flow; [`verdict`] is its short form. Both judge a packet as the
//! rules of a node do: after a Service's address has been replaced by an endpoint's, and before
//! any masquerading. [`crate::service::route`] does the replacing.
//!
//! Sources: the API's reference, kube-router 2.2.1 (k3s 1.33.1) and Calico 3.28 as observed.

pub(crate) mod blocks;
mod explain;
pub(crate) mod plan;
mod rules;

pub use explain::{Admission, Direction, Endpoint, Explanation, Flow, Gate, NoSuchPod, Path};
pub use explain::{PolicyName, Protocol, Verdict, explain, verdict};
