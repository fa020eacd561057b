//! Endless streams: the state as it is, then every change.

use std::time::Duration;

use pace::Pace;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::core::{Core, Shared};
use crate::journal::{Journal, Level};

/// A stream of messages to a subscriber.
pub(crate) type Messages<T> = ReceiverStream<Result<T, Status>>;

/// When a subscriber hears the first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At once.
    AtOnce,
    /// When the start gate has opened.
    AfterGate,
}

/// A subscription being set up.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) shared: Shared,
    pub(crate) pace: Pace,
    pub(crate) stop: CancellationToken,
    /// Seldon's name of the call, for the log.
    pub(crate) func: &'static str,
    /// What kind of thing is told of, for the log.
    pub(crate) kind: &'static str,
    pub(crate) subscriber: String,
}

/// Why a message could not be delivered.
enum Lost {
    /// The subscriber went away.
    Gone,
    /// The subscriber does not read; its stream is closed so that it comes again.
    Stuck,
}

impl Subscription {
    fn log(&self, journal: &Journal, level: Level, message: &str, more: &[(&str, &str)]) {
        let mut fields = vec![("func", self.func), ("source", "SchedulerServer")];
        fields.extend_from_slice(more);
        journal.line(level, message, &fields);
    }

    /// Opens the stream. `join` returns the messages to begin with and where the later ones come from.
    pub(crate) fn open<T, J>(self, start: Start, join: J) -> Response<Messages<T>>
    where
        T: Send + 'static,
        J: FnOnce(&mut Core) -> (Vec<T>, mpsc::UnboundedReceiver<T>) + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(1);
        let journal = self.shared.with(|core| core.journal.clone());
        let line = format!("Received subscribe request from {}", self.subscriber);
        self.log(&journal, Level::Info, &line, &[]);
        tokio::spawn(async move {
            tokio::select! {
                end = self.run(start, join, &sender) => match end {
                    Lost::Gone => {
                        let line = format!("Stream disconnected {}", self.subscriber);
                        self.log(&journal, Level::Info, &line, &[]);
                    }
                    Lost::Stuck => {
                        let line = format!("Failed to send {} status event to {}", self.kind, self.subscriber);
                        let error = "rpc error: code = DeadlineExceeded desc = Failed to send event within timeout";
                        self.log(&journal, Level::Error, &line, &[("error", error)]);
                        self.log(&journal, Level::Info, &format!("Closing stream for {}", self.subscriber), &[]);
                    }
                },
                () = self.stop.cancelled() => {
                    self.log(&journal, Level::Info, &format!("Closing stream for {}", self.subscriber), &[]);
                }
            }
        });
        Response::new(ReceiverStream::new(receiver))
    }

    async fn run<T, J>(&self, start: Start, join: J, sender: &mpsc::Sender<Result<T, Status>>) -> Lost
    where
        T: Send + 'static,
        J: FnOnce(&mut Core) -> (Vec<T>, mpsc::UnboundedReceiver<T>),
    {
        if start == Start::AfterGate {
            // A subscriber that leaves meanwhile is noticed only afterwards, as by Seldon.
            self.shared.ready().await;
        }
        let (first, mut later) = self.shared.with(join);
        for message in first {
            if let Err(lost) = self.send(sender, message).await {
                return lost;
            }
        }
        loop {
            tokio::select! {
                message = later.recv() => {
                    let Some(message) = message else { return Lost::Gone };
                    if let Err(lost) = self.send(sender, message).await {
                        return lost;
                    }
                }
                () = sender.closed() => return Lost::Gone,
            }
        }
    }

    async fn send<T>(&self, sender: &mpsc::Sender<Result<T, Status>>, message: T) -> Result<(), Lost> {
        let limit = self.pace.network(Duration::from_secs(30));
        match tokio::time::timeout(limit, sender.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Lost::Gone),
            Err(_) => Err(Lost::Stuck),
        }
    }
}

/// A finite stream of these messages.
pub(crate) fn finite<T: Send + 'static>(messages: Vec<T>) -> Response<Messages<T>> {
    let (sender, receiver) = mpsc::channel(messages.len().max(1));
    for message in messages {
        // There is room for all of them.
        drop(sender.try_send(Ok(message)));
    }
    Response::new(ReceiverStream::new(receiver))
}
