//! `pods/portforward` over WebSocket channels: two per port, data and error, each beginning with the port's number.

use axum::body::Body;
use axum::extract::ws::WebSocket;
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::channels::{self, Incoming};
use super::node;
use crate::failure::{Failure, Outcome};
use crate::node_requests::NodeRequest;
use crate::object;
use crate::state::State;
use crate::verbs::Call;

/// Room in each direction of one port's pipe, and the largest message, in bytes.
const PIPE: usize = 64 * 1024;
const CHUNK: usize = 16 * 1024;

/// Data for the caller: channel and bytes.
type Outgoing = (u8, Bytes);

/// Opens a WebSocket to ports of a pod.
pub(super) async fn open(call: Call, request: Request<Body>) -> Outcome<Response<Body>> {
    let pod = call.current()?;
    if object::text(&pod.value, &["spec", "nodeName"]).is_empty() {
        return Err(Failure::bad_request(format!("pod {} does not have a host assigned", call.name)));
    }
    let ports = ports(&call)?;
    let upgrade = super::upgrade(request).await?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let stop = call.state.stop.clone();
        tokio::select! {
            () = forward(&call, &ports, socket) => {}
            () = stop.cancelled() => {}
        }
    }))
}

fn ports(call: &Call) -> Outcome<Vec<u16>> {
    let texts = call.query.all("ports");
    let texts: Vec<&str> =
        texts.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty()).collect();
    if texts.is_empty() {
        return Err(Failure::bad_request("query parameter \"ports\" is required"));
    }
    let number = |text: &&str| text.parse().ok().filter(|port| *port > 0);
    // Channel numbers are bytes, and the last one means "closed".
    let ports: Option<Vec<u16>> = texts.iter().map(number).collect();
    ports
        .filter(|ports| ports.len() < 127)
        .ok_or_else(|| Failure::bad_request(format!("unable to parse {:?} as port numbers", texts.join(","))))
}

async fn forward(call: &Call, ports: &[u16], socket: WebSocket) {
    let (mut sender, receiver) = channels::split(socket);
    let (outgoing, mut queue) = mpsc::channel::<Outgoing>(32);
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for (channel, &port) in (0u8..).step_by(2).zip(ports) {
        let greeting = port.to_le_bytes();
        for channel in [channel, channel + 1] {
            if sender.send(channel, &greeting).await.is_err() {
                return;
            }
        }
        let (near, far) = tokio::io::duplex(PIPE);
        let (read, write) = tokio::io::split(near);
        writers.push(write);
        readers.push(carry(&call.state, request(call, port, far), read, channel, outgoing.clone()));
    }
    drop(outgoing);
    let send = async {
        while let Some((channel, data)) = queue.recv().await {
            if sender.send(channel, &data).await.is_err() {
                return;
            }
        }
        sender.close().await;
    };
    tokio::select! {
        _ = async { tokio::join!(join_all(readers), send) } => {}
        () = listen(receiver, writers) => {}
    }
}

type Connected = oneshot::Receiver<Result<(), crate::node_requests::NodeError>>;

fn request(call: &Call, port: u16, stream: DuplexStream) -> (NodeRequest, Connected) {
    let (reply, connected) = oneshot::channel();
    let (namespace, pod) = (call.namespace.clone(), call.name.clone());
    (NodeRequest::PortForward { namespace, pod, port, stream, reply }, connected)
}

/// Connects one port and hands on what it says; an error goes to the channel beside it.
async fn carry(
    state: &State,
    (request, connected): (NodeRequest, Connected),
    mut read: ReadHalf<DuplexStream>,
    channel: u8,
    outgoing: mpsc::Sender<Outgoing>,
) {
    if let Err(failure) = node::ask(state, request, connected).await {
        // A caller that has left needs no error.
        let _ = outgoing.send((channel + 1, Bytes::from(failure.to_string()))).await;
        return;
    }
    let mut chunk = vec![0; CHUNK];
    while let Ok(length) = read.read(&mut chunk).await {
        let data = Bytes::copy_from_slice(&chunk[..length]);
        if length == 0 || outgoing.send((channel, data)).await.is_err() {
            return;
        }
    }
}

/// Hands on what the caller sends, until it leaves.
async fn listen(mut receiver: channels::Receiver, mut writers: Vec<WriteHalf<DuplexStream>>) {
    while let Some(message) = receiver.next().await {
        match message {
            Incoming::Data(channel, data) if channel % 2 == 0 => {
                if let Some(writer) = writers.get_mut(usize::from(channel / 2)) {
                    // A port that is closed hears no more; the others go on.
                    let _ = writer.write_all(&data).await;
                }
            }
            Incoming::Closed(channel) => {
                if let Some(writer) = writers.get_mut(usize::from(channel / 2)) {
                    let _ = writer.shutdown().await;
                }
            }
            Incoming::Data(..) | Incoming::Pong => {}
        }
    }
}
