//! The API server from outside, in one executable, linked once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admission;
mod client;
mod definitions;
mod echo_node;
mod in_process;
mod kubectl;
mod streams;
