//! Commands run in a container that runs: exec probes, hooks, `kubectl exec`.

use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::pod::Running;
use crate::container::{Command, ExecSpec, Process, StartError, Stdio, Terminal, ToInit};

/// What a command wrote and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) code: i32,
    /// stdout and stderr, as they came.
    pub(crate) text: Vec<u8>,
}

/// A command did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// As containerd words it.
    #[error(
        "failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: {0}"
    )]
    Start(#[from] StartError),
    #[error("failed to exec in container: {0}")]
    System(#[from] std::io::Error),
}

/// The request for a command in a container: the container's environment, directory and programs.
pub(crate) fn request(running: &Running, arguments: Vec<String>, terminal: Terminal) -> ToInit {
    let command = Command { arguments, ..running.command.clone() };
    ToInit::Join(ExecSpec { pid: running.process.pid(), command, terminal })
}

/// Runs a command to its end.
pub(crate) async fn run_in_container(
    running: &Running,
    arguments: Vec<String>,
) -> Result<Output, CommandError> {
    let (sender, mut receiver) = pipe::pipe()?;
    let output: OwnedFd = sender.into_blocking_fd()?;
    let streams = Stdio { input: None, error: output.try_clone()?, output };
    let process = Process::start(request(running, arguments, Terminal::None), None, streams).await?;
    let guard = KillOnDrop(&process);
    let mut text = Vec::new();
    receiver.read_to_end(&mut text).await?;
    let code = process.ended().await;
    std::mem::forget(guard);
    Ok(Output { code, text })
}

/// A command whose caller has lost patience ends.
pub(crate) struct KillOnDrop<'a>(pub(crate) &'a Process);

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        self.0.signal(nix::sys::signal::Signal::SIGKILL);
    }
}
