//! Giving a version to replicas, and taking it from them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use seldon_proto::scheduler as pb;

use super::version::{ModelState, ReplicaState, ReplicaStateExt, VersionStatus};
use super::{Events, Store, StoreError};
use crate::event::Event;
use crate::journal::Level;

impl Store {
    /// Gives the newest version of a model to these replicas of a server, and takes it from all others.
    ///
    /// No event when nothing changed and the model is whole: that is why an equal `LoadModel` is not heard of again.
    pub(crate) fn place(
        &mut self,
        name: &str,
        version: u32,
        server_name: &str,
        replicas: &[u32],
    ) -> Result<Events, StoreError> {
        let model = self.models.get(name).ok_or_else(|| StoreError::UnknownModel(name.to_owned()))?;
        let latest = model.latest().ok_or_else(|| StoreError::UnknownModel(name.to_owned()))?;
        if latest.version != version {
            return Err(StoreError::NotLatest {
                model: name.to_owned(),
                got: version,
                latest: latest.version,
            });
        }
        if server_name.is_empty() {
            return Ok(vec![Event::model(name, version)]);
        }
        let Some(server) = self.servers.get(server_name) else {
            return Err(StoreError::UnknownServer(server_name.to_owned()));
        };
        if let Some(missing) = replicas.iter().find(|replica| !server.replicas.contains_key(replica)) {
            return Err(StoreError::NoReplicaToReserve(server_name.to_owned(), *missing));
        }
        let version = self.version_for_server(name, server_name);
        let changed = self.assign(name, version, server_name, replicas);
        Ok(self.tell_if_news(name, version, server_name, changed))
    }

    /// The version to place: a new one when the newest already belongs to another server.
    fn version_for_server(&mut self, name: &str, server: &str) -> u32 {
        let Some(model) = self.models.get_mut(name) else { return 0 };
        let Some(latest) = model.latest() else { return 0 };
        if !latest.server.is_empty() && latest.server != server {
            let definition: pb::Model = latest.definition.clone();
            model.add_next(definition);
        }
        model.latest().map_or(0, |latest| latest.version)
    }

    fn assign(&mut self, name: &str, number: u32, server_name: &str, replicas: &[u32]) -> bool {
        let Some(version) = self.models.get_mut(name).and_then(|model| model.version_mut(number)) else {
            return false;
        };
        let memory = version.required_memory();
        let wanted: BTreeSet<u32> = replicas.iter().copied().collect();
        let mut changed = false;
        for replica in &wanted {
            if !version.replica_state(*replica).already_loading_or_loaded() {
                version.set_replica(*replica, ReplicaState::LoadRequested, "");
                if let Some(replica) =
                    self.servers.get_mut(server_name).and_then(|s| s.replicas.get_mut(replica))
                {
                    replica.reserve(memory);
                }
                changed = true;
            }
        }
        let held: Vec<(u32, ReplicaState)> =
            version.replicas.iter().map(|(index, s)| (*index, s.state)).collect();
        for (replica, state) in held {
            if wanted.contains(&replica) {
                continue;
            }
            let checking = format!(
                "Checking if replicaidx {replica} with state {} should be unloaded",
                state.as_str_name()
            );
            self.journal.line(
                Level::Debug,
                &checking,
                &[("func", "updateLoadedModelsImpl"), ("source", "MemoryStore")],
            );
            if !state.unloading_or_unloaded() && state != ReplicaState::Draining {
                version.set_replica(replica, ReplicaState::UnloadEnvoyRequested, "");
                changed = true;
            }
        }
        changed
    }

    fn tell_if_news(&mut self, name: &str, number: u32, server_name: &str, changed: bool) -> Events {
        let Some(model) = self.models.get_mut(name) else { return Vec::new() };
        let deleted = model.deleted;
        let Some(version) = model.version_mut(number) else { return Vec::new() };
        let state = version.status.state;
        let desired = usize::try_from(version.desired_replicas()).unwrap_or(usize::MAX);
        let short = state == ModelState::ModelAvailable && version.assignment().len() < desired;
        let news = changed
            || deleted
            || short
            || matches!(state, ModelState::ScheduleFailed | ModelState::ModelProgressing);
        if !news {
            return Vec::new();
        }
        version.server = server_name.to_owned();
        model.refresh_as_is(number);
        vec![Event::model(name, number)]
    }

    /// Asks for one version to be taken down wherever it is.
    pub(crate) fn unload_version(&mut self, name: &str, number: u32) -> Result<Events, StoreError> {
        let model = self.models.get_mut(name).ok_or_else(|| StoreError::UnknownModel(name.to_owned()))?;
        let Some(version) = model.version_mut(number) else {
            return Err(StoreError::UnknownVersion(name.to_owned(), number));
        };
        let held: Vec<(u32, ReplicaState)> =
            version.replicas.iter().map(|(index, s)| (*index, s.state)).collect();
        let mut changed = false;
        for (replica, state) in held.into_iter().filter(|(_, state)| !state.unloading_or_unloaded()) {
            let setting = format!(
                "Setting model {name} version {number} on server {} replica {replica} to UnloadRequested was {}",
                version.server,
                state.as_str_name()
            );
            self.journal.line(
                Level::Debug,
                &setting,
                &[("func", "UnloadVersionModels"), ("source", "MemoryStore")],
            );
            version.set_replica(replica, ReplicaState::UnloadRequested, "");
            changed = true;
        }
        if !changed {
            return Ok(Vec::new());
        }
        let life = if model.deleted { super::status::Life::Deleted } else { super::status::Life::Wanted };
        model.refresh(number, super::status::Standing::Superseded, life);
        Ok(vec![Event::model(name, number)])
    }

    /// Writes down that no place was found for the newest version.
    pub(crate) fn fail_scheduling(&mut self, name: &str, reason: &str, server: KeepServer) -> Events {
        let Some(version) = self.models.get_mut(name).and_then(|model| model.versions.last_mut()) else {
            return Vec::new();
        };
        let available = u32::try_from(version.assignment().len()).unwrap_or(u32::MAX);
        version.status = VersionStatus {
            state: ModelState::ScheduleFailed,
            reason: reason.to_owned(),
            available,
            unavailable: version.desired_replicas().wrapping_sub(available),
            changed: Some(Timestamp::now()),
        };
        if server == KeepServer::No {
            version.server.clear();
        }
        vec![Event::model(name, version.version)]
    }
}

/// Whether a version that could not be scheduled keeps the server it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepServer {
    Yes,
    No,
}
