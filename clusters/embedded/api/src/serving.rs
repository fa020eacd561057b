//! Serving over TCP and TLS.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::router;
use crate::state::State;
use crate::tls::TlsIdentity;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long open requests may take to end after a stop.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Accepts connections until the server is stopped.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener, tls: TlsIdentity) -> std::io::Result<()> {
    let acceptor = TlsAcceptor::from(tls.config());
    let graceful = GracefulShutdown::new();
    let stop = state.stop.clone();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // A connection that was gone before it was taken; running out of descriptors heals, too.
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
                Err(error) => return Err(error),
            },
            () = stop.cancelled() => break,
        };
        tokio::spawn(connection(state.clone(), stream, acceptor.clone(), graceful.watcher()));
    }
    if tokio::time::timeout(STOP_LIMIT, graceful.shutdown()).await.is_err() {
        tracing::debug!("connections were still open when the server stopped");
    }
    Ok(())
}

fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        || matches!(error.raw_os_error(), Some(23 | 24))
}

async fn connection(
    state: Arc<State>,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Small answers must not wait for each other.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream));
    let tls = match handshake.await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let service = TowerToHyperService::new(router::router(state));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Go's client pings often while a stream is idle; it must not be sent away for it.
    builder.http2().max_concurrent_streams(1000);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(tls), service);
    if let Err(error) = watcher.watch(serving.into_owned()).await {
        tracing::debug!(%error, "connection ended early");
    }
}
