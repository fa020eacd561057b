//! What agents are told, and what they report.

use std::collections::BTreeSet;

use seldon_proto::agent::model_event_message::Event as AgentReport;
use seldon_proto::agent::model_operation_message::Operation;
use seldon_proto::agent::{AgentSubscribeRequest, ModelEventMessage, ModelOperationMessage, ModelVersion};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::{Autoscaling, Core};
use crate::journal::Level;
use crate::store::ReplicaState;
use crate::store::transition::Step;
use crate::store::version::ModelVersion as Version;

/// The way to one agent.
pub(crate) type AgentSender = mpsc::UnboundedSender<Result<ModelOperationMessage, Status>>;

/// What a stream that is gone answers, in grpc-go's words.
const STREAM_GONE: &str = "rpc error: code = Unavailable desc = transport is closing";

/// A replica whose models are looking for another place.
#[derive(Debug)]
pub(crate) struct Drain {
    server: String,
    replica: u32,
    models: BTreeSet<String>,
    done: oneshot::Sender<()>,
}

impl Core {
    fn log_agents(&self, level: Level, message: &str, func: &str, more: &[(&str, &str)]) {
        let mut fields = vec![("source", "AgentServer")];
        if !func.is_empty() {
            fields.push(("func", func));
        }
        fields.extend_from_slice(more);
        self.journal.line(level, message, &fields);
    }

    /// Sends agents what the states of a model's versions ask for.
    pub(super) fn sync_agents(&mut self, name: &str) {
        let Some(model) = self.store.models.get(name) else { return };
        let Some(latest) = model.latest() else { return };
        if !latest.replicas_in(ReplicaState::Available).is_empty() {
            self.relocated(name);
        }
        let Some(model) = self.store.models.get(name) else { return };
        let mut orders: Vec<(Version, u32, Operation)> = Vec::new();
        if let Some(latest) = model.latest() {
            let replicas = latest.replicas_in(ReplicaState::LoadRequested);
            orders
                .extend(replicas.into_iter().map(|replica| (latest.clone(), replica, Operation::LoadModel)));
        }
        for version in &model.versions {
            let replicas = version.replicas_in(ReplicaState::UnloadRequested);
            orders.extend(
                replicas.into_iter().map(|replica| (version.clone(), replica, Operation::UnloadModel)),
            );
        }
        for (version, replica, operation) in orders {
            self.order(&version, replica, operation);
        }
    }

    fn order(&mut self, version: &Version, replica: u32, operation: Operation) {
        let (name, number) = (version.name(), version.version);
        let (from, to, failed) = if operation == Operation::LoadModel {
            let line = format!("Sending load model request for {name}");
            self.log_agents(Level::Info, &line, "Sync", &[]);
            (ReplicaState::LoadRequested, ReplicaState::Loading, ReplicaState::LoadFailed)
        } else {
            let line = format!("Sending unload model request for {name}:{number}");
            self.log_agents(Level::Info, &line, "", &[]);
            (ReplicaState::UnloadRequested, ReplicaState::Unloading, ReplicaState::UnloadFailed)
        };
        let Some(agent) = self.agents.get(&(version.server.clone(), replica)) else {
            let line = format!("Failed to find server replica for {}:{replica}", version.server);
            return self.log_agents(Level::Error, &line, "Sync", &[]);
        };
        let scales = version.deployment().is_some_and(|spec| spec.min_replicas > 0 || spec.max_replicas > 0);
        let message = ModelOperationMessage {
            operation: operation.into(),
            model_version: Some(ModelVersion { model: Some(version.definition.clone()), version: number }),
            autoscaling_enabled: operation == Operation::LoadModel
                && scales
                && self.settings.model_autoscaling == Autoscaling::On,
        };
        let sent = agent.send(Ok(message)).is_ok();
        if !sent {
            let line = format!("stream message send failed for model {name} and replicaidx {replica}");
            self.log_agents(Level::Error, &line, "Sync", &[("error", STREAM_GONE)]);
        }
        let (to, reason) = if sent { (to, "") } else { (failed, STREAM_GONE) };
        let server = version.server.as_str();
        let step = Step {
            model: name,
            version: number,
            server,
            replica,
            from,
            to,
            reason,
            available_memory: None,
            runtime: None,
        };
        match self.store.step(step) {
            Ok(events) => self.publish(events),
            Err(error) => {
                let line = format!("Sync set model state failed for model {name} replicaidx {replica}");
                self.log_agents(Level::Error, &line, "Sync", &[("error", &error.to_string())]);
            }
        }
    }

