//! What the harness and the supervisor say to each other: one JSON document a line over a socket pair.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use embedded_node::{LinkState, ProgramImage};
use netmodel::{LostPackets, Profile};
use outside::{Mode, Question};
use pace::Pace;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::levers::{Connections, ContainerName, DeniedPackets, PodName};

/// What listens on the host besides the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPorts {
    /// Nothing.
    Closed,
    /// Every NodePort of a Service, under the same number on the cluster's host address.
    NodePorts,
}

/// Everything that describes an embedded cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Name shown in listings and in the kubeconfig's context.
    pub name: String,
    /// Network plugin profile.
    pub profile: Profile,
    /// Factor for the kubelet's and the containers' timers.
    pub pace: Pace,
    /// Image table: which image reference becomes which process.
    pub images: Vec<ProgramImage>,
    /// The `nft` program.
    pub nft: PathBuf,
    /// An existing directory over which the supervisor mounts its tmpfs; stays empty on the host.
    pub mountpoint: PathBuf,
    /// Address of the host's loopback on which the API server (and NodePorts) listen.
    pub host_address: Ipv4Addr,
    /// Port of the API server on the host; 0 lets the kernel choose.
    pub api_port: u16,
    /// What else listens on the host.
    pub host_ports: HostPorts,
    /// What the name server outside the cluster answers at first.
    pub upstream: Mode,
}

/// A request to the supervisor of a cluster that `S` describes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command<S> {
    /// First of all: boot.
    Start(Box<S>),
    /// Change what the outside's name server answers.
    Upstream(Mode),
    /// Read what the outside's name server was asked.
    UpstreamQuestions,
    /// Kill a container's first process.
    Kill(ContainerName),
    /// Take a pod's link down, or up again.
    Link(PodName, LinkState),
    /// Forget connections that the node tracks.
    Forget(Connections),
    /// Let the node's own firewall drop what is sent there, or nothing.
    Firewall(Option<Connections>),
    /// Read what the rules that deny have counted.
    DeniedPackets,
    /// Read which packets got no further than the node.
    LostPackets,
    /// End the cluster.
    Stop,
}

/// How to reach the API server from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `https://127.0.0.1:40123`.
    pub server: String,
    /// Certificate authority, PEM.
    pub ca_pem: String,
    /// Administrator's bearer token.
    pub token: String,
}

/// The supervisor's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The API answers, the node is Ready and names resolve.
    Ready(Access),
    /// The command was carried out.
    Done,
    /// Answer to [`Command::UpstreamQuestions`].
    Questions(Vec<Question>),
    /// Answer to [`Command::DeniedPackets`].
    DeniedPackets(Vec<DeniedPackets>),
    /// Answer to [`Command::LostPackets`].
    LostPackets(Vec<LostPackets>),
    /// It was not; the text is for people.
    Failed(String),
    /// What was started does not become Ready: which pods, and why. The supervisor's log may know more.
    NotUp(String),
}

/// One document as one line.
pub(crate) fn line<T: Serialize>(document: &T) -> String {
    // These types have no map with non-string keys, the one thing JSON cannot write.
    let mut text = serde_json::to_string(document).unwrap_or_default();
    text.push('\n');
    text
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Wire {
    lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Wire {
    /// Speaks over `socket`, which must be non-blocking.
    ///
    /// # Errors
    /// The runtime's, when it cannot watch the socket.
    pub(crate) fn new(socket: std::os::unix::net::UnixStream) -> std::io::Result<Wire> {
        let (reader, writer) = UnixStream::from_std(socket)?.into_split();
        Ok(Wire { lines: BufReader::new(reader).lines(), writer })
    }

    /// Sends one document.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) async fn send<T: Serialize>(&mut self, document: &T) -> std::io::Result<()> {
        self.writer.write_all(line(document).as_bytes()).await
    }

    /// The next document; `None` when the other side is gone.
    ///
    /// # Errors
    /// The socket's, and a line that is no such document.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> std::io::Result<Option<T>> {
        let Some(line) = self.lines.next_line().await? else { return Ok(None) };
        Ok(Some(serde_json::from_str(&line)?))
    }
}
