//! rclone's remote control: remotes, copies, purges.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;
use pace::Pace;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Configuration};
use crate::http_call::post_json;
use crate::log::Log;
use crate::names;
use crate::storage::Remote;

/// A client of the rclone container; clones share the cluster's configuration.
#[derive(Clone)]
pub(crate) struct Rclone {
    host: String,
    port: u16,
    /// Where copies arrive, one numbered directory each.
    folder: PathBuf,
    cluster: Arc<Cluster>,
    pace: Pace,
    log: Log,
}

impl Rclone {
    pub(crate) fn new(
        host: &str,
        port: u16,
        folder: &Path,
        cluster: Arc<Cluster>,
        pace: Pace,
        log: &Log,
    ) -> Rclone {
        log.info(format!("Rclone server {host}:{port} with model-cache:{}", folder.display()));
        let log = log.with("Source", "RCloneClient");
        Rclone { host: host.to_owned(), port, folder: folder.to_owned(), cluster, pace, log }
    }

    async fn call(&self, path: &str, body: Value) -> Result<Value, String> {
        let bytes = body.to_string().into_bytes();
        let (status, answer) = post_json(&self.host, self.port, path, bytes, self.pace).await?;
        if status != StatusCode::OK {
            return Err(format!(
                "Failed rclone request to host:{} port:{} path:{path}",
                self.host, self.port
            ));
        }
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    /// Whether rclone answers.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        self.call("/rc/noop", json!({"foo": "bar"})).await.map(drop)
    }

    /// Copies `uri` for the model with this internal name; the directory it arrived in.
    ///
    /// # Errors
    /// The text the scheduler is told.
    pub(crate) async fn copy(
        &self,
        model: &str,
        uri: &str,
        remote: Option<&Remote>,
    ) -> Result<PathBuf, String> {
        let source = remote.map_or_else(|| Ok(uri.to_owned()), |remote| remote.inline(uri))?;
        let target = self.folder.join(names::download_number(model, uri).to_string());
        self.log
            .with("func", "Copy")
            .with("source_uri", uri)
            .with("destination_uri", target.display())
            .info("will copy model artifacts");
        let request = json!({"srcFs": source, "dstFs": target, "createEmptySrcDirs": true});
        if self.call("/sync/copy", request.clone()).await.is_err() {
            // rclone may have restarted without its remotes.
            let again = async {
                self.load_remotes(&self.cluster.configuration()).await?;
                self.call("/sync/copy", request).await
            };
            again
                .await
                .map_err(|error| format!("Failed to sync/copy {uri} to {} {error}", target.display()))?;
        }
        // An empty source is a success to rclone.
        if target.exists() { Ok(target) } else { Err(format!("Failed to download from {uri} any files")) }
    }

    /// Removes a copy.
    pub(crate) async fn purge(&self, path: &Path) -> Result<(), String> {
        let request = json!({"fs": path, "remote": ""});
        self.call("/operations/purge", request)
            .await
            .map(drop)
            .map_err(|error| format!("Failed to run /operations/purge for {} {error}", path.display()))
    }

    /// Loads the remotes of the first configuration and follows its changes in the background.
    ///
    /// # Errors
    /// Why a remote could not be loaded, such as `secrets "x" not found`.
    pub(crate) async fn start(&self) -> Result<(), String> {
        let log = self.log.with("func", "StartConfigListener");
        log.info("Loading initial rclone configuration");
        let mut changes = self.cluster.changes();
        let first = changes.borrow_and_update().clone();
        self.load_remotes(&first).await.inspect_err(|error| {
            log.error_field(error).error("Failed to load rclone defaults");
        })?;
        let rclone = self.clone();
        tokio::spawn(async move {
            let log = rclone.log.with("func", "listenForConfigUpdates");
            while changes.changed().await.is_ok() {
                log.info("Received config update");
                let configuration = changes.borrow_and_update().clone();
                if let Err(error) = rclone.load_remotes(&configuration).await {
                    log.error_field(&error).error("Failed to load rclone defaults");
                }
            }
        });
        Ok(())
    }

    async fn load_remotes(&self, configuration: &Configuration) -> Result<(), String> {
        let mut added = Vec::new();
        for secret in &configuration.secrets {
            self.log
                .with("func", "loadRcloneSecretsConfiguration")
                .with("secret_name", secret)
                .info("retrieving Rclone secret");
            let text = self.cluster.own_secret(secret).await?;
            added.push(self.configure(&text).await?);
        }
        for text in &configuration.remotes {
            self.log.with("func", "loadRcloneRawConfiguration").info("loading Rclone config");
            added.push(self.configure(text).await?);
        }
        self.forget_others(&added).await;
        let remotes = self.remotes().await?;
        let log = self.log.with("func", "loadRcloneConfiguration");
        log.info(format!("After update current set of remotes is [{}]", remotes.join(" ")));
        Ok(())
    }

    async fn configure(&self, text: &str) -> Result<String, String> {
        let remote = Remote::parse(text)?;
        let log = self.log.with("func", "Config").with("remote_name", &remote.name);
        log.info("loaded config");
        let existing = self.call("/config/get", json!({"name": remote.name})).await?;
        let exists = existing.as_object().is_some_and(|fields| !fields.is_empty());
        let path = if exists {
            log.info("updating existing Rclone remote");
            "/config/update"
        } else {
            log.info("creating new Rclone remote");
            "/config/create"
        };
        let request = serde_json::to_value(&remote).map_err(|error| error.to_string())?;
        self.call(path, request).await?;
        Ok(remote.name)
    }

    async fn remotes(&self) -> Result<Vec<String>, String> {
        let answer = self.call("/config/listremotes", json!({})).await?;
        let names = answer["remotes"].as_array().into_iter().flatten();
        Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    async fn forget_others(&self, wanted: &[String]) {
        let log = self.log.with("func", "deleteUnusedRcloneConfiguration");
        let forget = async {
            for name in self.remotes().await?.iter().filter(|name| !wanted.contains(name)) {
                log.info(format!("Delete remote {name} as not in new list of defaults"));
                self.call("/config/delete", json!({"name": name})).await?;
            }
            Ok::<(), String>(())
        };
        if let Err(error) = forget.await {
            let log = self.log.with("func", "loadRcloneConfiguration");
            log.error_field(&error).error("Failed to delete unused Rclone configuration");
        }
    }
}
