//! What a gRPC client sees of refused, foreign and broken servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use gonet::{ClientConn, ConnectOptions, GoStatus, KeepAlive, connect};
use pace::Pace;
use seldon_proto::agent::agent_service_client::AgentServiceClient;
use seldon_proto::agent::agent_service_server::{AgentService, AgentServiceServer};
use seldon_proto::agent::{
    AgentDrainRequest, AgentDrainResponse, AgentSubscribeRequest, ModelEventMessage, ModelEventResponse,
    ModelOperationMessage, ModelScalingTriggerMessage, ModelScalingTriggerResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// Streams nothing, refuses drains.
struct Quiet;

#[tonic::async_trait]
impl AgentService for Quiet {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<ModelOperationMessage, Status>> + Send>>;

    async fn subscribe(
        &self,
        _: Request<AgentSubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::pending())))
    }

    async fn agent_event(
        &self,
        _: Request<ModelEventMessage>,
    ) -> Result<Response<ModelEventResponse>, Status> {
        Ok(Response::new(ModelEventResponse {}))
    }

    async fn model_scaling_trigger(
        &self,
        _: Request<Streaming<ModelScalingTriggerMessage>>,
    ) -> Result<Response<ModelScalingTriggerResponse>, Status> {
        Ok(Response::new(ModelScalingTriggerResponse {}))
    }

    async fn agent_drain(
        &self,
        _: Request<AgentDrainRequest>,
    ) -> Result<Response<AgentDrainResponse>, Status> {
        Err(Status::failed_precondition("not now"))
    }
}

fn options() -> ConnectOptions {
    ConnectOptions::new(Pace::FAST)
}

async fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = AgentServiceServer::new(Quiet);
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    port
}

/// A port that refuses for as long as the socket is held: bound, so nobody else can have it, and not listening.
fn refusing() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

async fn subscribe(channel: tonic::transport::Channel) -> Result<Streaming<ModelOperationMessage>, GoStatus> {
    let mut client = AgentServiceClient::new(channel);
    let answer = client.subscribe(AgentSubscribeRequest::default()).await;
    answer.map(Response::into_inner).map_err(|status| GoStatus::from_tonic(&status))
}

#[tokio::test]
async fn a_refused_dial_is_wrapped_twice() {
    let (_held, port) = refusing();
    let text = connect("127.0.0.1", port, &options()).await.unwrap_err().to_string();
    assert_eq!(
        text,
        format!(
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: \
             dial tcp 127.0.0.1:{port}: connect: connection refused\""
        )
    );
}

#[tokio::test]
async fn what_a_server_refuses_keeps_its_words() {
    let mut client = AgentServiceClient::new(connect("127.0.0.1", server().await, &options()).await.unwrap());
    let status = client.agent_drain(AgentDrainRequest::default()).await.unwrap_err();
    assert_eq!(
        GoStatus::from_tonic(&status).to_string(),
        "rpc error: code = FailedPrecondition desc = not now"
    );
}

/// A peer that accepts one connection and hands it over.
async fn one_peer() -> (u16, impl Future<Output = TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, async move { listener.accept().await.unwrap().0 })
}

