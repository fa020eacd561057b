//! The two HTTP servers: health and metrics. Neither looks at schedulers or at the API server.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

/// Opens a Go address such as `:8081`: without a host, every address of both families.
///
/// # Errors
/// When the address is none, or is in use.
pub(crate) async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':') {
        let port: u16 =
            port.parse().with_context(|| format!("listen tcp: address {address}: not a port number"))?;
        // A host without IPv6 has no dual-stack socket.
        if let Ok(listener) = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
            return Ok(listener);
        }
        let address = SocketAddr::from(([0, 0, 0, 0], port));
        return TcpListener::bind(address).await.with_context(|| format!("listen tcp {address}"));
    }
    TcpListener::bind(address).await.with_context(|| format!("listen tcp {address}"))
}

/// `/healthz` and `/readyz`, both always well.
pub(crate) fn health() -> Router {
    Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(async || "ok"))
}

/// `/metrics`, with the one figure that needs no counting.
pub(crate) fn metrics() -> Router {
    Router::new().route("/metrics", get(async || "# TYPE go_threads gauge\ngo_threads 1\n"))
}

/// Serves until the program ends.
pub(crate) fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "server ended");
        }
    });
}
