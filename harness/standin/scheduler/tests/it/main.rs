//! The stand-in as others meet it: an operator, agents, and the real Envoy.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected fails where it meets it")]

mod agents;
mod baseline;
mod envoy;
mod experiments;
mod gate;
mod liveness;
mod mesh;
mod network;
mod proxy;
mod restart;
