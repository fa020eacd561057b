//! Servers and their replicas come and go.

use seldon_proto::{agent, scheduler as pb};

use super::status::{Life, Standing};
use super::version::{ModelVersion, ReplicaState, ReplicaStatus};
use super::{Events, ModelVersionKey, Replica, Server, Store, StoreError};
use crate::event::{Event, ServerChange};
use crate::journal::Level;

impl Store {
    /// The operator declares a server. Its `shared` counts only for a server nobody has seen: agents decide it.
    pub(crate) fn notify(&mut self, request: &pb::ServerNotify) {
        let line = format!("ServerNotify {}", crate::prototext::server_notify(request));
        self.journal.line(Level::Debug, &line, &[("func", "MemoryServerNotify"), ("source", "MemoryStore")]);
        let server = self
            .servers
            .entry(request.name.clone())
            .or_insert_with(|| Server::new(&request.name, request.shared));
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        server.expected_replicas = number(request.expected_replicas);
        server.min_replicas = number(request.min_replicas);
        server.max_replicas = number(request.max_replicas);
        server.kubernetes_meta = request.kubernetes_meta.clone();
    }

    /// An agent announces a replica, with the models it still has loaded.
    pub(crate) fn add_replica(&mut self, request: &agent::AgentSubscribeRequest) -> Events {
        let name = &request.server_name;
        let server = self.servers.entry(name.clone()).or_insert_with(|| Server::new(name, request.shared));
        server.shared = request.shared;
        server.replicas.insert(request.replica_idx, Replica::announced(request));
        let mut events = Vec::new();
        for loaded in &request.loaded_models {
            let definition = loaded.model.clone().unwrap_or_default();
            let model_name = definition.meta.as_ref().map_or("", |meta| &meta.name).to_owned();
            let model = self.models.entry(model_name.clone()).or_default();
            if model.version(loaded.version).is_none() {
                model.add(ModelVersion::new(definition, loaded.version));
            }
            if let Some(version) = model.version_mut(loaded.version) {
                let status =
                    ReplicaStatus { state: ReplicaState::Loaded, reason: String::new(), changed: None };
                version.replicas.insert(request.replica_idx, status);
                version.server.clone_from(name);
            }
            model.refresh(loaded.version, Standing::Latest, Life::Wanted);
            events.push(Event::model(&model_name, loaded.version));
        }
        events
            .push(Event::Server { name: name.clone(), change: ServerChange::Connected(request.replica_idx) });
        events
    }

    fn replica(&self, server: &str, replica: u32) -> Result<&Replica, StoreError> {
        let known =
            self.servers.get(server).ok_or_else(|| StoreError::NoServerToRemove(server.to_owned()))?;
        known.replicas.get(&replica).ok_or_else(|| StoreError::NoReplicaToRemove(server.to_owned(), replica))
    }

    /// A replica is gone, and with the last one the server. Returns the models that need another place.
    pub(crate) fn remove_replica(
        &mut self,
        name: &str,
        index: u32,
    ) -> Result<(Vec<String>, Events), StoreError> {
        let replica = self.replica(name, index)?.clone();
        if let Some(server) = self.servers.get_mut(name) {
            server.replicas.remove(&index);
            if server.replicas.is_empty() {
                self.servers.remove(name);
            }
        }
        let (mut homeless, mut events) = (Vec::new(), Vec::new());
        for key in replica.loaded.iter().chain(&replica.loading) {
            let Some(model) = self.models.get_mut(&key.model) else { continue };
            let latest = model.latest().is_some_and(|latest| latest.version == key.version);
            let deleted = model.deleted;
            let Some(version) = model.version_mut(key.version) else { continue };
            version.replicas.remove(&index);
            if deleted || !latest {
                // Nobody wants it back: the loss of the replica completes its removal.
                version.set_replica(
                    index,
                    ReplicaState::Unloaded,
                    "model is removed when server replica was removed",
                );
                model.refresh_as_is(key.version);
                events.push(Event::model(&key.model, key.version));
            } else {
                homeless.push(key.model.clone());
            }
        }
        Ok((homeless, events))
    }

    /// A replica is about to go: it takes no more models, and those on it should find another place.
    pub(crate) fn drain_replica(&mut self, name: &str, index: u32) -> Result<Vec<String>, StoreError> {
        let loaded: Vec<ModelVersionKey> = self.replica(name, index)?.loaded.iter().cloned().collect();
        if let Some(replica) = self.servers.get_mut(name).and_then(|server| server.replicas.get_mut(&index)) {
            replica.draining = true;
        }
        let mut models = Vec::new();
        for key in loaded {
            if let Some(version) =
                self.models.get_mut(&key.model).and_then(|model| model.version_mut(key.version))
            {
                version.set_replica(index, ReplicaState::Draining, "trigger to drain");
                models.push(key.model);
            }
        }
        Ok(models)
    }

    /// The highest number of replicas any model wants on that server.
    pub(crate) fn most_replicas_wanted(&self, server: &str) -> u32 {
        let latest = self.models.values().filter_map(super::Model::latest);
        latest
            .filter(|version| version.server == server)
            .map(ModelVersion::desired_replicas)
            .max()
            .unwrap_or(0)
    }
}
