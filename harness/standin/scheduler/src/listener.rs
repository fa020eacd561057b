//! Listening sockets whose connections die as those of a Go gRPC server die.
//!
//! Seldon 2.9.1 notices a peer that fell silent after about 30 s: Go has the kernel send keep-alives after 15 s of
//! silence, and grpc-go sets a TCP user time-out of 20 s.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use nix::sys::socket::{setsockopt, sockopt};
use pace::Pace;
use tokio::net::{TcpListener, TcpStream};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 9;
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// When the kernel gives a silent connection up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patience {
    /// Silence before the first keep-alive and between two, in whole seconds as the kernel counts.
    keep_alive_seconds: u32,
    user_timeout_millis: u32,
}

impl Patience {
    fn at(pace: Pace) -> Patience {
        let seconds = pace.network(KEEP_ALIVE).as_millis().div_ceil(1000).max(1);
        Patience {
            keep_alive_seconds: u32::try_from(seconds).unwrap_or(15),
            user_timeout_millis: u32::try_from(pace.network(USER_TIMEOUT).as_millis()).unwrap_or(20_000),
        }
    }

    fn apply(self, connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        setsockopt(connection, sockopt::KeepAlive, &true)?;
        setsockopt(connection, sockopt::TcpKeepIdle, &self.keep_alive_seconds)?;
        setsockopt(connection, sockopt::TcpKeepInterval, &self.keep_alive_seconds)?;
        setsockopt(connection, sockopt::TcpKeepCount, &KEEP_ALIVE_PROBES)?;
        setsockopt(connection, sockopt::TcpUserTimeout, &self.user_timeout_millis)?;
        Ok(())
    }
}

/// The connections of a listener.
#[derive(Debug)]
pub(crate) struct Incoming {
    listener: TcpListener,
    patience: Patience,
    /// Set while the listener is out of breath, for instance out of file descriptors.
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Incoming {
    pub(crate) fn new(listener: TcpListener, pace: Pace) -> Incoming {
        Incoming { listener, patience: Patience::at(pace), pause: None }
    }
}

impl Stream for Incoming {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let accepted: io::Result<(TcpStream, SocketAddr)> =
                std::task::ready!(self.listener.poll_accept(context));
            match accepted {
                Ok((connection, _)) => {
                    // A connection that is gone already needs no options.
                    if self.patience.apply(&connection).is_ok() {
                        return Poll::Ready(Some(Ok(connection)));
                    }
                }
                Err(_) => self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(5)))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use rstest::rstest;

    #[rstest]
    #[case::real(Pace::REAL, 15, 20_000)]
    #[case::fast(Pace::FAST, 1, 500)]
    #[tokio::test]
    async fn connections_are_given_up_in_time(#[case] pace: Pace, #[case] seconds: u32, #[case] millis: u32) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = Incoming::new(listener, pace);
        let _client = TcpStream::connect(address).await.unwrap();
        let connection = incoming.next().await.unwrap().unwrap();
        let get = nix::sys::socket::getsockopt(&connection, sockopt::TcpKeepIdle).unwrap();
        assert_eq!(get, seconds);
        assert_eq!(nix::sys::socket::getsockopt(&connection, sockopt::TcpUserTimeout).unwrap(), millis);
        assert!(nix::sys::socket::getsockopt(&connection, sockopt::KeepAlive).unwrap());
    }
}
