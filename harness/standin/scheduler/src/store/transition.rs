//! One replica's step from a state to the next.

use seldon_proto::scheduler as pb;

use super::version::ReplicaState;
use super::{Events, ModelVersionKey, Replica, Store, StoreError};
use crate::event::{Event, ServerChange};
use crate::journal::{Journal, Level};

/// A step of one version on one replica.
#[derive(Debug, Clone)]
pub(crate) struct Step<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: u32,
    pub(crate) server: &'a str,
    pub(crate) replica: u32,
    pub(crate) from: ReplicaState,
    pub(crate) to: ReplicaState,
    pub(crate) reason: &'a str,
    /// Bytes the agent has left, when an agent reports the step.
    pub(crate) available_memory: Option<u64>,
    pub(crate) runtime: Option<pb::ModelRuntimeInfo>,
}

impl Store {
    /// Takes the step if the replica is where the step starts.
    pub(crate) fn step(&mut self, step: Step<'_>) -> Result<Events, StoreError> {
        let unknown_model = || StoreError::UnknownModel(step.model.to_owned());
        let model = self.models.get_mut(step.model).ok_or_else(unknown_model)?;
        let Some(version) = model.version_mut(step.version) else {
            return Err(StoreError::UnknownVersion(step.model.to_owned(), step.version));
        };
        let Some(server) = self.servers.get_mut(step.server) else {
            return Err(StoreError::UnknownServer(step.server.to_owned()));
        };
        if let (Some(spec), Some(runtime)) = (&mut version.definition.model_spec, step.runtime)
            && spec.model_runtime_info.is_none()
        {
            spec.model_runtime_info = Some(runtime);
        }
        let found = version.replica_state(step.replica);
        if found != step.from {
            let (expected, wanted) = (step.from, step.to);
            let (model, version) = (step.model.to_owned(), step.version);
            return Err(StoreError::StateMismatch { model, version, expected, found, wanted });
        }
        let memory = version.required_memory();
        let mut replica = server.replicas.get_mut(&step.replica);
        if let Some(replica) = &mut replica {
            match step.to {
                ReplicaState::LoadRequested => replica.reserve(memory),
                ReplicaState::LoadFailed | ReplicaState::Loaded => replica.release(memory),
                _ => {}
            }
        }
        if step.from == step.to {
            return Ok(Vec::new());
        }
        version.set_replica(step.replica, step.to, step.reason);
        let fields = [("func", "updateModelStateImpl"), ("source", "MemoryStore")];
        let (name, number, on, at) = (step.model, step.version, step.server, step.replica);
        let setting = format!(
            "Setting model {name} version {number} on server {on} replica {at} to {}",
            step.to.as_str_name()
        );
        self.journal.line(Level::Debug, &setting, &fields);
        let key = ModelVersionKey { model: name.to_owned(), version: number };
        let left = match replica {
            Some(replica) => note_on_replica(&self.journal, replica, &key, on, step.to),
            None => false,
        };
        if let (Some(replica), Some(bytes)) = (server.replicas.get_mut(&at), step.available_memory) {
            replica.available_memory = bytes;
        }
        model.refresh_as_is(number);
        let mut events = vec![Event::model(name, number)];
        if left {
            events.push(Event::Server { name: on.to_owned(), change: ServerChange::WantsFewer });
        }
        Ok(events)
    }
}

/// Keeps the replica's lists of models. Says whether the version left it.
fn note_on_replica(
    journal: &Journal,
    replica: &mut Replica,
    key: &ModelVersionKey,
    server: &str,
    state: ReplicaState,
) -> bool {
    let (model, version) = (&key.model, key.version);
    let list = format!("server {server} replica {} list of loaded / loading models", replica.index);
    let log = |line: &str| {
        journal.line(Level::Info, line, &[("func", "updateModelStateImpl"), ("source", "MemoryStore")]);
    };
    match state {
        ReplicaState::Loading | ReplicaState::Loaded => {
            log(&format!("Adding model {model}({version}) to {list}"));
            if state == ReplicaState::Loading {
                replica.loading.insert(key.clone());
            } else {
                replica.loading.remove(key);
                replica.loaded.insert(key.clone());
            }
            false
        }
        ReplicaState::Unloaded | ReplicaState::LoadFailed => {
            log(&format!("Removing model {model}({version}) from {list}"));
            replica.loading.remove(key);
            replica.loaded.remove(key);
            true
        }
        _ => false,
    }
}
