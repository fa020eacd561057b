//! `kubectl port-forward`: a connection to 127.0.0.1 inside a pod's network namespace.

use std::net::{Ipv4Addr, TcpStream as BlockingStream};
use std::os::fd::AsFd;
use std::time::Duration;

use embedded_api::NodeError;
use nix::sched::{CloneFlags, setns};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::kubelet::PodRuntime;

/// Connects, answers, and copies both ways until either side closes.
pub(super) async fn forward(
    runtime: &PodRuntime,
    port: u16,
    mut stream: DuplexStream,
    reply: oneshot::Sender<Result<(), NodeError>>,
) {
    match connect(runtime, port).await {
        Ok(mut connection) => {
            let _ = reply.send(Ok(()));
            // Either side may break off; that is the end of it, not an error to report.
            let _ = tokio::io::copy_bidirectional(&mut connection, &mut stream).await;
        }
        Err(error) => {
            let id = &runtime.uid;
            let text = format!(
                "failed to connect to localhost:{port} inside namespace \"{id}\", IPv4: dial tcp4 127.0.0.1:{port}: connect: {error}"
            );
            let _ = reply.send(Err(NodeError::Internal(text)));
        }
    }
}

async fn connect(runtime: &PodRuntime, port: u16) -> std::io::Result<TcpStream> {
    let link = runtime.link();
    let namespace = link.as_ref().map(|it| it.namespace().as_fd().try_clone_to_owned()).transpose()?;
    let (done, result) = oneshot::channel();
    // A thread of its own: it enters the pod's network and must not come back to a pool.
    std::thread::Builder::new().name("port-forward".to_owned()).spawn(move || {
        let dial = || {
            if let Some(namespace) = namespace {
                setns(namespace, CloneFlags::CLONE_NEWNET)?;
            }
            let stream = BlockingStream::connect_timeout(
                &(Ipv4Addr::LOCALHOST, port).into(),
                Duration::from_secs(30),
            )?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let _ = done.send(dial());
    })?;
    let stream: std::io::Result<BlockingStream> =
        result.await.unwrap_or_else(|_| Err(std::io::Error::other("the dialling thread ended")));
    TcpStream::from_std(stream?)
}
