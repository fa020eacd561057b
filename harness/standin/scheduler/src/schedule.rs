//! Which server and which of its replicas a model goes to.

use crate::event::{Event, ServerChange};
use crate::journal::Level;
use crate::store::placement::KeepServer;
use crate::store::version::ModelVersion;
use crate::store::{Events, Replica, Server, Store};

pub(crate) mod filter;

const NO_SERVERS: &str = "Failed to schedule model as no matching servers are available";
const TOO_FEW_REPLICAS: &str = "Failed to schedule model as no matching server had enough suitable replicas";
const ONLY_MIN_REPLICAS: &str = "Failed to schedule model as no matching server had enough suitable replicas, \
     managed to schedule with min replicas";

/// What came of trying to schedule.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Why it failed, in Seldon's words.
    pub(crate) result: Result<(), String>,
    pub(crate) events: Events,
    /// The server that is too small; told on only when scheduling was asked for, not on a retry.
    pub(crate) wants_more: Option<Event>,
}

impl Outcome {
    fn failed(reason: &str) -> Outcome {
        Outcome { result: Err(reason.to_owned()), events: Vec::new(), wants_more: None }
    }
}

impl Store {
    fn scheduler_line(&self, level: Level, message: &str, func: &str, more: &[(&str, &str)]) {
        let mut fields = vec![("Name", "SimpleScheduler"), ("func", func)];
        fields.extend_from_slice(more);
        self.journal.line(level, message, &fields);
    }

    /// Finds a place for the newest version of a model, or takes a deleted model down.
    pub(crate) fn schedule(&mut self, name: &str) -> Outcome {
        self.scheduler_line(Level::Debug, "Schedule model", "scheduleToServer", &[("model", name)]);
        let Some(latest) = self.latest(name).cloned() else {
            return Outcome::failed("Unable to find latest version for model");
        };
        if self.models.get(name).is_some_and(|model| model.deleted) {
            return self.take_down(name, &latest);
        }
        let candidates = self.candidates(&latest);
        if candidates.is_empty() {
            self.scheduler_line(Level::Debug, NO_SERVERS, "scheduleToServer", &[("model", name)]);
            let keep = if latest.has_live_replicas() { KeepServer::Yes } else { KeepServer::No };
            let events = self.fail_scheduling(name, NO_SERVERS, keep);
            return Outcome { result: Err(NO_SERVERS.to_owned()), events, wants_more: None };
        }
        let desired = latest.desired_replicas() as usize;
        if let Some(events) = self.place_on_first(&candidates, &latest, desired, desired) {
            return Outcome { result: Ok(()), events, wants_more: None };
        }
        let minimum = latest.min_replicas() as usize;
        let partly =
            (minimum > 0).then(|| self.place_on_first(&candidates, &latest, desired, minimum)).flatten();
        if let Some(events) = partly {
            self.scheduler_line(Level::Warning, ONLY_MIN_REPLICAS, "scheduleToServer", &[("model", name)]);
            let wants_more = self.scale_up_request(name);
            return Outcome { result: Ok(()), events, wants_more };
        }
        let wants_more = self.scale_up_request(name);
        self.scheduler_line(Level::Debug, TOO_FEW_REPLICAS, "scheduleToServer", &[("model", name)]);
        let held = latest.has_live_replicas() || latest.is_loading_or_loaded_anywhere();
        let keep = if held { KeepServer::Yes } else { KeepServer::No };
        let events = self.fail_scheduling(name, TOO_FEW_REPLICAS, keep);
        Outcome { result: Err(TOO_FEW_REPLICAS.to_owned()), events, wants_more }
    }

    fn take_down(&mut self, name: &str, latest: &ModelVersion) -> Outcome {
        let live: Vec<u32> = self.models.get(name).map_or_else(Vec::new, |model| {
            model
                .versions
                .iter()
                .filter(|version| version.has_live_replicas())
                .map(|version| version.version)
                .collect()
        });
        let mut events = Events::new();
        for version in live {
            match self.unload_version(name, version) {
                Ok(more) => events.extend(more),
                Err(error) => self.scheduler_line(
                    Level::Warning,
                    &format!("Failed to unload model {name} version {version}"),
                    "scheduleToServer",
                    &[("model", name), ("error", &error.to_string())],
                ),
            }
        }
        match self.place(name, latest.version, &latest.server, &[]) {
            Ok(more) => events.extend(more),
            Err(error) => self.scheduler_line(
                Level::Warning,
                "Failed to unschedule model replicas from server",
                "scheduleToServer",
                &[("model", name), ("server", &latest.server), ("error", &error.to_string())],
            ),
        }
        Outcome { result: Ok(()), events, wants_more: None }
    }

