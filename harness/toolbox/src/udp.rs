//! UDP: one datagram there and one back, in Go's words.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gonet::{Operation, go_text};
use netmodel::OutcomeClass;
use pace::Pace;
use tokio::net::UdpSocket;

use crate::probe::{Detail, Observation};
use crate::tcp::{errno_class, millis, resolved};

/// Sends `payload` and waits for any answer.
pub(crate) async fn ask(host: &str, port: u16, payload: &str, limit_ms: u64, pace: Pace) -> Observation {
    let began = Instant::now();
    let limit = Duration::from_millis(limit_ms);
    let server = match resolved(host, port, limit, pace).await {
        Ok(server) => server,
        Err(failure) => return failure.observed(began),
    };
    let (class, errno, text) = match exchange(server, payload, limit).await {
        Ok(answer) => (OutcomeClass::Open, None, answer),
        Err((text, error)) => (errno_class(error.raw_os_error()), error.raw_os_error(), text),
    };
    Observation { class, errno, elapsed_ms: millis(began), text, detail: Detail::None }
}

async fn exchange(server: SocketAddr, payload: &str, limit: Duration) -> Result<String, (String, io::Error)> {
    let dial =
        |error: io::Error| (format!("dial udp {server}: {}", go_text(Operation::Connect, &error)), error);
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(dial)?;
    socket.connect(server).await.map_err(dial)?;
    let local = socket.local_addr().map_err(dial)?;
    let on = |verb: &str, operation: Operation, error: io::Error| {
        (format!("{verb} udp {local}->{server}: {}", go_text(operation, &error)), error)
    };
    socket.send(payload.as_bytes()).await.map_err(|error| on("write", Operation::Write, error))?;
    let mut buffer = vec![0; 65_535];
    let received = tokio::time::timeout(limit, socket.recv(&mut buffer)).await;
    let length = received
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| on("read", Operation::Read, error))?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_an_answer_from_refusal_and_silence() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = peer.local_addr().unwrap().port();
        let silence = ask("127.0.0.1", port, "x", 50, Pace::REAL).await;
        assert_eq!(silence.class, OutcomeClass::Timeout);
        assert!(silence.text.ends_with(&format!("->127.0.0.1:{port}: i/o timeout")), "{}", silence.text);
        let mut buffer = [0; 8];
        let (_, _) = peer.recv_from(&mut buffer).await.unwrap();
        let echo = async {
            let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
            peer.send_to(&buffer[..length], from).await.unwrap();
        };
        let (answer, ()) = tokio::join!(ask("127.0.0.1", port, "ping", 2000, Pace::REAL), echo);
        assert_eq!((answer.class, answer.text.as_str()), (OutcomeClass::Open, "ping"));
        drop(peer);
        let refused = ask("127.0.0.1", port, "x", 2000, Pace::REAL).await;
        assert_eq!((refused.class, refused.errno), (OutcomeClass::Refused, Some(111)));
        assert!(refused.text.ends_with("read: connection refused"), "{}", refused.text);
    }
}
