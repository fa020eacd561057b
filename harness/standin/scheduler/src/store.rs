//! What the scheduler knows: models with their versions, servers with their replicas.
//!
//! Pure: no clock but the wall clock in time stamps, no sockets, no locks. Each method that changes something returns
//! the events that follow from it. The rules are those of the memory store of Seldon 2.9.1.

use std::collections::BTreeMap;

use crate::event::Event;
use crate::journal::Journal;

pub(crate) mod lifecycle;
pub(crate) mod placement;
pub(crate) mod replicas;
pub(crate) mod server;
pub(crate) mod status;
pub(crate) mod transition;
pub(crate) mod version;

pub(crate) use server::{ModelVersionKey, Replica, Server};
pub(crate) use version::{Model, ModelVersion, ReplicaState};

/// Why the store refused, in the words of Seldon 2.9.1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("Model {0} does not have a valid name - it must be alphanumeric and not contains dots (.)")]
    InvalidName(String),
    #[error("Model {0} is in process of deletion - new model can not be created")]
    BeingDeleted(String),
    #[error("Model {0} not found")]
    UnknownModelToRemove(String),
    #[error("failed to find model {0}")]
    UnknownModel(String),
    #[error("Version not found for model {0}, version {1}")]
    UnknownVersion(String, u32),
    #[error("failed to find server {0}")]
    UnknownServer(String),
    #[error("Server [{0}] not found")]
    ServerNotFound(String),
    #[error("Failed to find server {0}")]
    NoServerToRemove(String),
    #[error("Failed to find replica {1} for server {0}")]
    NoReplicaToRemove(String, u32),
    #[error("failed to reserve replica {1} as it does not exist on server {0}")]
    NoReplicaToReserve(String, u32),
    #[error("Model version mismatch for {model} got {got} but latest version is now {latest}")]
    NotLatest { model: String, got: u32, latest: u32 },
    #[error(
        "State mismatch for {model}:{version} expected state {} but was {} when trying to move to state {}",
        expected.as_str_name(), found.as_str_name(), wanted.as_str_name()
    )]
    StateMismatch {
        model: String,
        version: u32,
        expected: ReplicaState,
        found: ReplicaState,
        wanted: ReplicaState,
    },
}

/// Models and servers by name.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) models: BTreeMap<String, Model>,
    pub(crate) servers: BTreeMap<String, Server>,
    pub(crate) journal: Journal,
}

/// What a change to the store set off.
pub(crate) type Events = Vec<Event>;

impl Store {
    pub(crate) fn new(journal: Journal) -> Store {
        Store { models: BTreeMap::new(), servers: BTreeMap::new(), journal }
    }

    /// The server of that name.
    pub(crate) fn server(&self, name: &str) -> Result<&Server, StoreError> {
        self.servers.get(name).ok_or_else(|| StoreError::ServerNotFound(name.to_owned()))
    }

    /// The newest version of a model, if the model is known.
    pub(crate) fn latest(&self, name: &str) -> Option<&ModelVersion> {
        self.models.get(name).and_then(Model::latest)
    }
}
