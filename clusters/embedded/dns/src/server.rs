//! The sockets: one UDP and one TCP listener a port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use outside::Transport;
use outside::message::read_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

use crate::engine::Engine;

/// How long an idle TCP connection is kept, as CoreDNS does.
const IDLE: Duration = Duration::from_secs(10);

/// The engine in force; a reload puts a new one.
pub(crate) type Current = watch::Receiver<Arc<Engine>>;

/// The sockets of one port.
pub(crate) struct Sockets {
    port: u16,
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
}

impl Sockets {
    /// Opens both sockets on every address of the machine.
    pub(crate) async fn open(port: u16) -> std::io::Result<Sockets> {
        let udp = match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(socket) => socket,
            Err(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
        };
        let tcp = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
        };
        Ok(Sockets { port, udp: Arc::new(udp), tcp })
    }

    /// Answers until the task is dropped.
    pub(crate) async fn serve(self, current: Current) {
        let datagrams = serve_udp(self.udp, self.port, current.clone());
        let streams = serve_tcp(self.tcp, self.port, current);
        tokio::join!(datagrams, streams);
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, port: u16, current: Current) {
    let mut buffer = vec![0; 65535];
    loop {
        // An error here is the ICMP answer to something sent before; the socket itself stays good.
        let Ok((size, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(request) = read_request(&buffer[..size], from, Transport::Udp) else { continue };
        let (socket, engine) = (socket.clone(), current.borrow().clone());
        tokio::spawn(async move {
            if let Some(bytes) = engine.answer_bytes(&request, port).await {
                let _ = socket.send_to(&bytes, from).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, port: u16, current: Current) {
    loop {
        let Ok((stream, from)) = listener.accept().await else { continue };
        tokio::spawn(connection(stream, from, port, current.clone()));
    }
}

async fn connection(mut stream: TcpStream, from: SocketAddr, port: u16, current: Current) {
    loop {
        let read = async {
            let size = stream.read_u16().await?;
            let mut buffer = vec![0; usize::from(size)];
            stream.read_exact(&mut buffer).await?;
            std::io::Result::Ok(buffer)
        };
        let Ok(Ok(buffer)) = tokio::time::timeout(IDLE, read).await else { return };
        let Some(request) = read_request(&buffer, from, Transport::Tcp) else { return };
        let engine = current.borrow().clone();
        let Some(bytes) = engine.answer_bytes(&request, port).await else { return };
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        if stream.write_all(&[&length[..], &bytes].concat()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;
    use crate::directory::Directory;
    use crate::engine::Surroundings;
    use crate::log::Journal;
    use hickory_proto::op::{Message, Query};
    use hickory_proto::rr::{Name, RecordType};
    use pace::Pace;

    #[tokio::test]
    async fn both_transports_answer() {
        let text = ".:0 {\n template IN A {\n  answer \"{{ .Name }} 60 IN A 192.0.2.1\"\n }\n}";
        let surroundings = Surroundings {
            directory: Directory::default(),
            pace: Pace::REAL,
            journal: Journal::kept(),
            own_address: None,
        };
        let engine = Engine::new(&corefile::parse("Corefile", text).unwrap(), surroundings).unwrap();
        let sockets = Sockets::open(0).await.unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let udp = local(sockets.udp.local_addr().unwrap().port());
        let tcp = local(sockets.tcp.local_addr().unwrap().port());
        let (current, watched) = watch::channel(Arc::new(engine));
        let served = tokio::spawn(sockets.serve(watched));

        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii("a.example.").unwrap(), RecordType::A));
        let bytes = question.to_vec().unwrap();
        let socket = UdpSocket::bind(local(0)).await.unwrap();
        socket.send_to(&bytes, udp).await.unwrap();
        let mut buffer = [0; 512];
        let size = socket.recv(&mut buffer).await.unwrap();
        let by_udp = Message::from_vec(&buffer[..size]).unwrap();

        let mut stream = TcpStream::connect(tcp).await.unwrap();
        stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut buffer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut buffer).await.unwrap();
        let by_tcp = Message::from_vec(&buffer).unwrap();

        assert_eq!(by_udp, by_tcp);
        assert_eq!((by_udp.metadata.id, by_udp.answers.len()), (question.metadata.id, 1));
        served.abort();
        drop(current);
    }
}
