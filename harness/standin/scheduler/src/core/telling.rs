//! Telling subscribers how things stand.

use seldon_proto::scheduler as pb;
use tokio::sync::mpsc;

use super::{Core, Wake};
use crate::journal::Level;
use crate::store::status::{Versions, model_message};

/// Those who want to hear one kind of message.
#[derive(Debug)]
pub(crate) struct Audience<T> {
    listeners: Vec<mpsc::UnboundedSender<T>>,
}

impl<T> Default for Audience<T> {
    fn default() -> Audience<T> {
        Audience { listeners: Vec::new() }
    }
}

impl<T: Clone> Audience<T> {
    pub(crate) fn tell(&mut self, message: &T) {
        self.listeners.retain(|listener| listener.send(message.clone()).is_ok());
    }

    pub(crate) fn join(&mut self) -> mpsc::UnboundedReceiver<T> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.push(sender);
        receiver
    }
}

/// All audiences.
#[derive(Debug, Default)]
pub(crate) struct Audiences {
    pub(crate) models: Audience<pb::ModelStatusResponse>,
    pub(crate) servers: Audience<pb::ServerStatusResponse>,
    pub(crate) experiments: Audience<pb::ExperimentStatusResponse>,
    pub(crate) pipelines: Audience<pb::PipelineStatusResponse>,
}

impl Core {
    /// Tells of a model, but only if it is the newest version that changed.
    pub(super) fn tell_model(&mut self, name: &str, version: u32) {
        let Some(model) = self.store.models.get(name) else { return };
        if model.latest().is_some_and(|latest| latest.version == version)
            && let Some(message) = model_message(name, model, Versions::Latest)
        {
            self.audiences.models.tell(&message);
        }
    }

    /// Remembers that the server of a version has news; they are sent in batches.
    pub(super) fn note_server_of(&mut self, name: &str, version: u32) {
        let func = "updateServerModelStatus";
        let found = self.store.models.get(name).and_then(|model| model.version(version));
        let Some(found) = found else {
            let line = format!("Failed to find model version {name}:{version} so ignoring event");
            return self.log_server(Level::Warning, &line, func, &[]);
        };
        if found.server.is_empty() {
            let line = format!("Empty server for {name}:{version} so ignoring event");
            return self.log_server(Level::Warning, &line, func, &[]);
        }
        self.pending_servers.insert(found.server.clone());
        if !self.server_batch_due {
            self.server_batch_due = true;
            self.wakes.push(Wake::ServerStatusBatch);
        }
    }

    pub(super) fn send_server_statuses(&mut self) {
        self.server_batch_due = false;
        for name in std::mem::take(&mut self.pending_servers) {
            match self.store.server(&name).map(crate::store::Server::status) {
                Ok(message) => self.audiences.servers.tell(&message),
                Err(_) => {
                    self.log_server(
                        Level::Error,
                        &format!("Failed to get server {name}"),
                        "sendServerStatus",
                        &[],
                    );
                }
            }
        }
    }

    /// The status of every model's newest version.
    pub(crate) fn model_statuses(&self, versions: Versions) -> Vec<pb::ModelStatusResponse> {
        self.store.models.iter().filter_map(|(name, model)| model_message(name, model, versions)).collect()
    }

    /// The status of every server.
    pub(crate) fn server_statuses(&self) -> Vec<pb::ServerStatusResponse> {
        self.store.servers.values().map(crate::store::Server::status).collect()
    }
}
