//! One node of the embedded cluster: its links, its container runtime, its kubelet and its kube-proxy.

mod container;
mod links;

pub use container::{Program, container_init};
