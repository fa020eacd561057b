//! `net.Dialer` for TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::errno::{Operation, go_text};

/// A TCP dial that failed. Displays as Go's `*net.OpError`: `dial tcp 10.43.0.7:9004: connect: connection refused`.
#[derive(Debug, thiserror::Error)]
#[error("dial tcp {address}: {failure}")]
pub struct DialError {
    /// The address that was dialled.
    pub address: SocketAddr,
    /// What ended the dial.
    pub failure: DialFailure,
}

/// What ended a dial.
#[derive(Debug, thiserror::Error)]
pub enum DialFailure {
    /// The limit passed without an answer.
    #[error("i/o timeout")]
    Timeout,
    /// The kernel said no.
    #[error("{}", go_text(Operation::Connect, .0))]
    Connect(io::Error),
}

impl DialError {
    /// The kernel's errno, `None` for a dial that ran into its limit.
    pub fn errno(&self) -> Option<i32> {
        match &self.failure {
            DialFailure::Timeout => None,
            DialFailure::Connect(error) => error.raw_os_error(),
        }
    }
}

/// Dials `address` for at most `limit` (taken as it is: scale it with [`pace::Pace::dial`] first).
///
/// # Errors
/// [`DialError`] in Go's words.
pub async fn dial_tcp(address: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
    let failure = match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Err(_) => DialFailure::Timeout,
        Ok(Err(error)) => DialFailure::Connect(error),
        Ok(Ok(stream)) => {
            // Go disables Nagle on every dialled connection; a socket that refuses is still usable.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    };
    Err(DialError { address, failure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        // Bound and not listening: refused, and nobody else's.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let error = dial_tcp(address, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("dial tcp {address}: connect: connection refused"));
        assert_eq!(error.errno(), Some(111));
    }

    #[tokio::test]
    async fn a_limit_that_passes_is_an_io_timeout() {
        // A listener whose queue is full answers no further SYN.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        let error = loop {
            match dial_tcp(address, Duration::from_millis(300)).await {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
            assert!(held.len() < 64, "the queue never filled");
        };
        assert_eq!(error.to_string(), format!("dial tcp {address}: i/o timeout"));
        assert_eq!(error.errno(), None);
    }
}
