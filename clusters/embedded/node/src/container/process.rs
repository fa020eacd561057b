//! The node's side of a container: start its keeper, hear when the process ends, signal it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::channel;
use super::spec::{FromInit, ToInit};

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The namespaces, the root or the program failed; the text is what runc would say.
    #[error("{0}")]
    Runtime(String),
    /// The keeper itself could not be run.
    #[error("cannot run container-init: {0}")]
    Keeper(#[from] std::io::Error),
}

/// The standard streams of a process to be started.
pub(crate) struct Stdio {
    /// Standard input (or the terminal for all three); `/dev/null` when absent.
    pub(crate) input: Option<OwnedFd>,
    /// Standard output.
    pub(crate) output: OwnedFd,
    /// Standard error.
    pub(crate) error: OwnedFd,
}

/// A process that was started in a container.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pid: i32,
    ended: watch::Receiver<Option<i32>>,
}

impl Process {
    /// Starts a container or a command in one, and waits until the program runs.
    pub(crate) async fn start(
        request: ToInit,
        network: Option<BorrowedFd<'_>>,
        streams: Stdio,
    ) -> Result<Process, StartError> {
        let (ours, theirs) = BlockingStream::pair()?;
        let mut descriptors: Vec<BorrowedFd<'_>> = Vec::new();
        descriptors.extend(network);
        descriptors.extend(streams.input.as_ref().map(AsFd::as_fd));
        channel::send(ours.as_fd(), &request, &descriptors)?;
        let mut keeper = tokio::process::Command::new("/proc/self/exe")
            .args(["builtin", super::CONTAINER_INIT])
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(streams.output)
            .stderr(streams.error)
            .spawn()?;
        drop(streams.input);
        ours.set_nonblocking(true)?;
        let mut events = BufReader::new(UnixStream::from_std(ours)?).lines();
        match next(&mut events).await {
            Some(FromInit::Started { pid }) => {
                let (sender, ended) = watch::channel(None);
                tokio::spawn(async move {
                    let code = match next(&mut events).await {
                        Some(FromInit::Ended { code }) => code,
                        // The keeper was killed, and its death killed the process.
                        _ => 128 + Signal::SIGKILL as i32,
                    };
                    let _ = keeper.wait().await;
                    sender.send_replace(Some(code));
                });
                Ok(Process { pid, ended })
            }
            other => {
                let _ = keeper.wait().await;
                let message = match other {
                    Some(FromInit::Failed { message }) => message,
                    _ => "container-init ended without a word".to_owned(),
                };
                Err(StartError::Runtime(message))
            }
        }
    }

    /// The process's id as the node numbers it.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the end; the exit code, 128 + signal when a signal ended it.
    pub(crate) async fn ended(&self) -> i32 {
        let mut ended = self.ended.clone();
        let code = ended.wait_for(Option::is_some).await;
        code.ok().and_then(|code| *code).unwrap_or(128 + Signal::SIGKILL as i32)
    }

    /// The exit code, once ended.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        *self.ended.borrow()
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.exit_code().is_none() {
            // Its keeper may have reaped it a moment ago; ids are not used again so soon.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

async fn next(events: &mut Lines<BufReader<UnixStream>>) -> Option<FromInit> {
    let line = events.next_line().await.ok().flatten()?;
    serde_json::from_str(&line).ok()
}
