//! Keeping Envoy's routes in step with the models.

use tokio::time::Instant;

use super::{Core, Wake, batch};
use crate::experiment::{Experiment, ResourceType};
use crate::journal::Level;
use crate::routes::Share;
use crate::store::transition::Step;
use crate::store::version::Model;
use crate::store::{ModelVersion, ReplicaState};

impl Core {
    pub(super) fn log_routes(&self, level: Level, message: &str, func: &str, more: &[(&str, &str)]) {
        let mut fields = vec![("func", func), ("source", "IncrementalProcessor")];
        fields.extend_from_slice(more);
        self.journal.line(level, message, &fields);
    }

    /// Makes the routes of a model anew and has them published with the next batch.
    pub(super) fn update_model_routes(&mut self, name: &str) {
        let model = self.store.models.get(name).cloned().unwrap_or_default();
        let Some(latest) = model.latest() else {
            self.routes.remove(name);
            return self.cache.update(&mut self.routes);
        };
        self.routes.remove(name);
        let routable = model.can_receive_traffic() && self.store.server(&latest.server).is_ok();
        if routable && let Err(error) = self.add_model_routes(name, &model) {
            let line = format!("Failed to add traffic for model {name}");
            self.log_routes(Level::Error, &line, "modelUpdate", &[("error", &error)]);
            self.routes.remove(name);
        }
        self.pending_versions.push((name.to_owned(), latest.version));
        let last = *self.last_route_batch.get_or_insert_with(Instant::now);
        if last.elapsed() > batch(self.settings.pace) {
            self.publish_routes();
            self.last_route_batch = Some(Instant::now());
        } else if !self.route_batch_due {
            self.route_batch_due = true;
            self.wakes.push(Wake::RouteBatch);
        }
    }

    fn add_model_routes(&mut self, name: &str, model: &Model) -> Result<(), String> {
        let Some(experiment) = self.experiments.with_baseline(ResourceType::Model, name).cloned() else {
            let line = format!("Handle vanilla no experiment traffic for {name}");
            self.log_routes(Level::Info, &line, "addTraffic", &[]);
            return self.add_traffic(name, name, model, 100, Share::Answered);
        };
        let line = format!("Trying to setup experiment for {name}");
        self.log_routes(Level::Info, &line, "addExperimentModelBaselineTraffic", &[]);
        if let Err(error) = self.add_parts(name, &experiment) {
            let line = format!("Revert experiment traffic to just model {name}");
            self.log_routes(Level::Debug, &line, "addTraffic", &[("error", &error)]);
            self.routes.remove(name);
            return self.add_traffic(name, name, model, 100, Share::Answered);
        }
        Ok(())
    }

    /// Adds the candidates and the mirror of an experiment on models to a route.
    fn add_parts(&mut self, route: &str, experiment: &Experiment) -> Result<(), String> {
        for candidate in &experiment.candidates {
            let model = self.store.models.get(&candidate.name).cloned().unwrap_or_default();
            self.add_traffic(route, &candidate.name, &model, candidate.share, Share::Answered)?;
        }
        if let Some(mirror) = &experiment.mirror {
            let model = self.store.models.get(&mirror.name).cloned().unwrap_or_default();
            self.add_traffic(route, &mirror.name, &model, mirror.share, Share::Mirrored)?;
        }
        Ok(())
    }

    /// Lets a route lead to a model: to its newest version, and while that one takes over, to the last available too.
    fn add_traffic(
        &mut self,
        route: &str,
        name: &str,
        model: &Model,
        weight: u32,
        share: Share,
    ) -> Result<(), String> {
        let Some(latest) = model.latest().filter(|_| model.can_receive_traffic()) else {
            if model.latest().is_none() {
                let line = format!("latest model is nil for model {name} route {route}");
                self.log_routes(Level::Info, &line, "addModelTraffic", &[]);
            }
            return Err(format!("no live replica for model {name} for model route {route}"));
        };
        let server = self.store.server(&latest.server).map_err(|error| error.to_string())?;
        let available = model.last_available().filter(|available| available.version != latest.version);
        if let Some(available) = available {
            let old_server = self.store.server(&available.server).map_err(|error| error.to_string())?;
            let (to_latest, to_available) = traffic_share(latest, available, weight);
            self.routes.add(route, available, old_server, to_available, share);
            self.routes.add(route, latest, server, to_latest, share);
        } else {
            self.routes.add(route, latest, server, weight, share);
        }
        Ok(())
    }

