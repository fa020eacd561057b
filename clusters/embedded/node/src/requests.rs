//! What the API server asks of the node: logs, exec, attach, port-forward.

mod exec;
mod forward;

use std::sync::Arc;

use embedded_api::{ExecExit, ExecOutput, NodeError, NodeRequest};
use tokio::sync::mpsc;

use crate::kubelet::{PodRuntime, State};
use crate::logs::{Filter, Follow, Run, Timestamps};
use crate::shared::Shared;

/// Serves requests, each in a task of its own, until the node stops or the API server is gone.
pub(crate) async fn serve(shared: Arc<Shared>, mut requests: mpsc::Receiver<NodeRequest>) {
    loop {
        let request = tokio::select! {
            () = shared.stop.cancelled() => return,
            request = requests.recv() => request,
        };
        let Some(request) = request else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            let stop = shared.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = answer(&shared, request) => {}
            }
        });
    }
}

/// A caller that has left does not hear the reply, so replies that cannot be sent are dropped here.
async fn answer(shared: &Shared, request: NodeRequest) {
    match request {
        NodeRequest::Logs {
            namespace,
            pod,
            container,
            follow,
            tail_lines,
            previous,
            timestamps,
            since_seconds,
            limit_bytes,
            reply,
        } => {
            let filter = Filter {
                tail: tail_lines,
                since_seconds,
                limit: limit_bytes,
                timestamps: if timestamps { Timestamps::Shown } else { Timestamps::Hidden },
            };
            let run = if previous { Run::Previous } else { Run::Present };
            let log = find(shared, &namespace, &pod).and_then(|runtime| log_of(&runtime, &container, run));
            let answered = log.map(|log| {
                let (sender, receiver) = mpsc::channel(16);
                tokio::spawn(log.send(filter, if follow { Follow::Yes } else { Follow::No }, sender));
                receiver
            });
            let _ = reply.send(answered);
        }
        NodeRequest::Exec { namespace, pod, container, command, tty, stdin, output, resize, reply } => {
            let result = match find_running(shared, &namespace, &pod, &container) {
                Ok(running) if tty => exec::in_terminal(&running, command, stdin, output, resize).await,
                Ok(running) => exec::with_pipes(&running, command, stdin, output).await,
                Err(error) => Err(error),
            };
            let _ = reply.send(result);
        }
        NodeRequest::Attach { namespace, pod, container, output, reply, .. } => {
            let _ = reply.send(attach(shared, &namespace, &pod, &container, output).await);
        }
        NodeRequest::PortForward { namespace, pod, port, stream, reply } => {
            match find(shared, &namespace, &pod) {
                Ok(runtime) => forward::forward(&runtime, port, stream, reply).await,
                Err(error) => drop(reply.send(Err(error))),
            }
        }
    }
}

fn find(shared: &Shared, namespace: &str, pod: &str) -> Result<Arc<PodRuntime>, NodeError> {
    shared
        .pod(namespace, pod)
        .ok_or_else(|| NodeError::NotFound(format!("pod \"{pod}_{namespace}\" not found")))
}

fn find_running(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    container: &str,
) -> Result<crate::kubelet::Running, NodeError> {
    let runtime = find(shared, namespace, pod)?;
    runtime
        .running(container)
        .ok_or_else(|| NodeError::NotFound(format!("container not found (\"{container}\")")))
}

fn log_of(runtime: &PodRuntime, container: &str, run: Run) -> Result<crate::logs::RunLog, NodeError> {
    let pod = &runtime.name;
    let record = runtime
        .record(container)
        .ok_or_else(|| NodeError::BadRequest(format!("container {container} is not valid for pod {pod}")))?;
    let log = runtime.logs(container).and_then(|it| it.run(run));
    log.ok_or_else(|| match (run, record.state) {
        (Run::Previous, _) => NodeError::BadRequest(format!(
            "previous terminated container \"{container}\" in pod \"{pod}\" not found"
        )),
        (Run::Present, State::Waiting { reason, .. }) => {
            let why = match reason.as_str() {
                "ErrImagePull" => "image can't be pulled",
                "ImagePullBackOff" => "trying and failing to pull image",
                other => other,
            };
            NodeError::BadRequest(format!(
                "container \"{container}\" in pod \"{pod}\" is waiting to start: {why}"
            ))
        }
        (Run::Present, _) => {
            let inits = runtime.spec().init_containers.is_some_and(|it| !it.is_empty());
            let why = if inits { "PodInitializing" } else { "ContainerCreating" };
            NodeError::BadRequest(format!(
                "container \"{container}\" in pod \"{pod}\" is waiting to start: {why}"
            ))
        }
    })
}

/// The output of the container's own process from now on. Containers have no stdin here, so what the caller types is dropped.
async fn attach(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    container: &str,
    output: mpsc::Sender<ExecOutput>,
) -> Result<ExecExit, NodeError> {
    let running = find_running(shared, namespace, pod, container)?;
    let log = log_of(&*find(shared, namespace, pod)?, container, Run::Present)?;
    let (sender, mut lines) = mpsc::channel(16);
    tokio::spawn(log.send_new_lines(sender));
    while let Some(line) = lines.recv().await {
        let piece = if line.is_stderr {
            ExecOutput::Stderr(line.text.into())
        } else {
            ExecOutput::Stdout(line.text.into())
        };
        if output.send(piece).await.is_err() {
            return Ok(ExecExit { code: 0 });
        }
    }
    Ok(ExecExit { code: running.process.ended().await })
}
