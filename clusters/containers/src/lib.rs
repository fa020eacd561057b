//! k3s in one container, through the Docker API: the only place that knows `testcontainers`.
//!
//! A crate of its own, because what it stands on takes longer to build than everything that uses it.

mod k3s_container;

pub use k3s_container::{Container, ContainerError, start};
