//! Subresources of pods that are streams: logs, exec, attach, port-forward.
//!
//! Logs are plain HTTP. The others are WebSockets with the subprotocols `v5.channel.k8s.io` and `v4.channel.k8s.io`, as
//! kubectl 1.30 and later and kube speak them. SPDY is refused: `kubectl port-forward`, which tunnels SPDY through its
//! WebSocket, is therefore not served; kube's port-forward is.

use axum::body::Body;
use axum::extract::FromRequestParts as _;
use axum::extract::ws::WebSocketUpgrade;
use embedded_machinery::builtin::Subresource;
use http::{Request, Response};

use crate::catalog::Resource;
use crate::failure::{Failure, Outcome};
use crate::verbs::Call;

mod channels;
mod exec;
mod log;
mod node;
mod port_forward;

/// A kind of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Log,
    Exec,
    Attach,
    PortForward,
}

impl Stream {
    /// The stream a subresource of a kind is, if it is one.
    pub(crate) fn of(resource: &Resource, subresource: &str) -> Option<Stream> {
        let (subresource, stream) = match subresource {
            "log" => (Subresource::Log, Stream::Log),
            "exec" => (Subresource::Exec, Stream::Exec),
            "attach" => (Subresource::Attach, Stream::Attach),
            "portforward" => (Subresource::PortForward, Stream::PortForward),
            _ => return None,
        };
        resource.subresources.contains(&subresource).then_some(stream)
    }
}

/// Opens a stream.
pub(crate) async fn open(stream: Stream, call: Call, request: Request<Body>) -> Outcome<Response<Body>> {
    match stream {
        Stream::Log => log::open(&call).await,
        Stream::Exec => exec::open(call, request, exec::What::Command).await,
        Stream::Attach => exec::open(call, request, exec::What::Container).await,
        Stream::PortForward => port_forward::open(call, request).await,
    }
}

/// Takes the request over as a WebSocket with one of our subprotocols.
///
/// # Errors
/// 400 when the caller asks for no upgrade or for one that is not served.
async fn upgrade(request: Request<Body>) -> Outcome<WebSocketUpgrade> {
    let (mut parts, _) = request.into_parts();
    let wanted =
        parts.headers.get(http::header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if wanted.is_empty() {
        return Err(Failure::bad_request("Upgrade request required"));
    }
    if !wanted.eq_ignore_ascii_case("websocket") {
        let why = format!(
            "unable to upgrade: {wanted} is not served; use a WebSocket with v5.channel.k8s.io or v4.channel.k8s.io"
        );
        return Err(Failure::bad_request(why));
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade =
        upgrade.map_err(|rejection| Failure::bad_request(format!("unable to upgrade: {rejection}")))?;
    let upgrade = upgrade.protocols([channels::V5, channels::V4]);
    if upgrade.selected_protocol().is_none() {
        return Err(Failure::bad_request(format!(
            "unable to upgrade: none of the requested subprotocols is served; served are {} and {}",
            channels::V5,
            channels::V4
        )));
    }
    Ok(upgrade)
}
