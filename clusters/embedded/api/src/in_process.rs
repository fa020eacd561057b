//! The server as a tower service for clients in the same process.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper_util::rt::TokioIo;
use tower::BoxError;

use crate::authentication::User;
use crate::router;
use crate::state::State;

/// Room in each direction of the pipe under an upgraded request, in bytes.
const PIPE: usize = 64 * 1024;

/// Answers requests of one user by a function call.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    state: Arc<State>,
    user: User,
}

impl Service {
    pub(crate) fn new(state: Arc<State>, user: User) -> Service {
        Service { state, user }
    }
}

impl tower::Service<Request<kube::client::Body>> for Service {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let Service { state, user } = self.clone();
        let request = request.map(Body::new);
        if request.headers().contains_key(http::header::UPGRADE) {
            return Box::pin(upgraded(state, user, request));
        }
        Box::pin(async move { Ok(router::answer(state, user, request).await) })
    }
}

/// An upgrade needs a connection to take over: HTTP/1.1 over a pipe in memory.
async fn upgraded(state: Arc<State>, user: User, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (near, far) = tokio::io::duplex(PIPE);
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let (state, user) = (state.clone(), user.clone());
        async move { Ok::<_, Infallible>(router::answer(state, user, request.map(Body::new)).await) }
    });
    tokio::spawn(async move {
        let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
        if let Err(error) = served.with_upgrades().await {
            tracing::debug!(%error, "an in-process upgrade ended early");
        }
    });
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an in-process upgrade ended early");
        }
    });
    let (mut parts, body) = request.into_parts();
    // An HTTP/1.1 request line carries the path alone.
    parts.uri = parts.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    parts.headers.entry(http::header::HOST).or_insert(http::HeaderValue::from_static("in-process"));
    Ok(sender.send_request(Request::from_parts(parts, body)).await?.map(Body::new))
}