    /// Servers that could take the model, those it is on already first.
    fn candidates(&self, version: &ModelVersion) -> Vec<String> {
        let (mut on, mut others) = (Vec::new(), Vec::new());
        for server in self.servers.values() {
            if let Some(rejection) = filter::reject_server(version, server) {
                let fields = [
                    ("model", version.name()),
                    ("filter", rejection.filter),
                    ("server", &server.name),
                    ("reason", &rejection.reason),
                ];
                self.scheduler_line(Level::Debug, "Rejecting server for model", "filterServer", &fields);
            } else if server.name == version.server {
                on.push(server.name.clone());
            } else {
                others.push(server.name.clone());
            }
        }
        on.extend(others);
        on
    }

    fn suitable_replicas(&self, version: &ModelVersion, server: &Server) -> Vec<u32> {
        let mut chosen: Vec<&Replica> = Vec::new();
        for replica in server.replicas.values() {
            let Some(rejection) = filter::reject_replica(version, server, replica) else {
                chosen.push(replica);
                continue;
            };
            let index = replica.index.to_string();
            let fields = [
                ("model", version.name()),
                ("server", server.name.as_str()),
                ("filter", rejection.filter),
                ("replica", &index),
                ("reason", &rejection.reason),
            ];
            self.scheduler_line(
                Level::Debug,
                "Rejecting server replica for model",
                "filterReplicas",
                &fields,
            );
        }
        // Each stable sort overrules the one before: index, then free memory, then being there already.
        chosen.sort_by_key(|replica| replica.index);
        chosen.sort_by_key(|replica| {
            // An overdrawn reservation wraps round in Go and counts as plenty; so it must here.
            std::cmp::Reverse(replica.available_memory.wrapping_sub(replica.reserved_memory))
        });
        chosen.sort_by_key(|replica| !version.is_loading_or_loaded_on(&server.name, replica.index));
        chosen.into_iter().map(|replica| replica.index).collect()
    }

    fn place_on_first(
        &mut self,
        candidates: &[String],
        version: &ModelVersion,
        desired: usize,
        least: usize,
    ) -> Option<Events> {
        let name = version.name();
        for candidate in candidates {
            let Some(server) = self.servers.get(candidate) else { continue };
            let suitable = self.suitable_replicas(version, server);
            if suitable.len() < least {
                continue;
            }
            let number = if least == desired { desired } else { suitable.len().min(desired) };
            let fields = [("model", name), ("server", candidate.as_str())];
            match self.place(name, version.version, candidate, &suitable[..number]) {
                Ok(events) => {
                    self.scheduler_line(
                        Level::Debug,
                        "Scheduled model onto server",
                        "findAndUpdateToServers",
                        &fields,
                    );
                    return Some(events);
                }
                Err(_) => self.scheduler_line(
                    Level::Warning,
                    "Failed to update model replicas",
                    "findAndUpdateToServers",
                    &fields,
                ),
            }
        }
        None
    }

    fn scale_up_request(&self, name: &str) -> Option<Event> {
        let server = self.latest(name).map(|latest| latest.server.clone()).unwrap_or_default();
        if server.is_empty() {
            let line = format!("Empty server for {name} so ignoring scale up request");
            self.scheduler_line(Level::Warning, &line, "serverScaleUp", &[]);
            return None;
        }
        Some(Event::Server { name: server, change: ServerChange::WantsMore })
    }

    /// Models worth another try when an agent comes or goes: failed ones, and those short of replicas.
    pub(crate) fn failed_models(&self) -> Vec<String> {
        use crate::store::version::ModelState::{ModelAvailable, ModelFailed, ScheduleFailed};
        let failed = |version: &ModelVersion| match version.status.state {
            ModelFailed | ScheduleFailed => true,
            ModelAvailable => version.status.available < version.desired_replicas(),
            _ => false,
        };
        let latest = self.models.iter().filter(|(_, model)| model.latest().is_some_and(failed));
        latest.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
