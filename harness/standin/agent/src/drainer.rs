//! The drainer, `GET /terminate`: three calls within 100 ms mean that the pod ends, and wait until its models moved.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::sync::{Mutex, watch};

use crate::go_http;
use crate::log::Log;

/// The three preStop hooks of a server pod arrive within this time. Not paced: it measures simultaneity.
const WINDOW: Duration = Duration::from_millis(100);
const CALLS: u32 = 3;

/// Counts calls, tells the agent to drain, and holds the callers until it has.
pub(crate) struct Drainer {
    calls: std::sync::atomic::AtomicU32,
    /// Held by a caller that judges; the others queue behind it.
    judging: Mutex<()>,
    triggered: watch::Sender<bool>,
    drained: watch::Sender<bool>,
}

impl Drainer {
    pub(crate) fn new() -> Arc<Drainer> {
        let (triggered, drained) = (watch::Sender::new(false), watch::Sender::new(false));
        Arc::new(Drainer { calls: 0.into(), judging: Mutex::new(()), triggered, drained })
    }

    /// Returns when the pod ends.
    pub(crate) async fn triggered(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.triggered.subscribe().wait_for(|triggered| *triggered).await;
    }

    /// Lets the callers go.
    pub(crate) fn drained(&self) {
        self.drained.send_replace(true);
    }

    async fn terminate(&self) {
        use std::sync::atomic::Ordering::SeqCst;
        self.calls.fetch_add(1, SeqCst);
        tokio::time::sleep(WINDOW).await;
        let _judging = self.judging.lock().await;
        if self.calls.load(SeqCst) >= CALLS {
            self.triggered.send_replace(true);
            let _ = self.drained.subscribe().wait_for(|drained| *drained).await;
        } else {
            self.calls.store(0, SeqCst);
        }
    }

    /// Starts the endpoint.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub(crate) async fn start(self: &Arc<Self>, port: u16, log: &Log) -> std::io::Result<()> {
        log.with("source", "DrainerService").info(format!("Starting drainer HTTP server on port {port}"));
        let listener = go_http::listen(port).await?;
        let drainer = self.clone();
        tokio::spawn(go_http::serve(listener, move |request, _| {
            let drainer = drainer.clone();
            async move {
                match (request.uri().path(), request.method()) {
                    ("/terminate", &Method::GET) => {
                        drainer.terminate().await;
                        go_http::text(StatusCode::OK, "ok\n")
                    }
                    ("/terminate", _) => go_http::empty(StatusCode::METHOD_NOT_ALLOWED),
                    _ => go_http::not_found(),
                }
            }
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_calls_are_no_termination() {
        let drainer = Drainer::new();
        tokio::join!(drainer.terminate(), drainer.terminate());
        assert!(!*drainer.triggered.borrow());
        drainer.terminate().await;
        assert!(!*drainer.triggered.borrow(), "calls of an earlier window were counted");
    }

    #[tokio::test(start_paused = true)]
    async fn three_calls_trigger_and_wait_for_the_drain() {
        let drainer = Drainer::new();
        let calls = async { tokio::join!(drainer.terminate(), drainer.terminate(), drainer.terminate()) };
        let drain = async {
            drainer.triggered().await;
            drainer.drained();
        };
        tokio::join!(calls, drain);
    }
}