    /// Publishes the routes and calls what they lead to available; what they no longer lead to may be unloaded.
    pub(super) fn publish_routes(&mut self) {
        self.route_batch_due = false;
        self.cache.update(&mut self.routes);
        for (name, number) in std::mem::take(&mut self.pending_versions) {
            let Some(version) = self.store.models.get(&name).and_then(|model| model.version(number)).cloned()
            else {
                continue;
            };
            if self.store.server(&version.server).is_err() {
                let line = format!("Failed to get server for model {name} server {}", version.server);
                self.log_routes(Level::Debug, &line, "modelSync", &[]);
                continue;
            }
            for replica in version.assignment() {
                let state = version.replica_state(replica);
                if state != ReplicaState::Draining {
                    self.move_replica(&version, replica, state, ReplicaState::Available);
                }
            }
            for replica in version.replicas_in(ReplicaState::UnloadEnvoyRequested) {
                let from = ReplicaState::UnloadEnvoyRequested;
                self.move_replica(&version, replica, from, ReplicaState::UnloadRequested);
            }
            self.clean_versions(&name);
        }
    }

    fn move_replica(&mut self, version: &ModelVersion, replica: u32, from: ReplicaState, to: ReplicaState) {
        let step = Step {
            model: version.name(),
            version: version.version,
            server: &version.server,
            replica,
            from,
            to,
            reason: "",
            available_memory: None,
            runtime: None,
        };
        match self.store.step(step) {
            Ok(events) => self.publish(events),
            Err(error) => {
                let (name, to, from) = (version.name(), to.as_str_name(), from.as_str_name());
                let line = format!("Failed to update replica state for model {name} to {to} from {from}");
                self.log_routes(Level::Warning, &line, "modelSync", &[("error", &error.to_string())]);
            }
        }
    }

    /// Unloads versions that a newer available one has made superfluous, once a route exists.
    fn clean_versions(&mut self, name: &str) {
        if !self.routes.routes.contains_key(name) {
            return;
        }
        let old = self.store.models.get(name).map(Model::before_last_available).unwrap_or_default();
        for version in old {
            if let Ok(events) = self.store.unload_version(name, version) {
                self.publish(events);
            }
        }
    }

    /// Makes the routes of an experiment anew, and those of its default.
    pub(super) fn update_experiment_routes(&mut self, experiment: &Experiment) -> Result<(), String> {
        if let Some(default) = &experiment.default {
            let (kind, name) = match experiment.on {
                ResourceType::Pipeline => ("pipeline", &experiment.name),
                ResourceType::Model => ("model", &experiment.name),
            };
            let line = format!("Experiment {name} sync - calling for {kind} {default}");
            self.log_routes(Level::Info, &line, "experimentSync", &[]);
            match experiment.on {
                ResourceType::Pipeline => self.update_pipeline_routes(default)?,
                ResourceType::Model => self.update_model_routes(default),
            }
        }
        let route = experiment.route();
        self.routes.remove(&route);
        let added = match experiment.on {
            ResourceType::Model => self.add_parts(&route, experiment),
            ResourceType::Pipeline => {
                self.routes.set_pipeline(&route, super::pipelines::experiment_route(experiment));
                Ok(())
            }
        };
        if let Err(error) = &added {
            let line = format!("Failed to add traffic for experiment {route}");
            self.log_routes(Level::Error, &line, "addExperiment", &[("error", error)]);
            return added;
        }
        self.cache.update(&mut self.routes);
        Ok(())
    }
}

/// How a weight is shared between the newest version and the last available one: by their replicas.
fn traffic_share(latest: &ModelVersion, available: &ModelVersion, weight: u32) -> (u32, u32) {
    let (new, old) = (latest.assignment().len(), available.assignment().len());
    let Some(to_available) = (old * weight as usize).checked_div(new + old) else { return (weight, 0) };
    let to_available = u32::try_from(to_available).unwrap_or(weight);
    (weight - to_available, to_available)
}
