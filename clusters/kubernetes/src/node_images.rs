//! Images for containerd: loaded once into a directory that later clusters copy, with links where files never change.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use embedded::supervision::{Privilege, supervise};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::crew::Crew;
use crate::machine;
use crate::script::loading_script;
use crate::spec::NodePrograms;

/// Name of the built-in program that loads images.
pub const LOADER: &str = "kubernetes-images";

/// How often somebody's wish to stop is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// How long containerd may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Why images could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load images into containerd: {0}")]
pub struct ImagesError(String);

/// An order to the loader.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    programs: NodePrograms,
    archives: Vec<PathBuf>,
    root: PathBuf,
    visible: Vec<PathBuf>,
}

/// Loads `archives` (see the crate `image`) into containerd's directory `root`, which exists and is empty. Needs root;
/// takes as long as unpacking takes, or until `stop` says so or its time is over. `visible` as in [`crate::NodeSpec`].
///
/// # Errors
/// What containerd said, or that it was not let say anything.
pub fn load_images(
    programs: &NodePrograms,
    archives: &[PathBuf],
    root: &Path,
    visible: &[PathBuf],
    stop: &dyn Fn() -> bool,
) -> Result<(), ImagesError> {
    let order = Order {
        programs: programs.clone(),
        archives: archives.to_vec(),
        root: root.to_owned(),
        visible: visible.to_vec(),
    };
    let told = || -> anyhow::Result<String> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = builtin::command(&[LOADER])
            .stdin(std::os::fd::OwnedFd::from(theirs))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        let mut line = serde_json::to_string(&order)?;
        line.push('\n');
        (&ours).write_all(line.as_bytes())?;
        let answer = answered(&ours, stop);
        // Without anybody to answer to, it ends.
        drop(ours);
        child.wait()?;
        answer
    };
    match told().map(|answer| answer.trim().to_owned()) {
        Ok(answer) if answer == "done" => Ok(()),
        Ok(answer) if answer.is_empty() => Err(ImagesError("the loader ended without an answer".into())),
        Ok(answer) => Err(ImagesError(answer)),
        Err(error) => Err(ImagesError(format!("{error:#}"))),
    }
}

/// What the loader answers; what it has not answered when it is told to end, is nothing.
fn answered(loader: &UnixStream, stop: &dyn Fn() -> bool) -> anyhow::Result<String> {
    loader.set_read_timeout(Some(GLANCE))?;
    let (mut reader, mut answer, began) = (BufReader::new(loader), String::new(), Instant::now());
    loop {
        match reader.read_line(&mut answer) {
            Ok(_) => return Ok(answer),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                anyhow::ensure!(!stop(), "interrupted");
                anyhow::ensure!(
                    began.elapsed() < LIMIT,
                    "containerd has not taken them within {} s",
                    LIMIT.as_secs()
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Entry point of the re-executed process: reads its order from standard input, a socket, and answers there in a line.
pub(crate) fn main(_arguments: Vec<String>) -> ExitCode {
    supervise(
        Privilege::Root,
        || {},
        |control, _| async move {
            let mut control = tokio::io::BufReader::new(tokio::net::UnixStream::from_std(control)?);
            let mut order = String::new();
            control.read_line(&mut order).await?;
            let order: Order = serde_json::from_str(&order)?;
            let loaded = tokio::select! {
                loaded = load(&order) => loaded,
                // It says nothing more: this is its end, after which others may work where this loads.
                _ = control.read_u8() => anyhow::bail!("the harness is gone"),
            };
            let answer = match loaded {
                Ok(()) => "done".to_owned(),
                Err(error) => format!("{error:#}").replace('\n', " | "),
            };
            control.write_all(format!("{answer}\n").as_bytes()).await.context("the harness is gone")
        },
    )
}

async fn load(order: &Order) -> anyhow::Result<()> {
    let mut visible = order.visible.clone();
    visible.push(order.root.clone());
    machine::set_up(&visible)?;
    Crew::carry_out(&loading_script(&order.programs, &order.archives, &order.root)).await.map(drop)
}

/// Copies what [`load_images`] made to `root`, which must not exist: on the same file system in no time and no space, as
/// only containerd's databases are ever written.
///
/// # Errors
/// The system's.
pub fn copy_images(loaded: &Path, root: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(loaded)?;
    fs::create_dir(root)?;
    for entry in fs::read_dir(loaded)? {
        let entry = entry?;
        let (from, to) = (entry.path(), root.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_images(&from, &to)?;
        } else if from.extension().is_some_and(|extension| extension == "db") {
            fs::copy(&from, &to)?;
        } else {
            link(&from, &to)?;
        }
    }
    // Last, as it may forbid writing.
    fs::set_permissions(root, metadata.permissions())
}

/// A second name of a file that never changes; a copy where that is another file system.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => fs::copy(from, to).map(drop),
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn only_databases_are_copied() {
        let place = tempfile::tempdir().unwrap();
        let loaded = place.path().join("loaded");
        fs::create_dir_all(loaded.join("snapshots/1/fs")).unwrap();
        fs::write(loaded.join("meta.db"), "database").unwrap();
        fs::write(loaded.join("snapshots/1/fs/file"), "layer").unwrap();
        std::os::unix::fs::symlink("file", loaded.join("snapshots/1/fs/link")).unwrap();
        fs::set_permissions(loaded.join("snapshots/1/fs"), fs::Permissions::from_mode(0o555)).unwrap();
        let root = place.path().join("root");
        copy_images(&loaded, &root).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_ne!(inode(&loaded.join("meta.db")), inode(&root.join("meta.db")));
        assert_eq!(inode(&loaded.join("snapshots/1/fs/file")), inode(&root.join("snapshots/1/fs/file")));
        assert_eq!(fs::read_link(root.join("snapshots/1/fs/link")).unwrap(), Path::new("file"));
        assert_eq!(fs::metadata(root.join("snapshots/1/fs")).unwrap().permissions().mode() & 0o777, 0o555);
    }
}
