//! The controllers at work on the API server, with a task that plays the node's part.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod garbage;
mod jobs;
mod lab;
mod services;
mod workloads;
