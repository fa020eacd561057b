//! The host's side of a cluster under a supervisor: start it, reach it, pull its levers, end it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use embedded_node::LinkState;
use netmodel::LostPackets;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use outside::{Mode, Question};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::conversation::Conversation;
use crate::dispatch;
use crate::levers::{Connections, ContainerName, DeniedPackets, PodName};
use crate::wire::{Access, ClusterSpec, Command, Reply};

/// Why there is no cluster, or why it did not obey.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The supervisor could not be started.
    #[error("cannot start the supervisor process: {0}")]
    Spawn(#[source] io::Error),
    /// The supervisor says why it could not do what was asked.
    #[error("{0}")]
    Refused(String),
    /// The supervisor is gone.
    #[error("the cluster's supervisor ended without an answer{}{said}", .log.as_deref().map(|log| format!("; its log: {log}")).unwrap_or_default())]
    Gone {
        /// Where its log is, if it has one.
        log: Option<String>,
        /// The telling lines of that log, as the end of a sentence: the file may not outlive the error.
        said: String,
    },
    /// It answered something else than it was asked.
    #[error("the cluster's supervisor gave an unexpected answer: {0}")]
    Unexpected(String),
}

/// A running cluster of this machine under a supervisor of ours. Dropping it kills it; [`SupervisedCluster::stop`] ends it
/// in order.
#[derive(Debug)]
pub struct SupervisedCluster {
    access: Access,
    conversation: Mutex<Conversation>,
    supervisor: Supervisor,
    ended: CancellationToken,
    log: Option<String>,
}

/// An order to a cluster that was described already.
type Order = Command<()>;

