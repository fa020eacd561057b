//! What one part of the scheduler tells the others.
//!
//! Seldon 2.9.1 hands these to goroutines through an event hub. Here they wait in one queue and every part handles each
//! of them in turn, so the order of log lines and messages is the same in every run.

/// Something changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A version of a model changed its state; version 0 asks for its routes to be made anew.
    Model { name: String, version: u32 },
    /// A server gained a replica, or should grow or shrink.
    Server { name: String, change: ServerChange },
    /// An experiment changed.
    Experiment { name: String, cause: ExperimentCause },
    /// A pipeline changed.
    Pipeline { name: String, version: u32, cause: PipelineCause },
}

impl Event {
    pub(crate) fn model(name: &str, version: u32) -> Event {
        Event::Model { name: name.to_owned(), version }
    }
}

/// What changed at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerChange {
    /// The agent of this replica subscribed.
    Connected(u32),
    /// A model found too few replicas.
    WantsMore,
    /// A model left a replica.
    WantsFewer,
}

/// Why an experiment is talked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExperimentCause {
    /// Its routes are to be made anew.
    Changed,
    /// Only its status is news.
    StatusOnly,
}

/// Why a pipeline is talked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PipelineCause {
    /// It was loaded or unloaded.
    Changed,
    /// The part that talks to dataflow engines set its state.
    DataflowState,
    /// One of its models became ready or ceased to be.
    ModelStatus,
    /// An experiment changed its routes.
    Experiment,
}
