//! The TCP connection under an HTTP/2 client: it remembers how it ended, in Go's words.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::errno::{Operation, go_text};

/// The largest frame a peer may send before it was allowed more.
const LARGEST_FRAME: u32 = 16_384;

/// How a connection ended, once it has.
#[derive(Debug, Default)]
pub(crate) struct Ending(OnceLock<String>);

impl Ending {
    /// Go's words for the end; `None` while the connection lives.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn record(&self, text: &str) {
        // The first cause counts; what follows it are its echoes.
        let _ = self.0.set(text.to_owned());
    }
}

/// A TCP stream that reports its first bytes and its end.
pub(crate) struct Link {
    stream: TcpStream,
    path: String,
    ending: Arc<Ending>,
    /// Told the outcome of the first read.
    first: Option<oneshot::Sender<Preface>>,
}

/// What a server's first bytes were: `Ok`, or Go's words for what came instead of a preface.
pub(crate) type Preface = Result<(), String>;

impl Link {
    pub(crate) fn new(stream: TcpStream) -> io::Result<(Link, Arc<Ending>, oneshot::Receiver<Preface>)> {
        let path = format!("tcp {}->{}", stream.local_addr()?, stream.peer_addr()?);
        let ending = Arc::new(Ending::default());
        let (first, preface) = oneshot::channel();
        let link = Link { stream, path, ending: ending.clone(), first: Some(first) };
        Ok((link, ending, preface))
    }

    /// `tcp <local>-><remote>`, as Go prints a connection.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn answered(&mut self, outcome: Preface) {
        if let Some(first) = self.first.take() {
            // Nobody listens when the attempt was given up meanwhile.
            let _ = first.send(outcome);
        }
    }

    fn broken(&mut self, kind: io::ErrorKind, cause: &str) -> io::Error {
        self.answered(Err(cause.to_owned()));
        let text = format!("error reading from server: {cause}");
        self.ending.record(&text);
        io::Error::new(kind, text)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.ending.record("error reading from server: EOF");
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let outcome = match result {
            Err(error) => {
                let cause = format!("read {}: {}", self.path, go_text(Operation::Read, &error));
                Err(self.broken(error.kind(), &cause))
            }
            Ok(()) if buffer.filled().len() == before && buffer.remaining() > 0 => {
                Err(self.broken(io::ErrorKind::UnexpectedEof, "EOF"))
            }
            Ok(()) => {
                if self.first.is_some() {
                    let outcome = preface(&buffer.filled()[before..]);
                    self.answered(outcome);
                }
                Ok(())
            }
        };
        Poll::Ready(outcome)
    }
}

/// Whether a server's first bytes can be the start of HTTP/2.
fn preface(bytes: &[u8]) -> Preface {
    match bytes {
        [high, middle, low, ..] if u32::from_be_bytes([0, *high, *middle, *low]) > LARGEST_FRAME => {
            Err("http2: frame too large".to_owned())
        }
        _ => Ok(()),
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = std::task::ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(result.map_err(|error| {
            // A reset may be met by the writer first; in Go it is the reader that reports the end of a connection.
            let met = match error.kind() {
                io::ErrorKind::BrokenPipe => io::Error::from_raw_os_error(104),
                _ => error,
            };
            let cause = format!("read {}: {}", self.path, go_text(Operation::Read, &met));
            self.broken(met.kind(), &cause)
        }))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
