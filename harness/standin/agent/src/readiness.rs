//! The readiness endpoint, `GET /ready`, up before everything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};

use crate::go_http;
use crate::log::Log;

/// What the endpoint reports. Everything starts as false.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// There is something to report on.
    watched: AtomicBool,
    /// The scheduler was reached once.
    subscribed: AtomicBool,
    draining: AtomicBool,
    /// The last check of the sub-services found every critical one ready.
    critical: AtomicBool,
}

impl Readiness {
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    pub(crate) fn subscribed(&self) {
        self.subscribed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_critical(&self, ready: bool) {
        self.critical.store(ready, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.subscribed.load(Ordering::Relaxed)
            && !self.is_draining()
            && self.critical.load(Ordering::Relaxed)
    }

    fn answer(&self) -> http::Response<go_http::Body> {
        if !self.watched.load(Ordering::Relaxed) {
            let line = "No service monitored for readiness by this endpoint\n";
            go_http::error(StatusCode::NOT_FOUND, line)
        } else if self.is_ready() {
            go_http::text(StatusCode::OK, "The agent and its dependent sub-services are ready")
        } else {
            go_http::error(StatusCode::SERVICE_UNAVAILABLE, "The agent is not ready\n")
        }
    }
}

/// Starts the endpoint.
///
/// # Errors
/// When the port cannot be had.
pub(crate) async fn start(port: u16, readiness: Arc<Readiness>, log: &Log) -> std::io::Result<()> {
    log.with("source", "ReadinessService")
        .info(format!("Starting HTTP server for readiness checks on port {port}"));
    let listener = go_http::listen(port).await?;
    tokio::spawn(go_http::serve(listener, move |request, _| {
        let answer = match (request.uri().path(), request.method()) {
            ("/ready", &Method::GET) => readiness.answer(),
            ("/ready", _) => go_http::empty(StatusCode::METHOD_NOT_ALLOWED),
            _ => go_http::not_found(),
        };
        std::future::ready(answer)
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn seen(readiness: &Readiness) -> (u16, String) {
        let answer = readiness.answer();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_needs_a_subscription_and_every_critical_service_and_no_drain() {
        let readiness = Readiness::default();
        assert_eq!(seen(&readiness).await.1, "No service monitored for readiness by this endpoint\n");
        readiness.watch();
        readiness.set_critical(true);
        assert_eq!(seen(&readiness).await, (503, "The agent is not ready\n".to_owned()));
        readiness.subscribed();
        assert_eq!(
            seen(&readiness).await,
            (200, "The agent and its dependent sub-services are ready".to_owned())
        );
        readiness.drain();
        assert_eq!(seen(&readiness).await.0, 503);
    }
}
