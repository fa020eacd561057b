//! What the API server asks of a node: logs, exec and port-forward, which the real one proxies to the kubelet's port 10250.
//!
//! The server has already checked that the pod exists, that the container is one of its containers and that the pod
//! is bound to a node. The node answers with bytes, or with a [`NodeError`] whose text reaches the caller unchanged.

use bytes::Bytes;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};

/// One request to the node. Taken from [`crate::ApiServer::node_requests`].
#[derive(Debug)]
pub enum NodeRequest {
    /// `GET …/pods/P/log`.
    Logs {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod: String,
        /// The container (init containers included); never empty.
        container: String,
        /// Keep the stream open and send what is written later.
        follow: bool,
        /// Begin with the last so many lines; `None` means from the start.
        tail_lines: Option<u64>,
        /// The log of the container's previous instance.
        previous: bool,
        /// Put an RFC 3339 time with nanoseconds and a space before each line.
        timestamps: bool,
        /// Only lines younger than so many seconds.
        since_seconds: Option<u64>,
        /// End the stream after so many bytes.
        limit_bytes: Option<u64>,
        /// Where the stream goes. The stream ends when the sender is dropped; when the receiver is dropped the caller has left.
        reply: oneshot::Sender<Result<mpsc::Receiver<Bytes>, NodeError>>,
    },
    /// `…/pods/P/exec`: run a command in a running container.
    Exec {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod: String,
        /// The container; never empty.
        container: String,
        /// The program and its arguments; not empty, not a shell line.
        command: Vec<String>,
        /// Give the process a terminal; its stderr then arrives as stdout.
        tty: bool,
        /// What the caller types; `None` when the caller asked for no stdin. Closed when the caller's input ends.
        stdin: Option<mpsc::Receiver<Bytes>>,
        /// Where the process's output goes. A failing send means that the caller has left: end the process.
        output: mpsc::Sender<ExecOutput>,
        /// New sizes of the caller's terminal; silent without `tty`.
        resize: mpsc::Receiver<TerminalSize>,
        /// Answered once, when the process has ended and all of its output was sent, or could not be started.
        reply: oneshot::Sender<Result<ExecExit, NodeError>>,
    },
    /// `…/pods/P/attach`: the output (and input) of the container's own process.
    Attach {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod: String,
        /// The container; never empty.
        container: String,
        /// What the caller types; `None` when the caller asked for no stdin.
        stdin: Option<mpsc::Receiver<Bytes>>,
        /// Where the process's output goes from now on.
        output: mpsc::Sender<ExecOutput>,
        /// Answered once, when the process has ended or could not be attached to.
        reply: oneshot::Sender<Result<ExecExit, NodeError>>,
    },
    /// `…/pods/P/portforward`: one connection to a port inside the pod's network namespace, at 127.0.0.1 as the kubelet dials it.
    PortForward {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod: String,
        /// The port to dial.
        port: u16,
        /// The caller's end: copy both ways until either side closes.
        stream: DuplexStream,
        /// Answered once: connected, or why not.
        reply: oneshot::Sender<Result<(), NodeError>>,
    },
}

/// A piece of a process's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    /// Written to stdout (or to the terminal).
    Stdout(Bytes),
    /// Written to stderr.
    Stderr(Bytes),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecExit {
    /// The exit code; 128 + signal for a killed process, as container runtimes report it.
    pub code: i32,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Why a node could not serve a request. The text is shown to the caller as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The request cannot be served in the container's present state (HTTP 400), such as
    /// `container "x" in pod "y" is waiting to start: ContainerCreating`.
    #[error("{0}")]
    BadRequest(String),
    /// The pod or container is not known to the node (HTTP 404).
    #[error("{0}")]
    NotFound(String),
    /// Anything else (HTTP 500), such as a program that does not exist in the container.
    #[error("{0}")]
    Internal(String),
}
