//! What the scheduler orders: loading and unloading one model.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use gonet::{BackOff, ClientConn, GoStatus};
use pace::Pace;
use seldon_proto::agent::agent_service_client::AgentServiceClient;
use seldon_proto::agent::model_event_message::Event;
use seldon_proto::agent::{ModelEventMessage, ModelOperationMessage, ModelVersion};
use seldon_proto::scheduler::model_runtime_info::ModelRuntimeInfo as Runtime;
use seldon_proto::scheduler::storage_config::Config;
use seldon_proto::scheduler::{MlServerModelSettings, ModelRuntimeInfo};

use crate::cluster::Cluster;
use crate::log::Log;
use crate::names;
use crate::readiness::Readiness;
use crate::repository::Repository;
use crate::residency::Residency;
use crate::settings::Settings;
use crate::storage::Remote;

/// The longest wait between two tries of a load.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Everything an operation needs.
pub(crate) struct Operations {
    pub(crate) settings: Arc<Settings>,
    pub(crate) residency: Arc<Residency>,
    pub(crate) repository: Repository,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) scheduler: ClientConn,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) pace: Pace,
    pub(crate) log: Log,
    /// The namespace of the first Model with a secret: Seldon 2.9.1 reads all later secrets there.
    pub(crate) secrets_namespace: OnceLock<String>,
    /// The latest order carried out per model, by its number.
    pub(crate) latest: Mutex<HashMap<String, u64>>,
}

/// An order's subject, by both of its names.
struct Subject {
    name: String,
    version: u32,
    internal: String,
}

impl Subject {
    fn of(order: &ModelOperationMessage) -> Option<Subject> {
        let version = order.model_version.as_ref()?;
        let name = version.model.as_ref()?.meta.as_ref()?.name.clone();
        let internal = names::internal(&name, version.version);
        Some(Subject { name, version: version.version, internal })
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.name, self.version)
    }
}

impl Operations {
    /// Loads a model and tells the scheduler how it went. `number` orders the orders.
    pub(crate) async fn load(&self, order: ModelOperationMessage, number: u64) {
        let Some(subject) = Subject::of(&order) else { return };
        if let Err(error) = self.try_load(&subject, &order, number).await {
            self.log.error_field(&error).error(format!("Failed to handle load model {subject}"));
        }
    }

    /// Unloads a model and tells the scheduler how it went.
    pub(crate) async fn unload(&self, order: ModelOperationMessage, number: u64) {
        let Some(subject) = Subject::of(&order) else { return };
        if let Err(error) = self.try_unload(&subject, number).await {
            self.log.error_field(&error).error(format!("Failed to handle unload model {subject}"));
        }
    }

    async fn try_load(
        &self,
        subject: &Subject,
        order: &ModelOperationMessage,
        number: u64,
    ) -> Result<(), String> {
        let log = self.log.with("func", "LoadModel");
        let _exclusive = self.residency.exclusive(&subject.internal).await;
        log.info(format!("Load model {subject}"));
        if !self.is_next(subject, number) {
            log.warn(format!("Ignoring out of order message for model {subject}"));
            return Ok(());
        }
        let loaded = self.bring(subject, order, &log).await;
        if let Err(Failure { text, cleanup }) = loaded {
            self.report(subject, Event::LoadFailed, Some(&text)).await;
            if cleanup {
                self.clean_up(&subject.internal);
            }
            return Err(text);
        }
        log.info(format!("Load model {subject} success"));
        if self.readiness.is_draining() {
            self.report(subject, Event::LoadFailed, Some("server replica is draining")).await;
            return Ok(());
        }
        self.send(subject, Event::Loaded, None).await.map_err(|status| status.to_string())
    }

    /// Fetches and loads.
    async fn bring(
        &self,
        subject: &Subject,
        order: &ModelOperationMessage,
        log: &Log,
    ) -> Result<(), Failure> {
        let Some(version) = &order.model_version else { return Ok(()) };
        let spec = version.model.as_ref().and_then(|model| model.model_spec.clone()).unwrap_or_default();
        let text = self.storage(order).await.map_err(Failure::before_download)?;
        let remote = match text.as_deref() {
            None | Some("") => None,
            // The agent looks at the URI before it reads the secret's text.
            Some(text) => Some(Remote::parse(text).map_err(Failure::after_download)?),
        };
        let chosen = self
            .repository
            .download(&subject.internal, &spec, remote.as_ref())
            .await
            .map_err(Failure::after_download)?;
        log.info(format!("Chose path {} for model {subject}", chosen.display()));
        let pinned = self.pinned(version, &subject.internal);
        self.tried(self.settings.load_retries, log, || self.residency.load(&pinned))
            .await
            .map_err(Failure::after_download)
    }

    async fn try_unload(&self, subject: &Subject, number: u64) -> Result<(), String> {
        let log = self.log.with("func", "UnloadModel");
        // Envoy needs a moment to route around this replica.
        tokio::time::sleep(self.pace.wait(self.settings.unload_grace)).await;
        let _exclusive = self.residency.exclusive(&subject.internal).await;
        log.info(format!("Unload model {subject}"));
        if !self.is_next(subject, number) {
            log.warn(format!("Ignoring out of order message for model {subject}"));
            return Ok(());
        }
        let internal = &subject.internal;
        let unload = || self.residency.unload(internal, names::PINNED_VERSION);
        let unloaded = self.tried(self.settings.unload_retries, &log, unload).await;
        let outcome = unloaded.and_then(|()| {
            if let Err(error) = self.residency.forget_use(internal) {
                log.error_field(&error).warn(format!(
                    "Cannot delete model {internal} from scaling service, likely that it was not enabled in the \
                     first place"
                ));
            }
            self.repository.remove(internal)
        });
        if let Err(error) = outcome {
            self.report(subject, Event::UnloadFailed, Some(&error)).await;
            return Err(error);
        }
        log.info(format!("Unload model {subject} success"));
        self.send(subject, Event::Unloaded, None).await.map_err(|status| status.to_string())
    }

