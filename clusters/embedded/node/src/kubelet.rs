//! The kubelet: runs the pods that are bound to this node and reports on them as kubelet 1.33 does.

mod atomic_writer;
mod backoff;
mod commands;
mod conditions;
mod containers;
mod environment;
mod events;
mod field_ref;
mod hooks;
mod hosts_file;
mod mounts;
mod node_object;
mod pod;
mod probes;
mod record;
mod resolv_conf;
mod sandbox;
mod start;
mod status;
mod termination;
mod volumes;
mod watch_pods;
mod worker;

pub(crate) use commands::{KillOnDrop, request as exec_request};
pub(crate) use events::Events;
pub(crate) use node_object::maintain as maintain_node;
pub(crate) use pod::{PodRuntime, Running};
pub(crate) use record::State;
pub(crate) use watch_pods::{watch_pods, watch_sources};
