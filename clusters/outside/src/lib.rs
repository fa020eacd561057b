//! The name server outside a cluster, whose manners can be changed, and the questions and answers it shares with the
//! one inside.
//!
//! [`Upstream`] is what a cluster of this machine forwards unknown names to, and what a pod runs where a cluster has an
//! outside of its own.

pub mod message;
mod upstream;

pub use message::{Request, Transport};
pub use upstream::{Mode, Question, Upstream};