#[tokio::test]
async fn a_server_that_hangs_up_at_once_sent_no_preface() {
    let (port, peer) = one_peer().await;
    let hang_up = async {
        let mut stream = peer.await;
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let target = options();
    let (outcome, ()) = tokio::join!(connect("127.0.0.1", port, &target), hang_up);
    assert_eq!(outcome.unwrap_err().desc, "connection error: desc = \"error reading server preface: EOF\"");
}

#[tokio::test]
async fn a_reset_before_the_preface_names_both_ends() {
    let (port, peer) = one_peer().await;
    let reset = async {
        let stream = peer.await;
        // Closing with unread bytes makes the kernel send a reset.
        stream.readable().await.unwrap();
        drop(stream);
    };
    let target = options();
    let (outcome, ()) = tokio::join!(connect("127.0.0.1", port, &target), reset);
    let desc = outcome.unwrap_err().desc;
    assert!(
        desc.starts_with("connection error: desc = \"error reading server preface: read tcp 127.0.0.1:"),
        "{desc}"
    );
    assert!(desc.ends_with(&format!("->127.0.0.1:{port}: read: connection reset by peer\"")), "{desc}");
}

#[tokio::test]
async fn a_server_of_another_protocol_sends_too_large_a_frame() {
    let (port, peer) = one_peer().await;
    let http1 = async {
        let mut stream = peer.await;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let target = options();
    let (outcome, _stream) = tokio::join!(connect("127.0.0.1", port, &target), http1);
    let desc = outcome.unwrap_err().desc;
    assert_eq!(desc, "connection error: desc = \"error reading server preface: http2: frame too large\"");
}

/// A relay in front of a server, which can be cut or silenced.
struct Relay {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn before(server: u16) -> Relay {
        let (port, peer) = one_peer().await;
        let task = tokio::spawn(async move {
            let mut near = peer.await;
            let mut far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
        Relay { port, task }
    }
}

#[tokio::test]
async fn a_server_that_goes_away_ends_its_streams_with_eof() {
    let relay = Relay::before(server().await).await;
    let mut stream = subscribe(connect("127.0.0.1", relay.port, &options()).await.unwrap()).await.unwrap();
    relay.task.abort();
    let status = stream.message().await.unwrap_err();
    assert_eq!(
        GoStatus::from_tonic(&status).to_string(),
        "rpc error: code = Unavailable desc = error reading from server: EOF"
    );
}

#[tokio::test]
async fn a_reset_connection_names_both_ends() {
    let (port, peer) = one_peer().await;
    let upstream = server().await;
    let (cut, cutting) = tokio::sync::oneshot::channel::<()>();
    let relay = tokio::spawn(async move {
        let mut near = peer.await;
        let mut far = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = cutting => {}
        }
        socket_reset(&near);
    });
    let mut stream = subscribe(connect("127.0.0.1", port, &options()).await.unwrap()).await.unwrap();
    cut.send(()).unwrap();
    relay.await.unwrap();
    let text = GoStatus::from_tonic(&stream.message().await.unwrap_err()).to_string();
    let expected = format!("->127.0.0.1:{port}: read: connection reset by peer");
    assert!(
        text.starts_with("rpc error: code = Unavailable desc = error reading from server: read tcp 127."),
        "{text}"
    );
    assert!(text.ends_with(&expected), "{text}");
}

/// Lets the kernel answer the close with a reset.
#[expect(deprecated, reason = "the only way in tokio to set a zero linger; blocking cannot happen at zero")]
fn socket_reset(stream: &TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_silent_peer_fails_the_keepalive() {
    let (port, peer) = one_peer().await;
    let upstream = server().await;
    let (silence, silencing) = tokio::sync::oneshot::channel::<()>();
    let relay = tokio::spawn(async move {
        let mut near = peer.await;
        let mut far = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = silencing => {}
        }
        (near, far)
    });
    let options = options().with_keepalive(KeepAlive::SELDON);
    let mut stream = subscribe(connect("127.0.0.1", port, &options).await.unwrap()).await.unwrap();
    silence.send(()).unwrap();
    let _both_ends_stay_open = relay.await.unwrap();
    let text = GoStatus::from_tonic(&stream.message().await.unwrap_err()).to_string();
    assert_eq!(
        text,
        "rpc error: code = Unavailable desc = keepalive ping failed to receive ACK within timeout"
    );
}

#[tokio::test]
async fn a_client_conn_fails_fast_after_a_failure_and_heals_in_the_background() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let connection = ClientConn::new("127.0.0.1", port, options());
    let refused = connection.channel().await.err().unwrap();
    assert!(refused.desc.ends_with("connect: connection refused\""), "{refused}");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let service = AgentServiceServer::new(Quiet);
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let healed = async {
        loop {
            match connection.channel().await {
                Ok(channel) => return channel,
                Err(status) => assert_eq!(status, refused),
            }
            tokio::task::yield_now().await;
        }
    };
    let channel = tokio::time::timeout(Duration::from_secs(10), healed).await.unwrap();
    subscribe(channel).await.unwrap();
}

#[tokio::test]
async fn a_broken_client_conn_is_made_again_by_the_next_call() {
    let upstream = server().await;
    let relay = Relay::before(upstream).await;
    let connection = ClientConn::new("127.0.0.1", relay.port, options());
    let mut stream = subscribe(connection.channel().await.unwrap()).await.unwrap();
    relay.task.abort();
    assert!(stream.message().await.is_err());
    let refused = connection.channel().await.err().unwrap();
    assert!(refused.desc.ends_with("connect: connection refused\""), "{refused}");
    connection.close();
    assert_eq!(connection.channel().await.err().unwrap(), GoStatus::closing());
}