/// The supervisor's process; killed and reaped when dropped.
#[derive(Debug)]
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl SupervisedCluster {
    /// Boots an embedded cluster and waits until its API answers, its node is Ready and names resolve in it.
    ///
    /// The supervisor's log goes to `log`, or nowhere.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] with a sentence that names the remedy where there is one.
    pub async fn start_embedded(
        spec: &ClusterSpec,
        log: Option<&Path>,
    ) -> Result<SupervisedCluster, ClusterError> {
        SupervisedCluster::start(&[dispatch::SUPERVISOR], spec, log).await
    }

    /// The same for a cluster of another kind: `supervisor` is the built-in program that runs it, with its arguments, `spec`
    /// its first order.
    ///
    /// # Errors
    /// As [`SupervisedCluster::start_embedded`].
    pub async fn start<S: Serialize>(
        supervisor: &[&str],
        spec: &S,
        log: Option<&Path>,
    ) -> Result<SupervisedCluster, ClusterError> {
        let (ours, theirs) = UnixStream::pair().map_err(ClusterError::Spawn)?;
        let output = match log {
            Some(path) => Stdio::from(File::create(path).map_err(ClusterError::Spawn)?),
            None => Stdio::null(),
        };
        let child = builtin::command(supervisor)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(output)
            // Ctrl-C in a terminal goes to the whole process group; the cluster must outlive it until undo is done.
            .process_group(0)
            .spawn()
            .map_err(ClusterError::Spawn)?;
        let supervisor = Supervisor(child);
        ours.set_nonblocking(true).map_err(ClusterError::Spawn)?;
        let ended = watch_end(&ours).map_err(ClusterError::Spawn)?;
        let conversation = Mutex::new(Conversation::new(ours).map_err(ClusterError::Spawn)?);
        let log = log.map(|path| path.display().to_string());
        let access = Access { server: String::new(), ca_pem: String::new(), token: String::new() };
        let mut cluster = SupervisedCluster { access, conversation, supervisor, ended, log };
        match cluster.ask(&Command::Start(Box::new(spec))).await? {
            Reply::Ready(access) => cluster.access = access,
            other => return Err(unexpected(&other)),
        }
        Ok(cluster)
    }

    /// How to reach the API server.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The supervisor's process id on the host.
    pub fn pid(&self) -> u32 {
        self.supervisor.0.id()
    }

    /// Changes what the name server outside the cluster answers; in force when this returns.
    ///
    /// # Errors
    /// [`ClusterError::Gone`] when the cluster has ended.
    pub async fn set_upstream(&self, mode: Mode) -> Result<(), ClusterError> {
        self.expect_done(&Order::Upstream(mode)).await
    }

    /// Every question the name server outside the cluster was asked so far, oldest first.
    ///
    /// # Errors
    /// [`ClusterError::Gone`] when the cluster has ended.
    pub async fn upstream_questions(&self) -> Result<Vec<Question>, ClusterError> {
        match self.ask(&Order::UpstreamQuestions).await? {
            Reply::Questions(questions) => Ok(questions),
            other => Err(unexpected(&other)),
        }
    }

    /// Kills a container's first process.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] when it does not run, [`ClusterError::Gone`] when the cluster has ended.
    pub async fn kill(&self, container: ContainerName) -> Result<(), ClusterError> {
        self.expect_done(&Order::Kill(container)).await
    }

    /// Takes the node's end of a pod's link down, or up again.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] when one is to be taken down that is not there, [`ClusterError::Gone`] when the cluster
    /// has ended.
    pub async fn set_link(&self, pod: PodName, state: LinkState) -> Result<(), ClusterError> {
        self.expect_done(&Order::Link(pod, state)).await
    }

    /// Lets the node forget connections that it tracks.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] when it tracks no such connection, [`ClusterError::Gone`] when the cluster has ended.
    pub async fn forget(&self, connections: Connections) -> Result<(), ClusterError> {
        self.expect_done(&Order::Forget(connections)).await
    }

    /// Lets the node's own firewall drop what is sent there, and nothing else; or nothing at all.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] when there is no such pod, [`ClusterError::Gone`] when the cluster has ended.
    pub async fn set_firewall(&self, drops: Option<Connections>) -> Result<(), ClusterError> {
        self.expect_done(&Order::Firewall(drops)).await
    }

    /// Packets that began connections and got no further than the node, since it was up.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] when its kernel logs no packets, [`ClusterError::Gone`] when the cluster has ended.
    pub async fn lost_packets(&self) -> Result<Vec<LostPackets>, ClusterError> {
        match self.ask(&Order::LostPackets).await? {
            Reply::LostPackets(lost) => Ok(lost),
            other => Err(unexpected(&other)),
        }
    }

    /// What the node's rules that deny have counted so far.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] when they cannot be read, [`ClusterError::Gone`] when the cluster has ended.
    pub async fn denials(&self) -> Result<Vec<DeniedPackets>, ClusterError> {
        match self.ask(&Order::DeniedPackets).await? {
            Reply::DeniedPackets(denials) => Ok(denials),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends the cluster and waits until its supervisor is gone.
    ///
    /// # Errors
    /// [`ClusterError::Gone`] when it had ended before.
    pub async fn stop(self) -> Result<(), ClusterError> {
        self.expect_done(&Order::Stop).await?;
        let mut supervisor = self.supervisor;
        let waited = tokio::task::spawn_blocking(move || supervisor.0.wait()).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(ClusterError::Spawn(error)),
            Err(_) => Err(gone(self.log.as_deref())),
        }
    }

    /// Returns when the cluster has ended, by whosever hand.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    async fn expect_done(&self, command: &Order) -> Result<(), ClusterError> {
        match self.ask(command).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask<S: Serialize>(&self, command: &Command<S>) -> Result<Reply, ClusterError> {
        let (sent, answer) = self.conversation.lock().await.ask(command).await;
        match answer {
            Ok(Some(Reply::Failed(reason))) => Err(ClusterError::Refused(reason)),
            Ok(Some(Reply::NotUp(why))) => {
                Err(ClusterError::Refused(format!("{why}{}", telling(self.log.as_deref()))))
            }
            Ok(Some(reply)) if sent.is_ok() => Ok(reply),
            Ok(Some(_) | None) | Err(_) => Err(gone(self.log.as_deref())),
        }
    }
}

/// A token that is cancelled when the supervisor's end of `socket` is closed: it alone holds it, as long as it lives.
fn watch_end(socket: &UnixStream) -> io::Result<CancellationToken> {
    let watched = socket.try_clone()?;
    let ended = CancellationToken::new();
    let told = ended.clone();
    std::thread::Builder::new().name("cluster-end".into()).spawn(move || {
        // No event is asked for: a hang-up is always reported.
        let mut watched = [PollFd::new(watched.as_fd(), PollFlags::empty())];
        while poll(&mut watched, PollTimeout::NONE) == Err(Errno::EINTR) {}
        told.cancel();
    })?;
    Ok(ended)
}

fn gone(log: Option<&str>) -> ClusterError {
    ClusterError::Gone { log: log.map(str::to_owned), said: telling(log) }
}

/// The last complaints in a supervisor's log, as the end of a sentence; empty when it has none.
fn telling(log: Option<&str>) -> String {
    const MOST: usize = 5;
    // A log that cannot be read tells nothing.
    let text = log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let complains = |line: &str| [" WARN ", " ERROR ", "panicked at "].iter().any(|sign| line.contains(sign));
    // A panic's reason stands on the line after it.
    let after_panic = |index: usize| index > 0 && lines[index - 1].contains("panicked at ");
    let told: Vec<&str> = (0..lines.len())
        .filter(|&index| complains(lines[index]) || after_panic(index))
        .map(|index| lines[index])
        .collect();
    match told.as_slice() {
        [] => String::new(),
        told => format!("; its log says: {}", told[told.len().saturating_sub(MOST)..].join(" | ")),
    }
}

fn unexpected(reply: &Reply) -> ClusterError {
    ClusterError::Unexpected(format!("{reply:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing("", "")]
    #[case::nothing_bad("T  INFO embedded: booted\n", "")]
    #[case::complaints(
        "T  INFO a: b\nT  WARN c: d\nT ERROR e: f\n",
        "; its log says: T  WARN c: d | T ERROR e: f"
    )]
    #[case::a_panic(
        "thread 'main' (1) panicked at a.rs:1:\nindex out of bounds\nnote: run with\n",
        "; its log says: thread 'main' (1) panicked at a.rs:1: | index out of bounds"
    )]
    #[case::the_last_of_many(
        "1 WARN x\n2 WARN x\n3 WARN x\n4 WARN x\n5 WARN x\n6 WARN x\n",
        "; its log says: 2 WARN x | 3 WARN x | 4 WARN x | 5 WARN x | 6 WARN x"
    )]
    fn the_telling_lines_of_a_log(#[case] log: &str, #[case] said: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), log).unwrap();
        assert_eq!(telling(file.path().to_str()), said);
    }
}
