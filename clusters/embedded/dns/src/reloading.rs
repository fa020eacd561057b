//! Files that change under the server: the Corefile (`reload`) and hosts files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha512};
use tokio::sync::watch;

use crate::corefile::{self, CorefileError};
use crate::engine::{Engine, Surroundings};

/// How often `reload` looks at the Corefile.
const RELOAD_INTERVAL: Duration = Duration::from_secs(30);

/// A Corefile set up, with the hash by which a change is known.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) hash: String,
}

/// Reads and sets up the Corefile at `path`.
pub(crate) fn load(path: &Path, surroundings: &Surroundings) -> Result<Loaded, CorefileError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| CorefileError::Unreadable { path: shown.clone(), reason: error.to_string() })?;
    let corefile = corefile::parse(&shown, &text)?;
    let engine = Engine::new(&corefile, surroundings.clone())?;
    // Imported files count too: CoreDNS hashes what it parsed.
    let hash = hex::encode(Sha512::digest(format!("{:?}", corefile.blocks)));
    Ok(Loaded { engine, hash })
}

/// Looks at the Corefile again and again and puts a new engine when it changed.
pub(crate) async fn watch_corefile(path: PathBuf, mut hash: String, current: watch::Sender<Arc<Engine>>) {
    let surroundings = current.borrow().surroundings().clone();
    let journal = surroundings.journal.clone();
    loop {
        tokio::time::sleep(surroundings.pace.wait(RELOAD_INTERVAL)).await;
        let quiet = Surroundings { journal: crate::Journal::kept(), ..surroundings.clone() };
        match load(&path, &quiet) {
            Ok(loaded) if loaded.hash == hash => {}
            Ok(_) => match load(&path, &surroundings) {
                Ok(loaded) => {
                    journal.info("Reloading");
                    journal.info(format!("plugin/reload: Running configuration SHA512 = {}", loaded.hash));
                    hash = loaded.hash;
                    current.send_replace(Arc::new(loaded.engine));
                    journal.info("Reloading complete");
                }
                Err(error) => journal.error(format!("Restart failed: {error}")),
            },
            Err(error) => {
                journal.error(format!("plugin/reload: Corefile changed but reload failed: {error}"))
            }
        }
    }
}

/// Reads the hosts files of the engine in force again when they changed.
pub(crate) async fn watch_hosts(current: watch::Receiver<Arc<Engine>>) {
    let engine = current.borrow().clone();
    let pace = engine.surroundings().pace;
    let intervals = engine.hosts().filter_map(crate::plugin::hosts::Hosts::reload_interval);
    let Some(interval) = intervals.min() else { return };
    let mut stamps = std::collections::HashMap::new();
    loop {
        let engine = current.borrow().clone();
        for hosts in engine.hosts() {
            let stamp = hosts.stamp();
            let before = stamps.insert(hosts.file().to_owned(), stamp);
            if before.is_some_and(|before| before != stamp) {
                hosts.read();
            }
        }
        tokio::time::sleep(pace.wait(interval)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;
    use crate::log::Journal;
    use pace::Pace;

    #[tokio::test]
    async fn imports_and_changes_are_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let custom = directory.path().join("custom");
        std::fs::create_dir(&custom).unwrap();
        let path = directory.path().join("Corefile");
        let text = format!(
            ".:53 {{\n errors\n reload\n import {0}/*.override\n}}\nimport {0}/*.server\n",
            custom.display()
        );
        std::fs::write(&path, text).unwrap();
        let journal = Journal::kept();
        let surroundings = Surroundings {
            directory: Directory::default(),
            pace: Pace::new(0.001).unwrap(),
            journal: journal.clone(),
            own_address: None,
        };
        let Loaded { engine, hash } = load(&path, &surroundings).unwrap();
        assert_eq!(engine.banner(), [".:53"]);
        let expected =
            format!("[WARNING] No files matching import glob pattern: {}/*.override", custom.display());
        assert_eq!(journal.lines()[0], expected);

        let current = watch::Sender::new(Arc::new(engine));
        let mut watched = current.subscribe();
        tokio::spawn(watch_corefile(path, hash, current));
        // A wrong file leaves the old configuration in force; the right one after it is taken over.
        std::fs::write(custom.join("tenant.server"), "financial-ml:53 {\n frobnicate\n}\n").unwrap();
        std::fs::write(custom.join("tenant.server"), "financial-ml:53 {\n errors\n}\n").unwrap();
        tokio::time::timeout(Duration::from_secs(20), watched.changed()).await.unwrap().unwrap();
        assert_eq!(watched.borrow().banner(), [".:53", "financial-ml.:53"]);
    }
}