    /// An agent reports what came of an order.
    pub(crate) fn agent_event(&mut self, message: &ModelEventMessage) -> Result<(), String> {
        let (from, to) = match message.event() {
            AgentReport::Loaded => (ReplicaState::Loading, ReplicaState::Loaded),
            AgentReport::Unloaded => (ReplicaState::Unloading, ReplicaState::Unloaded),
            AgentReport::LoadFailed | AgentReport::LoadFailMemory => {
                (ReplicaState::Loading, ReplicaState::LoadFailed)
            }
            AgentReport::UnloadFailed => (ReplicaState::Unloading, ReplicaState::UnloadFailed),
            _ => (ReplicaState::Unknown, ReplicaState::Unknown),
        };
        let name = message.model_name.as_str();
        let line = format!("Updating state for model {name} to {}", to.as_str_name());
        self.log_agents(Level::Info, &line, "AgentEvent", &[]);
        let step = Step {
            model: name,
            version: message.model_version,
            server: &message.server_name,
            replica: message.replica_idx,
            from,
            to,
            reason: &message.message,
            available_memory: Some(message.available_memory_bytes),
            runtime: message.runtime_info.clone(),
        };
        match self.store.step(step) {
            Ok(events) => {
                self.publish(events);
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                let line = format!("Failed Updating state for model {name}");
                self.log_agents(Level::Info, &line, "AgentEvent", &[("error", &text)]);
                Err(text)
            }
        }
    }

    /// An agent's stream is open: it can be sent orders, and its replica takes models.
    pub(crate) fn subscribe_agent(&mut self, request: &AgentSubscribeRequest, sender: AgentSender) {
        let (server, replica) = (&request.server_name, request.replica_idx);
        let line = format!("Received subscribe request from {server}:{replica}");
        self.log_agents(Level::Info, &line, "Subscribe", &[]);
        self.agents.insert((server.clone(), replica), sender);
        let events = self.store.add_replica(request);
        self.publish(events);
    }

    /// The gate is open: the models an agent brought find their place, and failed ones get another try.
    pub(crate) fn schedule_for_agent(&mut self, request: &AgentSubscribeRequest) {
        for loaded in &request.loaded_models {
            let meta = loaded.model.as_ref().and_then(|model| model.meta.as_ref());
            let name = meta.map_or("", |meta| &meta.name);
            if let Err(error) = self.schedule(name) {
                let line = format!("Failed to reschedule model {name} from agent starting with state");
                self.log_agents(Level::Warning, &line, "", &[("error", &error)]);
            }
        }
        self.retry_failed();
    }

    /// An agent's stream is gone: its replica is, too, and the models on it need another place.
    pub(crate) fn lose_agent(&mut self, server: &str, replica: u32) {
        let line = format!("Client replica {server}:{replica} has disconnected");
        self.log_agents(Level::Info, &line, "Subscribe", &[]);
        self.agents.remove(&(server.to_owned(), replica));
        let homeless = match self.store.remove_replica(server, replica) {
            Ok((homeless, events)) => {
                self.publish(events);
                homeless
            }
            Err(error) => {
                let line = format!("Failed to remove replica and redeploy models for {server}:{replica}");
                self.log_agents(Level::Error, &line, "", &[("error", &error.to_string())]);
                Vec::new()
            }
        };
        let line = format!("Removing models [{}] from server {server}:{replica}", homeless.join(" "));
        self.log_agents(Level::Debug, &line, "", &[]);
        for name in homeless {
            if self.schedule(&name).is_err() {
                let line = format!(
                    "Failed to reschedule model {name} when server {server} replica {replica} disconnected"
                );
                self.log_agents(Level::Debug, &line, "", &[]);
            }
        }
        self.retry_failed();
    }

    /// A replica is about to go. The receiver hears when its models have found another place or none can be found;
    /// `None` when there is nothing to wait for.
    pub(crate) fn drain_agent(&mut self, server: &str, replica: u32) -> Option<oneshot::Receiver<()>> {
        let line = format!("Draining server replica {server}:{replica}");
        self.log_agents(Level::Info, &line, "AgentDrain", &[]);
        let models = match self.store.drain_replica(server, replica) {
            Ok(models) => models,
            Err(error) => {
                let line = format!("Failed to remove replica and redeploy models for {server}:{replica}");
                self.log_agents(Level::Error, &line, "", &[("error", &error.to_string())]);
                return None;
            }
        };
        let (done, wait) = oneshot::channel();
        if !models.is_empty() {
            let models = models.iter().cloned().collect();
            self.drains.push(Drain { server: server.to_owned(), replica, models, done });
        }
        for name in &models {
            if self.schedule(name).is_err() {
                let line = format!(
                    "Failed to reschedule model {name} when server {server} replica {replica} draining"
                );
                self.log_agents(Level::Debug, &line, "", &[]);
                // It has nowhere to go for the time being; waiting would not help it.
                self.relocated(name);
            }
        }
        let waits = self.drains.iter().any(|drain| drain.server == server && drain.replica == replica);
        waits.then_some(wait)
    }

    /// A model is settled, as far as draining replicas are concerned.
    fn relocated(&mut self, name: &str) {
        for drain in &mut self.drains {
            drain.models.remove(name);
        }
        for drain in self.drains.extract_if(.., |drain| drain.models.is_empty()) {
            // An agent that no longer waits need not hear it.
            drain.done.send(()).ok();
        }
    }
}
