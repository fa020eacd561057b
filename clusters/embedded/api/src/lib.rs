//! The Kubernetes 1.33 API server of the embedded cluster.
//!
//! Under construction.

mod node_requests;

pub use node_requests::{ExecExit, ExecOutput, NodeError, NodeRequest, TerminalSize};
