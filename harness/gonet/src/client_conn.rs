//! `grpc.ClientConn` with its pick-first balancer: lazy, and unwilling to wait once it has failed.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tonic::transport::Channel;

use crate::connect::{ConnectOptions, attempt};
use crate::link::Ending;
use crate::status::GoStatus;

/// A client's connection to one target, as `grpc.NewClient` returns it. Clones share it.
///
/// Nothing is dialled before the first call. A call waits for the first attempt; after that attempt failed, calls
/// fail at once with its error while attempts go on in the background, so a repaired network is noticed only at the
/// next of them (grown to 120 s). A connection that breaks is made again by the next call.
#[derive(Clone)]
pub struct ClientConn {
    inner: Arc<Inner>,
}

struct Inner {
    host: String,
    port: u16,
    options: ConnectOptions,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    /// No connection and no wish for one.
    Idle,
    /// The first attempt is under way; calls wait.
    Connecting,
    /// Connected, until the ending says otherwise.
    Ready(Channel, Arc<Ending>),
    /// Attempts failed and go on; calls get the latest error.
    Failed(GoStatus),
    /// Closed by its owner.
    Closed,
}

impl ClientConn {
    /// A connection to `host:port`, not yet dialled.
    pub fn new(host: &str, port: u16, options: ConnectOptions) -> ClientConn {
        let (state, _) = watch::channel(State::Idle);
        ClientConn { inner: Arc::new(Inner { host: host.to_owned(), port, options, state }) }
    }

    /// The channel for one call.
    ///
    /// # Errors
    /// What a call that does not wait for readiness gets in grpc-go.
    pub async fn channel(&self) -> Result<Channel, GoStatus> {
        let mut states = self.inner.state.subscribe();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                State::Idle => self.start(),
                State::Connecting => {
                    if states.changed().await.is_err() {
                        return Err(GoStatus::closing());
                    }
                }
                State::Ready(_, ending) if ending.text().is_some() => self.forget(&ending),
                State::Ready(channel, _) => return Ok(channel),
                State::Failed(status) => return Err(status),
                State::Closed => return Err(GoStatus::closing()),
            }
        }
    }

    /// Closes the connection: later calls fail with `grpc: the client connection is closing`.
    pub fn close(&self) {
        self.inner.state.send_replace(State::Closed);
    }

    /// Leaves `Idle`; of several callers one starts the attempts.
    fn start(&self) {
        let first = self.inner.state.send_if_modified(|state| {
            let idle = matches!(state, State::Idle);
            if idle {
                *state = State::Connecting;
            }
            idle
        });
        if first {
            tokio::spawn(keep_trying(Arc::downgrade(&self.inner)));
        }
    }

    fn forget(&self, broken: &Arc<Ending>) {
        self.inner.state.send_if_modified(|state| {
            let same = matches!(state, State::Ready(_, ending) if Arc::ptr_eq(ending, broken));
            if same {
                *state = State::Idle;
            }
            same
        });
    }
}

async fn keep_trying(connection: Weak<Inner>) {
    for failures in 0.. {
        let Some(inner) = connection.upgrade() else { return };
        let (host, port, options) = (inner.host.clone(), inner.port, inner.options.clone());
        drop(inner);
        let outcome = attempt(&host, port, &options).await;
        let connected = outcome.is_ok();
        let next = match outcome {
            Ok((channel, ending)) => State::Ready(channel, ending),
            Err(status) => State::Failed(status),
        };
        let Some(inner) = connection.upgrade() else { return };
        let open = inner.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = next;
            }
            open
        });
        drop(inner);
        if connected || !open {
            return;
        }
        tokio::time::sleep(options.pace.wait(options.back_off.wait(failures))).await;
    }
}
