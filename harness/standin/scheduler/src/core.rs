//! The scheduler's one mind: what it knows, what it has promised, and whom it must tell.
//!
//! Everything happens under one lock, one event after the other. Nothing here waits; what must happen later is
//! returned as a [`Wake`] and slept for outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pace::Pace;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::event::{Event, ServerChange};
use crate::experiment::{Experiments, ResourceType};
use crate::gate::{Gate, Opening};
use crate::journal::{Journal, Level};
use crate::pipeline::Pipelines;
use crate::routes::RouteTable;
use crate::store::Store;
use crate::xds::{Cache, EnvoySettings};

pub(crate) mod agents;
pub(crate) mod experiments;
pub(crate) mod pipelines;
pub(crate) mod routing;
pub(crate) mod telling;

pub(crate) use agents::{AgentSender, Drain};
pub(crate) use telling::Audiences;

/// Whether the scheduler may change the number of replicas by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autoscaling {
    /// It asks for other sizes.
    On,
    /// It leaves sizes alone.
    Off,
}

/// Settings of the core.
#[derive(Debug, Clone)]
pub(crate) struct CoreSettings {
    pub(crate) pace: Pace,
    pub(crate) model_autoscaling: Autoscaling,
    pub(crate) server_autoscaling: Autoscaling,
    pub(crate) envoy: EnvoySettings,
}

/// Something due after the batch time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Publish pending routes and call their models available.
    RouteBatch,
    /// Send pending server statuses.
    ServerStatusBatch,
}

/// Seldon's 250 ms between two batches, and never less than 5 ms, so that a batch stays one.
pub(crate) fn batch(pace: Pace) -> Duration {
    pace.wait(Duration::from_millis(250)).max(Duration::from_millis(5))
}

/// The state of the scheduler.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) journal: Journal,
    pub(crate) settings: CoreSettings,
    pub(crate) gate: Gate,
    pub(crate) store: Store,
    pub(crate) routes: RouteTable,
    pub(crate) cache: Cache,
    pub(crate) experiments: Experiments,
    pub(crate) pipelines: Pipelines,
    pub(crate) audiences: Audiences,
    pub(crate) agents: BTreeMap<(String, u32), AgentSender>,
    pub(crate) drains: Vec<Drain>,
    pending_versions: Vec<(String, u32)>,
    last_route_batch: Option<Instant>,
    route_batch_due: bool,
    pending_servers: BTreeSet<String>,
    server_batch_due: bool,
    queue: VecDeque<Event>,
    wakes: Vec<Wake>,
}

impl Core {
    pub(crate) fn new(settings: CoreSettings, journal: Journal) -> Core {
        Core {
            gate: Gate::default(),
            store: Store::new(journal.clone()),
            routes: RouteTable::new(journal.clone()),
            cache: Cache::new(&settings.envoy),
            experiments: Experiments::default(),
            pipelines: Pipelines::default(),
            audiences: Audiences::default(),
            agents: BTreeMap::new(),
            drains: Vec::new(),
            pending_versions: Vec::new(),
            last_route_batch: None,
            route_batch_due: false,
            pending_servers: BTreeSet::new(),
            server_batch_due: false,
            queue: VecDeque::new(),
            wakes: Vec::new(),
            settings,
            journal,
        }
    }

    pub(crate) fn publish(&mut self, events: impl IntoIterator<Item = Event>) {
        self.queue.extend(events);
    }

