//! The HTTP ports of `health`, `ready` and `prometheus`.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::chain::Extras;
use crate::directory::Directory;
use crate::log::Journal;

/// Opens the ports that the server blocks ask for; each serves in its own task from here on.
pub(crate) async fn serve(extras: &Extras, directory: &Directory, journal: &Journal) -> std::io::Result<()> {
    if let Some(address) = &extras.health {
        open(address, Router::new().route("/health", get(|| async { "OK" }))).await?;
    }
    if let Some(address) = &extras.ready {
        let (directory, journal) = (directory.clone(), journal.clone());
        let ready = move || async move {
            if directory.is_synced() {
                return (StatusCode::OK, "OK");
            }
            journal.info("plugin/ready: Still waiting on: \"kubernetes\"");
            (StatusCode::SERVICE_UNAVAILABLE, "kubernetes")
        };
        open(address, Router::new().route("/ready", get(ready))).await?;
    }
    if let Some(address) = &extras.metrics {
        let text = "# HELP coredns_build_info A metric with a constant '1' value labeled by version, revision, and \
                    goversion from which CoreDNS was built.\n# TYPE coredns_build_info gauge\n\
                    coredns_build_info{goversion=\"go1.24.1\",revision=\"707c7c1\",version=\"1.12.1\"} 1\n";
        open(address, Router::new().route("/metrics", get(move || async move { text }))).await?;
    }
    Ok(())
}

async fn open(address: &str, router: Router) -> std::io::Result<()> {
    let listener = match address.strip_prefix(':').map(str::parse::<u16>) {
        Some(Ok(port)) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
        },
        _ => TcpListener::bind(address).await?,
    };
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Ok(())
}
