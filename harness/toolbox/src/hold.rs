//! A connection that is held open: whether it still passes bytes, second by second.

use std::process::ExitCode;
use std::time::Duration;

use gonet::{Operation, go_text};
use pace::Pace;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tcp;

/// How often a byte is sent, and how long its echo may take.
const SECOND: Duration = Duration::from_secs(1);

/// Opens one connection to an echoing peer and prints a line per second for `seconds` seconds:
/// `{"second":3,"passes":true,"text":""}`. Exits 1 when there was no connection to hold.
pub(crate) async fn hold(host: &str, port: u16, seconds: u64, pace: Pace) -> ExitCode {
    let mut stream = match tcp::open(host, port, Duration::from_secs(20), pace).await {
        Ok(stream) => stream,
        Err(failure) => {
            let text = failure.observed(std::time::Instant::now()).text;
            println!("{}", line(0, &Err(text)));
            return ExitCode::FAILURE;
        }
    };
    let mut clock = tokio::time::interval(SECOND);
    for second in 0..seconds {
        clock.tick().await;
        let passed = echo(&mut stream, second as u8).await;
        println!("{}", line(second, &passed));
    }
    ExitCode::SUCCESS
}

fn line(second: u64, passed: &Result<(), String>) -> serde_json::Value {
    let text = passed.as_ref().err().map_or("", String::as_str);
    serde_json::json!({"second": second, "passes": passed.is_ok(), "text": text})
}

/// Sends a byte and waits for the same one; older echoes that come late are passed over.
async fn echo(stream: &mut TcpStream, byte: u8) -> Result<(), String> {
    let exchange = async {
        stream.write_all(&[byte]).await.map_err(|error| go_text(Operation::Write, &error))?;
        loop {
            let read = stream.read_u8().await.map_err(|error| go_text(Operation::Read, &error))?;
            if read == byte {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(SECOND, exchange).await.unwrap_or_else(|_| Err("i/o timeout".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_echo_passes_and_a_gone_peer_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let answer = async {
            let byte = peer.read_u8().await.unwrap();
            // An echo that is late for its second comes first.
            peer.write_all(&[byte.wrapping_sub(1), byte]).await.unwrap();
        };
        let (passed, ()) = tokio::join!(echo(&mut stream, 7), answer);
        assert_eq!(passed, Ok(()));
        drop(peer);
        assert!(echo(&mut stream, 8).await.is_err());
    }
}