    fn settle(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            match event {
                Event::Model { name, version } => self.on_model(&name, version),
                Event::Server { name, change } => self.on_server(&name, change),
                Event::Experiment { name, cause } => self.on_experiment(&name, cause),
                Event::Pipeline { name, version, cause } => self.on_pipeline(&name, version, cause),
            }
        }
    }

    fn on_model(&mut self, name: &str, version: u32) {
        self.tell_model(name, version);
        self.note_server_of(name, version);
        self.sync_agents(name);
        self.update_model_routes(name);
        self.note_in_experiments(ResourceType::Model, name);
        self.note_in_pipelines(name);
    }

    fn on_server(&mut self, name: &str, change: ServerChange) {
        match change {
            ServerChange::Connected(replica) => {
                let opening = self.gate.connected(name, replica);
                self.log_opening(opening);
            }
            ServerChange::WantsMore | ServerChange::WantsFewer => self.scale_server(name, change),
        }
    }

    pub(crate) fn log_opening(&self, opening: Opening) {
        if let Opening::Complete(agents) = opening {
            let line = format!("All (num: {agents}) servers connected");
            self.journal.line(Level::Info, &line, &[("source", "ServerBasedSynchroniser")]);
        }
    }

    fn scale_server(&mut self, name: &str, change: ServerChange) {
        if self.settings.server_autoscaling == Autoscaling::Off {
            return;
        }
        let Ok(server) = self.store.server(name) else {
            let error = format!("Server [{name}] not found");
            let line = format!("Failed to get server {name}");
            self.log_server(Level::Error, &line, "handleServerEvents", &[("error", &error)]);
            return;
        };
        let Some(replicas) = wanted_size(server, self.store.most_replicas_wanted(name), change) else {
            return;
        };
        let direction = if change == ServerChange::WantsMore { "up" } else { "down" };
        let message = server.scaling_request(replicas);
        let line = format!("Server {name} is scaling {direction} to {replicas}");
        self.log_server(Level::Info, &line, "handleServerEvents", &[]);
        self.audiences.servers.tell(&message);
    }

    /// A line of the part that serves port 9004.
    pub(crate) fn log_server(&self, level: Level, message: &str, func: &str, more: &[(&str, &str)]) {
        let mut fields = vec![("func", func), ("source", "SchedulerServer")];
        fields.extend_from_slice(more);
        self.journal.line(level, message, &fields);
    }

    /// Schedules a model. The error is Seldon's text.
    pub(crate) fn schedule(&mut self, name: &str) -> Result<(), String> {
        let outcome = self.store.schedule(name);
        self.publish(outcome.events);
        self.publish(outcome.wants_more);
        outcome.result
    }

    /// Tries again what failed before, as Seldon does whenever an agent comes or goes.
    pub(crate) fn retry_failed(&mut self) {
        for name in self.store.failed_models() {
            let outcome = self.store.schedule(&name);
            self.publish(outcome.events);
            if outcome.result.is_err() {
                let line = format!("Failed to schedule failed model {name}");
                self.journal.line(Level::Debug, &line, &[("Name", "SimpleScheduler")]);
            }
        }
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::RouteBatch => self.publish_routes(),
            Wake::ServerStatusBatch => self.send_server_statuses(),
        }
    }
}

/// The size the scheduler would give a server, if it is not the one it has. Packing is not done: 2.9.1 has it off.
fn wanted_size(server: &crate::store::Server, most_wanted: u32, change: ServerChange) -> Option<u32> {
    let expected = u32::try_from(server.expected_replicas).ok()?;
    match change {
        ServerChange::WantsMore => {
            let most = u32::try_from(server.max_replicas).ok().filter(|most| *most >= 1)?;
            (most_wanted > expected).then(|| most_wanted.min(most))
        }
        _ => {
            let least = u32::try_from(server.min_replicas).ok().filter(|least| *least > 0).unwrap_or(1);
            let empty = u32::try_from(server.empty_replicas()).unwrap_or(u32::MAX);
            (empty > 0 && expected > 1).then(|| least.max(expected.saturating_sub(empty)))
        }
    }
}

#[derive(Debug)]
struct Inner {
    core: Mutex<Core>,
    gate: watch::Sender<bool>,
    batch: Duration,
}

/// The core, shared by everything that serves.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Inner>);

impl Shared {
    pub(crate) fn new(core: Core) -> Shared {
        let batch = batch(core.settings.pace);
        Shared(Arc::new(Inner { core: Mutex::new(core), gate: watch::Sender::new(false), batch }))
    }

    /// Does something to the core, then everything that follows from it. Must run inside a tokio runtime.
    pub(crate) fn with<R>(&self, action: impl FnOnce(&mut Core) -> R) -> R {
        let (result, wakes, open) = {
            let mut core = self.0.core.lock().unwrap_or_else(PoisonError::into_inner);
            let result = action(&mut core);
            core.settle();
            (result, std::mem::take(&mut core.wakes), core.gate.is_open())
        };
        if open {
            self.0.gate.send_replace(true);
        }
        for wake in wakes {
            self.wake_later(wake);
        }
        result
    }

    fn wake_later(&self, wake: Wake) {
        let shared = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(shared.0.batch).await;
            shared.with(|core| core.wake(wake));
        });
    }

    /// Waits until the start gate is open.
    pub(crate) async fn ready(&self) {
        let mut gate = self.0.gate.subscribe();
        // The sender lives as long as `self`.
        drop(gate.wait_for(|open| *open).await);
    }
}

#[cfg(test)]
mod tests;
