//! The border: sockets that belong to the host's network namespace.
//!
//! A network namespace belongs to a thread, and a socket to the namespace of the thread that made it. One thread of
//! the supervisor never leaves the host's namespace; it makes listeners on request and hands them over. That is how
//! `kubectl` on the host reaches an API server inside, without privileges and without a link between the two.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;

use anyhow::Context;

type Answer = io::Result<TcpListener>;

/// Makes listening sockets in the host's network namespace. Cloneable; the thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Border {
    requests: mpsc::Sender<(SocketAddr, mpsc::SyncSender<Answer>)>,
}

impl Border {
    /// Starts the border's thread. Call it while the calling thread is still in the host's namespace.
    pub(crate) fn start() -> io::Result<Border> {
        let (requests, incoming) = mpsc::channel::<(SocketAddr, mpsc::SyncSender<Answer>)>();
        thread::Builder::new().name("border".into()).spawn(move || {
            for (address, reply) in incoming {
                let listener = TcpListener::bind(address).and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    Ok(listener)
                });
                // A caller that went away has no use for the socket.
                let _ = reply.send(listener);
            }
        })?;
        Ok(Border { requests })
    }

    /// A non-blocking listener for an API server; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// The kernel's, with the remedy.
    pub fn listen_for_api(&self, host: Ipv4Addr, port: u16) -> anyhow::Result<TcpListener> {
        self.listen(SocketAddr::from((host, port))).with_context(|| {
            format!("cannot listen on {host}:{port} for the API server; name another address or port")
        })
    }

    /// A non-blocking listener on `address` of the host.
    ///
    /// # Errors
    /// The kernel's, such as an address in use.
    pub fn listen(&self, address: SocketAddr) -> Answer {
        let gone = || io::Error::other("the border thread has ended");
        let (reply, answer) = mpsc::sync_channel(1);
        self.requests.send((address, reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_over_a_listener_and_reports_an_address_in_use() {
        let border = Border::start().unwrap();
        let first = border.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = border.listen(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }
}