    /// The storage configuration an order names.
    async fn storage(&self, order: &ModelOperationMessage) -> Result<Option<String>, String> {
        let model = order.model_version.as_ref().and_then(|version| version.model.as_ref());
        let spec = model.and_then(|model| model.model_spec.as_ref());
        let Some(storage) = spec.and_then(|spec| spec.storage_config.as_ref()) else { return Ok(None) };
        self.log.with("func", "getArtifactConfig").info("Getting Rclone configuration");
        let secret = match &storage.config {
            None => return Ok(None),
            Some(Config::StorageRcloneConfig(text)) => return Ok(Some(text.clone())),
            Some(Config::StorageSecretName(secret)) => secret,
        };
        let meta = model.and_then(|model| model.meta.as_ref());
        let own = meta.and_then(|meta| meta.kubernetes_meta.as_ref()).map(|meta| meta.namespace.clone());
        let namespace = match (self.secrets_namespace.get(), own) {
            (Some(first), _) => first.clone(),
            (None, Some(own)) => self.secrets_namespace.get_or_init(|| own).clone(),
            (None, None) => {
                let name = meta.map_or("", |meta| meta.name.as_str());
                let version = order.model_version.as_ref().map_or(0, |version| version.version);
                return Err(format!(
                    "can't load model {name}:{version}with k8s secret {secret} when namespace not set"
                ));
            }
        };
        self.cluster.secret(&namespace, secret).await.map(Some)
    }

    /// The version as it is kept here: internal name, pinned number, and how many instances MLServer runs of it.
    fn pinned(&self, version: &ModelVersion, internal: &str) -> ModelVersion {
        let mut pinned = version.clone();
        pinned.version = names::PINNED_VERSION;
        if let Some(model) = pinned.model.as_mut() {
            model.meta.get_or_insert_default().name = internal.to_owned();
            model.model_spec.get_or_insert_default().model_runtime_info = Some(self.runtime());
        }
        pinned
    }

    fn runtime(&self) -> ModelRuntimeInfo {
        let settings = MlServerModelSettings { parallel_workers: self.settings.parallel_workers };
        ModelRuntimeInfo { model_runtime_info: Some(Runtime::Mlserver(settings)) }
    }

    /// Tries `count` times, with growing waits.
    async fn tried<F: Future<Output = Result<(), String>>>(
        &self,
        count: u32,
        log: &Log,
        operation: impl Fn() -> F,
    ) -> Result<(), String> {
        let mut back_off = BackOff { max: LONGEST_WAIT, ..BackOff::CENKALTI }.waits();
        for attempt in 0.. {
            let Err(error) = operation().await else { return Ok(()) };
            if attempt + 1 >= count {
                return Err(error);
            }
            log.error_field(&error).error(format!("Retry op #{attempt}"));
            tokio::time::sleep(self.pace.wait(back_off.next_wait())).await;
        }
        Ok(())
    }

    /// Whether no later order for this model was carried out.
    fn is_next(&self, subject: &Subject, number: u64) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let last = latest.entry(subject.internal.clone()).or_insert(number);
        let next = number >= *last;
        *last = (*last).max(number);
        next
    }

    fn clean_up(&self, internal: &str) {
        let log = self.log.with("func", "cleanup");
        match self.repository.remove(internal) {
            Ok(()) => log.info(format!("removed model {internal}")),
            Err(error) => log.error(format!("could not remove model {internal} - {error}")),
        }
    }

    /// Tells the scheduler of a failure.
    async fn report(&self, subject: &Subject, event: Event, error: Option<&str>) {
        let text = error.unwrap_or_default();
        self.log.error_field(&text).error("Failed to load model, sending error to scheduler");
        match self.send(subject, event, error).await {
            Ok(()) => self.log.with("modelEventResponse", "").info("Sent agent model event to scheduler"),
            Err(status) => {
                self.log.error_field(&status).error("Failed to send error back to scheduler on load model");
            }
        }
    }

    async fn send(&self, subject: &Subject, event: Event, error: Option<&str>) -> Result<(), GoStatus> {
        let message = ModelEventMessage {
            server_name: self.settings.server_name.clone(),
            replica_idx: self.settings.replica,
            model_name: subject.name.clone(),
            model_version: subject.version,
            event: event.into(),
            message: error.unwrap_or_default().to_owned(),
            available_memory_bytes: self.residency.book().offered(),
            runtime_info: (event == Event::Loaded).then(|| self.runtime()),
        };
        let mut client = AgentServiceClient::new(self.scheduler.channel().await?);
        client.agent_event(message).await.map(drop).map_err(|status| GoStatus::from_tonic(&status))
    }
}

/// A load that failed, and whether the repository must be cleaned.
struct Failure {
    text: String,
    cleanup: bool,
}

impl Failure {
    fn before_download(text: String) -> Failure {
        Failure { text, cleanup: false }
    }

    fn after_download(text: String) -> Failure {
        Failure { text, cleanup: true }
    }
}
