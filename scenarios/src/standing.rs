//! Clusters that are up, as files below the cache directory.
//!
//! A cluster is held by a process (`cluster hold`) whose standard input is the cluster's state file, locked before
//! that process began: whoever can take the lock knows that nobody holds the cluster, however that came, and removes
//! what is left of it. A lock on the directory of all clusters makes looking and claiming one step.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use harness::clusters::Cache;
use serde::{Deserialize, Serialize};

use crate::options::Failure;

/// What is known of a cluster that is up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Its name.
    pub(crate) name: String,
    /// Process that holds it.
    pub(crate) pid: u32,
    /// What kind of cluster.
    pub(crate) kind: String,
    /// Network.
    pub(crate) cni: String,
    /// API server.
    pub(crate) server: String,
    /// Kubeconfig file.
    pub(crate) kubeconfig: PathBuf,
    /// How the mesh is reached from the host, if there is one.
    pub(crate) mesh: Option<String>,
}

/// How a name stands.
#[derive(Debug)]
pub(crate) enum Presence {
    /// No such cluster.
    Absent,
    /// Held by a process that has not said yet how to reach it.
    ComingUp,
    /// Up.
    Up(Standing),
}

/// The directory of all clusters.
#[derive(Debug)]
pub(crate) struct Register(PathBuf);

impl Register {
    /// Below the cache directory.
    pub(crate) fn of(cache: &Cache) -> Register {
        Register(cache.directory().join("clusters"))
    }

    /// Directory of a cluster's files.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// How `name` stands; what a dead cluster of that name left is removed.
    pub(crate) fn presence(&self, name: &str) -> Result<Presence, Failure> {
        let Some(_turn) = self.turn()? else { return Ok(Presence::Absent) };
        presence(&self.home(name))
    }

    /// Every cluster that is up, by name.
    pub(crate) fn all(&self) -> Result<Vec<Standing>, Failure> {
        let Some(_turn) = self.turn()? else { return Ok(Vec::new()) };
        let entries = fs::read_dir(&self.0).map_err(|error| troubled(&self.0, &error))?;
        let mut homes: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        homes.sort();
        let mut up = Vec::new();
        for home in homes {
            if let Presence::Up(standing) = presence(&home)? {
                up.push(standing);
            }
        }
        Ok(up)
    }

    /// Takes `name` for a new cluster: its state file, locked for as long as the handle or a copy of it is open.
    pub(crate) fn claim(&self, name: &str) -> Result<File, Failure> {
        fs::create_dir_all(&self.0).map_err(|error| troubled(&self.0, &error))?;
        let _turn = self.turn()?;
        let home = self.home(name);
        match presence(&home)? {
            Presence::Absent => {}
            Presence::ComingUp => {
                return Err(Failure::usage(format!(
                    "cluster {name} is coming up already; choose another name"
                )));
            }
            Presence::Up(standing) => {
                return Err(Failure::usage(format!(
                    "cluster {name} is up (process {}); end it with `seldon-conformance cluster down {name}` or \
                     choose another name",
                    standing.pid
                )));
            }
        }
        let make = || {
            // One without a state file is what a killed claim left.
            fs::create_dir_all(&home)?;
            let state = File::create(state_file(&home))?;
            state.lock()?;
            Ok(state)
        };
        make().map_err(|error| troubled(&home, &error))
    }

    /// Removes what is left of a cluster that has ended. Its own process may have been faster.
    pub(crate) fn forget(&self, name: &str) -> Result<(), Failure> {
        let home = self.home(name);
        match fs::remove_dir_all(&home) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(troubled(&home, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The only one who looks and claims, until the handle is dropped; `None` where there never was a cluster.
    fn turn(&self) -> Result<Option<File>, Failure> {
        let directory = match File::open(&self.0) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(troubled(&self.0, &error)),
        };
        directory.lock().map_err(|error| troubled(&self.0, &error))?;
        Ok(Some(directory))
    }
}

/// The file whose lock says that the cluster is held.
pub(crate) fn state_file(home: &Path) -> PathBuf {
    home.join("state.json")
}

fn presence(home: &Path) -> Result<Presence, Failure> {
    let file = state_file(home);
    let handle = match File::open(&file) {
        Ok(handle) => handle,
        // A file that somebody put among the clusters' directories is none of ours.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Presence::Absent);
        }
        Err(error) => return Err(troubled(&file, &error)),
    };
    match handle.try_lock() {
        Ok(()) => {
            fs::remove_dir_all(home).map_err(|error| troubled(home, &error))?;
            Ok(Presence::Absent)
        }
        Err(TryLockError::WouldBlock) => {
            let text = fs::read_to_string(&file).map_err(|error| troubled(&file, &error))?;
            Ok(serde_json::from_str(&text).map_or(Presence::ComingUp, Presence::Up))
        }
        Err(TryLockError::Error(error)) => Err(troubled(&file, &error)),
    }
}

fn troubled(path: &Path, error: &io::Error) -> Failure {
    Failure::machine(format!(
        "clusters that are up are noted in the cache directory, but {}: {error}; set SELDON_CONFORMANCE_CACHE to a \
         writable directory",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register() -> (tempfile::TempDir, Register) {
        let directory = tempfile::tempdir().unwrap();
        let register = Register(directory.path().join("clusters"));
        (directory, register)
    }

    #[test]
    fn a_directory_without_a_state_file_is_nobodys() {
        let (_directory, register) = register();
        fs::create_dir_all(register.home("a")).unwrap();
        register.claim("a").unwrap();
    }

    #[test]
    fn a_name_is_held_as_long_as_its_state_file_is_open() {
        let (_directory, register) = register();
        assert!(matches!(register.presence("a").unwrap(), Presence::Absent));
        let state = register.claim("a").unwrap();
        assert!(matches!(register.presence("a").unwrap(), Presence::ComingUp));
        assert!(register.claim("a").unwrap_err().sentence.contains("coming up already"));
        let copy = state.try_clone().unwrap();
        drop(state);
        assert!(matches!(register.presence("a").unwrap(), Presence::ComingUp));
        drop(copy);
        assert!(register.all().unwrap().is_empty());
        assert!(!register.home("a").exists());
        register.claim("a").unwrap();
    }
}
