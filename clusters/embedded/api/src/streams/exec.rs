//! `pods/exec` and `pods/attach`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::WebSocket;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Request, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::channels::{self, Incoming, Left};
use super::{log, node};
use crate::failure::{Failure, Outcome};
use crate::node_requests::{ExecExit, ExecOutput, NodeError, NodeRequest, TerminalSize};
use crate::object;
use crate::state::State;
use crate::verbs::Call;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// How many pieces of input or output may wait.
const QUEUE: usize = 32;

/// What the caller talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A command of its own.
    Command,
    /// The container's own process.
    Container,
}

/// The caller's end of the pipes, on the server's side.
struct Pipes {
    stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<TerminalSize>,
    output: mpsc::Receiver<ExecOutput>,
    exit: oneshot::Receiver<Result<ExecExit, NodeError>>,
}

/// Opens a WebSocket to a command or to a container's process.
pub(super) async fn open(call: Call, request: Request<Body>, what: What) -> Outcome<Response<Body>> {
    let pod = call.current()?;
    let container = log::choose_container(&call, &pod.value)?;
    let command = call.query.all("command");
    if what == What::Command && command.is_empty() {
        return Err(Failure::bad_request("you must specify at least one command for the container"));
    }
    if object::text(&pod.value, &["spec", "nodeName"]).is_empty() {
        return Err(Failure::bad_request(format!("pod {} does not have a host assigned", call.name)));
    }
    if matches!(object::text(&pod.value, &["status", "phase"]), "Succeeded" | "Failed") {
        let phase = object::text(&pod.value, &["status", "phase"]);
        return Err(Failure::bad_request(format!(
            "cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    let settling = Settling::of(request.headers());
    let upgrade = super::upgrade(request).await?;
    let (asked, pipes) = ask(&call, container, command, what);
    let state = call.state.clone();
    Ok(upgrade.on_upgrade(move |socket| async move {
        tokio::select! {
            () = converse(&state, asked, pipes, socket, settling) => {}
            () = state.stop.cancelled() => {}
        }
    }))
}

/// The request to the node and our ends of its pipes.
fn ask(call: &Call, container: String, command: Vec<String>, what: What) -> (NodeRequest, Pipes) {
    let query = &call.query;
    let (namespace, pod) = (call.namespace.clone(), call.name.clone());
    let (stdin_sender, stdin_receiver) = mpsc::channel(QUEUE);
    let (output_sender, output) = mpsc::channel(QUEUE);
    let (resize_sender, resize) = mpsc::channel(QUEUE);
    let (reply, exit) = oneshot::channel();
    let with_stdin = query.flag("stdin");
    let stdin = with_stdin.then_some(stdin_receiver);
    let request = match what {
        What::Command => NodeRequest::Exec {
            namespace,
            pod,
            container,
            command,
            tty: query.flag("tty"),
            stdin,
            output: output_sender,
            resize,
            reply,
        },
        What::Container => {
            NodeRequest::Attach { namespace, pod, container, stdin, output: output_sender, reply }
        }
    };
    (request, Pipes { stdin: with_stdin.then_some(stdin_sender), resize: resize_sender, output, exit })
}

/// Whether the caller knows its channels by now.
///
/// client-go before v0.34 (kubectl before 1.34) begins to read before it has made its streams, and throws away what comes
/// for a stream it has not made ("Unknown stream id 1, discarding message", `tools/remotecommand/websocket.go`). With a
/// real container runtime nothing comes that early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settling {
    /// A Go program, which gets [`SETTLING`] from its first sign of reading on.
    Awaited,
    Done,
}

impl Settling {
    /// client-go tells the commit it was built from, unless its user says otherwise:
    /// `kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd`.
    fn of(headers: &HeaderMap) -> Settling {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if agent.contains(" kubernetes/") { Settling::Awaited } else { Settling::Done }
    }
}

/// How long a caller that reads may take to make its streams: several turns of a busy scheduler.
const SETTLING: Duration = Duration::from_millis(50);

/// How long the first sign of reading is waited for.
const FIRST_SIGN: Duration = Duration::from_secs(1);

/// Ends [`SETTLING`] after the caller was seen to read.
async fn settle(reads: oneshot::Receiver<()>) {
    // The sender is dropped, not used. Who never answers a ping is served all the same.
    let _ = tokio::time::timeout(FIRST_SIGN, reads).await;
    tokio::time::sleep(SETTLING).await;
}

/// Carries bytes both ways until the process ends or the caller leaves.
async fn converse(
    state: &State,
    request: NodeRequest,
    pipes: Pipes,
    socket: WebSocket,
    mut settling: Settling,
) {
    let (mut sender, receiver) = channels::split(socket);
    let Pipes { stdin, resize, mut output, mut exit } = pipes;
    // An empty message tells the caller that the connection stands.
    let greeted = match settling {
        Settling::Awaited => sender.ping().await,
        Settling::Done => sender.send(STDOUT, &[]).await,
    };
    if greeted.is_err() {
        return;
    }
    let sent = node::send(state, request).await;
    let (reads, pong) = oneshot::channel();
    let left = listen(receiver, reads, stdin, resize);
    let settle = settle(pong);
    tokio::pin!(left, settle);
    let ended = loop {
        let settled = settling == Settling::Done;
        tokio::select! {
            biased;
            () = &mut settle, if !settled => {
                settling = Settling::Done;
                if sender.send(STDOUT, &[]).await.is_err() { return }
            }
            Some(piece) = output.recv(), if settled => if put(&mut sender, piece).await.is_err() { return },
            ended = &mut exit, if settled => break ended,
            // Whoever leaves takes the output's receiver along, which tells the node.
            () = &mut left => return,
        }
    };
    // What the process wrote before it ended is on its way already.
    while let Ok(piece) = output.try_recv() {
        if put(&mut sender, piece).await.is_err() {
            return;
        }
    }
    let status = match (sent, ended) {
        (Err(failure), _) => failure.to_value(),
        (Ok(()), Err(_)) => node::gone().to_value(),
        (Ok(()), Ok(Err(error))) => node::refusal(error).to_value(),
        (Ok(()), Ok(Ok(exit))) => exit_status(exit),
    };
    if sender.send(ERROR, status.to_string().as_bytes()).await.is_ok() {
        sender.close().await;
        // The caller closes in its turn; what it still says is not heard.
        left.await;
    }
}

async fn put(sender: &mut channels::Sender, piece: ExecOutput) -> Result<(), Left> {
    match piece {
        ExecOutput::Stdout(data) => sender.send(STDOUT, &data).await,
        ExecOutput::Stderr(data) => sender.send(STDERR, &data).await,
    }
}

/// Hands on what the caller sends, until it leaves, and tells once that it `reads`.
async fn listen(
    mut receiver: channels::Receiver,
    reads: oneshot::Sender<()>,
    stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<TerminalSize>,
) {
    let (mut stdin, mut reads) = (stdin, Some(reads));
    while let Some(message) = receiver.next().await {
        match message {
            Incoming::Data(STDIN, data) => {
                // A process that has closed its input does not end the conversation.
                if let Some(open) = stdin.as_ref().filter(|_| !data.is_empty())
                    && open.send(data).await.is_err()
                {
                    stdin = None;
                }
            }
            Incoming::Data(RESIZE, data) => {
                if let Ok(size) = serde_json::from_slice(&data) {
                    // A size that comes too fast is followed by another.
                    let _ = resize.try_send(size);
                }
            }
            Incoming::Closed(STDIN) => stdin = None,
            Incoming::Pong => drop(reads.take()),
            Incoming::Data(..) | Incoming::Closed(_) => {}
        }
    }
}

/// How a process ended, as the fourth version of the protocol says it.
fn exit_status(exit: ExecExit) -> Value {
    if exit.code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    let code = exit.code;
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: error executing command, exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}
