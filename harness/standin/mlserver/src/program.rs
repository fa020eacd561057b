//! Both servers, from their start to a signal.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use seldon_proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::TcpListenerStream;
use trailers::TrailersLayer;

use crate::grpc::Grpc;
use crate::registry::Registry;
use crate::rest::Rest;
use crate::settings::{Settings, Startup};
use crate::{CONFESSION, cloud_events, log};

/// Serves until a signal.
///
/// # Errors
/// Why it cannot be served, or a model not be loaded that was to be there from the beginning.
pub(crate) async fn run(settings: Settings) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut terminated = signal(SignalKind::terminate()).map_err(said)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(said)?;
    let Settings { host, http_port, grpc_port, .. } = settings;
    log::info("mlserver", CONFESSION);
    let rest = listen(host, http_port).await?;
    log::info("mlserver.rest", &format!("HTTP server running on http://{host}:{http_port}"));
    let grpc = listen(host, grpc_port).await?;
    log::info("mlserver.grpc", &format!("gRPC server running on http://{host}:{grpc_port}"));
    let registry = Arc::new(Registry::new(settings.models));
    if settings.startup == Startup::LoadAll {
        registry
            .load_all()
            .map_err(|failure| format!("Some of the models failed to load during startup!\n{failure}"))?;
    }
    let namespace: Option<Arc<str>> = cloud_events::namespace().map(Into::into);
    let service =
        GrpcInferenceServiceServer::new(Grpc { registry: registry.clone(), namespace: namespace.clone() })
            .max_decoding_message_size(settings.largest_message)
            .max_encoding_message_size(settings.largest_message);
    let served = tonic::transport::Server::builder()
        .layer(TrailersLayer)
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(grpc));
    tokio::select! {
        ended = served => ended.map_err(|error| error.to_string()),
        () = Rest { registry, namespace }.serve(rest) => Ok(()),
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    }
}

async fn listen(host: IpAddr, port: u16) -> Result<TcpListener, String> {
    let address = SocketAddr::from((host, port));
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}
