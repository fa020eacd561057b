//! Channels within one WebSocket: the first byte of each binary message is the channel's number.

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};

/// The subprotocols of remote commands; the fifth version can close a channel.
pub(super) const V5: &str = "v5.channel.k8s.io";
pub(super) const V4: &str = "v4.channel.k8s.io";

/// The number that says, followed by another, that this other channel is closed.
const CLOSE: u8 = 255;

/// What came in on a channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Data(u8, Bytes),
    Closed(u8),
    /// The answer to [`Sender::ping`].
    Pong,
}

/// The receiving half.
#[derive(Debug)]
pub(super) struct Receiver(SplitStream<WebSocket>);

impl Receiver {
    /// The next message; `None` when the caller has left.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        loop {
            let mut bytes = match self.0.next().await?.ok()? {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
                Message::Close(_) => return None,
                // Answered by the WebSocket itself.
                Message::Ping(_) => continue,
                Message::Pong(_) => return Some(Incoming::Pong),
            };
            let Some(&channel) = bytes.first() else { continue };
            let data = bytes.split_off(1);
            return Some(match (channel, data.first()) {
                (CLOSE, Some(&closed)) => Incoming::Closed(closed),
                _ => Incoming::Data(channel, data),
            });
        }
    }
}

/// The sending half.
#[derive(Debug)]
pub(super) struct Sender(SplitSink<WebSocket, Message>);

/// The caller has left.
#[derive(Debug)]
pub(super) struct Left;

impl Sender {
    /// Sends data on a channel.
    pub(super) async fn send(&mut self, channel: u8, data: &[u8]) -> Result<(), Left> {
        let mut message = BytesMut::with_capacity(data.len() + 1);
        message.put_u8(channel);
        message.put_slice(data);
        self.0.send(Message::Binary(message.freeze())).await.map_err(|_| Left)
    }

    /// Asks for a [`Incoming::Pong`].
    pub(super) async fn ping(&mut self) -> Result<(), Left> {
        self.0.send(Message::Ping(Bytes::new())).await.map_err(|_| Left)
    }

    /// Ends the WebSocket.
    pub(super) async fn close(mut self) {
        // Only this code reads as an end and not as an error. The caller may have closed first.
        let normal = CloseFrame { code: close_code::NORMAL, reason: "".into() };
        let _ = self.0.send(Message::Close(Some(normal))).await;
    }
}

/// Splits a WebSocket into its halves.
pub(super) fn split(socket: WebSocket) -> (Sender, Receiver) {
    let (sink, stream) = socket.split();
    (Sender(sink), Receiver(stream))
}
