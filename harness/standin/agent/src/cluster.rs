//! What the agent takes from Kubernetes: its configuration (ConfigMap `seldon-agent`) and storage secrets.

use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde::Deserialize;
use tokio::sync::watch;

use crate::log::Log;

const CONFIG_MAP: &str = "seldon-agent";
const CONFIG_FILE: &str = "agent.yaml";

/// The part of `agent.yaml` that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// Names of secrets that hold one remote each.
    pub(crate) secrets: Vec<String>,
    /// Remotes written out.
    pub(crate) remotes: Vec<String>,
}

#[derive(Deserialize)]
struct AgentYaml {
    rclone: Option<RcloneYaml>,
}

#[derive(Deserialize)]
struct RcloneYaml {
    #[serde(default)]
    config_secrets: Vec<String>,
    #[serde(default)]
    config: Vec<String>,
}

/// The cluster as the agent sees it; without a client it runs outside Kubernetes.
pub(crate) struct Cluster {
    client: Option<kube::Client>,
    namespace: String,
    configuration: watch::Sender<Configuration>,
    log: Log,
}

impl Cluster {
    /// Reads the mounted configuration, then follows the ConfigMap through the API.
    ///
    /// Returns only when the ConfigMap was seen: without the API server the agent waits here.
    ///
    /// # Errors
    /// A sentence for the fatal line.
    pub(crate) async fn start(
        client: Option<kube::Client>,
        namespace: &str,
        folder: &Path,
        log: &Log,
    ) -> Result<Arc<Cluster>, String> {
        log.info(format!("Init config from path {}", folder.display()));
        let (configuration, _) = watch::channel(Configuration::default());
        let log = log.with("source", "AgentConfigHandler");
        let cluster = Arc::new(Cluster { client, namespace: namespace.to_owned(), configuration, log });
        let text = std::fs::read_to_string(folder.join(CONFIG_FILE))
            .map_err(|_| format!("Failed to find config file {CONFIG_FILE}"))?;
        cluster.update(&text)?;
        cluster.clone().follow().await?;
        Ok(cluster)
    }

    async fn follow(self: Arc<Self>) -> Result<(), String> {
        let Some(client) = self.client.clone() else { return Ok(()) };
        let maps: Api<ConfigMap> = Api::namespaced(client, &self.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={CONFIG_MAP}"));
        let mut seen = watcher(maps, only).default_backoff().applied_objects().boxed();
        let first = next_map(&mut seen).await.ok_or("watch of ConfigMap seldon-agent ended")?;
        self.apply(&first);
        tokio::spawn(async move {
            while let Some(map) = next_map(&mut seen).await {
                self.apply(&map);
            }
        });
        Ok(())
    }

    fn apply(&self, map: &ConfigMap) {
        let Some(text) = map.data.as_ref().and_then(|data| data.get(CONFIG_FILE)) else { return };
        if self.update(text).is_err() {
            let log = self.log.with("func", "watchConfigMap");
            log.error(format!("Failed to update configmap from data in {CONFIG_FILE}"));
        }
    }

    fn update(&self, text: &str) -> Result<(), String> {
        let log = self.log.with("func", "updateConfig");
        log.info(format!("Updating config {text}"));
        let yaml: AgentYaml = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let configuration = yaml.rclone.map_or_else(Configuration::default, |rclone| {
            let (secrets, remotes) = (rclone.config_secrets.join(" "), rclone.config.join(" "));
            log.info(format!("Rclone Config loaded &{{[{secrets}] [{remotes}]}}"));
            Configuration { secrets: rclone.config_secrets, remotes: rclone.config }
        });
        self.configuration.send_if_modified(|current| {
            let changed = *current != configuration;
            *current = configuration;
            changed
        });
        Ok(())
    }

    pub(crate) fn configuration(&self) -> Configuration {
        self.configuration.borrow().clone()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Configuration> {
        self.configuration.subscribe()
    }

    /// The only value of a secret in the agent's own namespace.
    ///
    /// # Errors
    /// The API server's message, or `Secret does not have 1 key X`.
    pub(crate) async fn own_secret(&self, name: &str) -> Result<String, String> {
        self.secret(&self.namespace, name).await
    }

    /// The only value of a secret in any namespace.
    ///
    /// # Errors
    /// The API server's message, or `Secret does not have 1 key X`.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<String, String> {
        let client = self.client.clone().ok_or_else(|| {
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be \
             defined"
                .to_owned()
        })?;
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let secret = secrets.get(name).await.map_err(|error| match error {
            kube::Error::Api(status) => status.message,
            other => other.to_string(),
        })?;
        let values: Vec<_> = secret.data.into_iter().flatten().collect();
        match values.as_slice() {
            [(_, value)] => Ok(String::from_utf8_lossy(&value.0).into_owned()),
            _ => Err(format!("Secret does not have 1 key {name}")),
        }
    }
}

/// The next state of the ConfigMap; failures of the watch are retried with its back-off.
async fn next_map(
    seen: &mut (impl futures::Stream<Item = Result<ConfigMap, watcher::Error>> + Unpin),
) -> Option<ConfigMap> {
    loop {
        match seen.try_next().await {
            Ok(found) => return found,
            Err(_) => continue,
        }
    }
}
