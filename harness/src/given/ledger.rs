//! How to undo a run, written before each change: in a file on this machine and in a ConfigMap on the cluster.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::HOME;
use crate::object::{self, Kind, ObjectRef};
use crate::undo::Undo;

/// Label of the ConfigMaps.
const LABEL: &str = "seldon-conformance/ledger";
/// Key in which they hold the entries.
const KEY: &str = "entries";

/// What a run has changed, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Page {
    /// The run.
    pub(super) run: String,
    /// Context under which the cluster was reached.
    pub(super) context: String,
    /// Address of its API server.
    pub(super) server: String,
    /// How to undo it.
    pub(super) entries: Vec<Undo>,
}

impl Page {
    /// As its file reads.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// As the cluster holds it.
    pub(super) fn manifest(&self) -> serde_json::Result<Value> {
        Ok(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": config_map(&self.run).name, "namespace": HOME, "labels": {LABEL: "yes"}},
            "data": {KEY: serde_json::to_string(self)?},
        }))
    }
}

/// A run's page, and where it is kept.
#[derive(Debug)]
pub(super) struct Ledger {
    page: Page,
    file: PathBuf,
}

impl Ledger {
    /// An empty page in `directory`.
    pub(super) fn begin(directory: &Path, context: &str, server: &str, run: &str) -> anyhow::Result<Ledger> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let page =
            Page { run: run.into(), context: context.into(), server: server.into(), entries: Vec::new() };
        Ok(Ledger { page, file: file_of(directory, run) })
    }

    pub(super) fn entries(&self) -> &[Undo] {
        &self.page.entries
    }

    /// Adds an entry; it is on disk and in the cluster when this returns.
    pub(super) async fn add(&mut self, client: &Client, undo: Undo) -> anyhow::Result<()> {
        self.page.entries.push(undo);
        self.write(client).await
    }

    /// Puts other entries in the place of all.
    pub(super) async fn replace(&mut self, client: &Client, entries: Vec<Undo>) -> anyhow::Result<()> {
        self.page.entries = entries;
        self.write(client).await
    }

    /// Writes the page as it is.
    pub(super) async fn write(&self, client: &Client) -> anyhow::Result<()> {
        self.write_file().with_context(|| format!("cannot write {}", self.file.display()))?;
        object::apply(client, &self.page.manifest()?).await
    }

    fn write_file(&self) -> anyhow::Result<()> {
        let new = self.file.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(self.page.text()?.as_bytes())?;
        file.sync_all()?;
        Ok(fs::rename(&new, &self.file)?)
    }

    /// Removes the page, when nothing is left to undo.
    pub(super) async fn close(&self, client: &Client) -> anyhow::Result<()> {
        config_map(&self.page.run).delete(client).await?;
        forget_file(&self.file)
    }
}

/// The file of a run's page.
pub(super) fn file_of(directory: &Path, run: &str) -> PathBuf {
    directory.join(format!("{run}.json"))
}

/// Removes a page's file.
pub(super) fn forget_file(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// The ConfigMap of a run.
pub(super) fn config_map(run: &str) -> ObjectRef {
    ObjectRef::new(Kind::ConfigMap, HOME, &format!("ledger-{run}"))
}

/// The pages in the cluster.
pub(super) async fn in_cluster(client: &Client) -> anyhow::Result<Vec<Page>> {
    let maps = object::list(client, Kind::ConfigMap, HOME, LABEL).await?;
    maps.iter().map(page_of).collect()
}

fn page_of(map: &Value) -> anyhow::Result<Page> {
    let name = map["metadata"]["name"].as_str().unwrap_or_default();
    let text = map["data"][KEY].as_str().unwrap_or_default();
    serde_json::from_str(text).with_context(|| format!("ConfigMap {HOME}/{name} is no ledger"))
}

/// The pages in `directory` that tell of the cluster at `server`, with their files.
pub(super) fn on_disk(directory: &Path, server: &str) -> anyhow::Result<Vec<(PathBuf, Page)>> {
    let mut pages = Vec::new();
    let Ok(files) = fs::read_dir(directory) else { return Ok(pages) };
    for file in files {
        let file = file?.path();
        if file.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let page: Page =
            serde_json::from_slice(&text).with_context(|| format!("{} is no ledger", file.display()))?;
        if page.server == server {
            pages.push((file, page));
        }
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_for_its_cluster_only() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::begin(directory.path(), "c", "https://a/", "0000002a").unwrap();
        ledger.page.entries.push(Undo::Delete(ObjectRef::new(Kind::Namespace, "", "mine")));
        ledger.write_file().unwrap();
        let read = on_disk(directory.path(), "https://a/").unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].1.run, "0000002a");
        assert_eq!(read[0].1.entries[0].to_string(), "delete Namespace mine");
        assert!(on_disk(directory.path(), "https://b/").unwrap().is_empty());
        forget_file(&ledger.file).unwrap();
        assert!(on_disk(directory.path(), "https://a/").unwrap().is_empty());
    }

    #[test]
    fn a_directory_that_does_not_exist_holds_nothing() {
        assert!(on_disk(Path::new("/nowhere"), "https://a/").unwrap().is_empty());
    }
}
