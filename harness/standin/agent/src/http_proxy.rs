//! The HTTP proxy (9001): Envoy's requests to MLServer, with the model loaded on demand.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use regex::Regex;

use crate::go_http::{self, Body};
use crate::gzip;
use crate::log::Log;
use crate::names;
use crate::request_id;
use crate::residency::Residency;

const INTERNAL_MODEL: &str = "seldon-internal-model";
const MODEL: &str = "seldon-model";

/// The proxy; clones share the pool of connections to MLServer.
#[derive(Clone)]
pub(crate) struct HttpProxy {
    residency: Arc<Residency>,
    backend: Arc<str>,
    client: Client<HttpConnector, Full<Bytes>>,
    path: Arc<Regex>,
    log: Log,
}

impl HttpProxy {
    /// A proxy to `host:port`.
    ///
    /// # Errors
    /// Never in practice: the path pattern is fixed.
    pub(crate) fn new(
        residency: Arc<Residency>,
        host: &str,
        port: u16,
        log: &Log,
    ) -> Result<HttpProxy, regex::Error> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        // The version in a path is dropped: a replica's repository knows only the internal name.
        let path = Arc::new(Regex::new(r"(/v2/models/)([\w\-]+)(/versions/\w+)?(.*)$")?);
        let backend = format!("{host}:{port}").into();
        Ok(HttpProxy { residency, backend, client, path, log: log.with("Source", "HTTPProxy") })
    }

    /// Serves on `port`.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub(crate) async fn start(self, port: u16) -> std::io::Result<()> {
        self.log.info(format!("Start reverse proxy on port {port} for http://{}/", self.backend));
        let listener = go_http::listen(port).await?;
        tokio::spawn(go_http::serve(listener, move |request, peer| {
            let proxy = self.clone();
            async move { proxy.answer(request, peer).await }
        }));
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let internal = header(&parts.headers, INTERNAL_MODEL);
        let external = names::original(&internal).map(|(model, _)| model.to_owned()).unwrap_or_else(|| {
            let log = self.log.error_field(&"cannot convert to original model");
            log.warn(format!("cannot extract model name from {internal}, revert to actual header"));
            header(&parts.headers, MODEL)
        });
        let mut path = parts.uri.path().to_owned();
        if internal.is_empty() || external.is_empty() {
            // Seldon 2.9.1 hands such a request on without a usable target and fails it.
            self.log.warn(format!(
                "Failed to extract model name {INTERNAL_MODEL}:[{internal}] {MODEL}:[{external}]"
            ));
            return go_http::empty(StatusCode::BAD_GATEWAY);
        }
        if self.residency.ensure(&internal).await.is_err() {
            self.log.error(format!("Cannot load model in agent {internal}"));
            return go_http::not_found();
        }
        path = self
            .path
            .replace(&path, |found: &regex::Captures<'_>| format!("{}{internal}{}", &found[1], &found[4]))
            .into_owned();
        let Ok(body) = body.collect().await else { return go_http::empty(StatusCode::BAD_GATEWAY) };
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let Ok(target) = format!("http://{}{path}{query}", self.backend).parse::<Uri>() else {
            return go_http::empty(StatusCode::BAD_GATEWAY);
        };
        parts.headers.remove(HOST);
        drop_hop_by_hop(&mut parts.headers);
        forwarded_for(&mut parts.headers, peer);
        let mut outgoing = Request::new(Full::new(body.to_bytes()));
        *outgoing.method_mut() = parts.method;
        *outgoing.uri_mut() = target;
        *outgoing.headers_mut() = parts.headers;
        self.forward(outgoing, &internal).await
    }

    /// Sends the request; a 404 or 400 means that MLServer may have lost the model, so it is loaded and asked again.
    async fn forward(&self, mut request: Request<Full<Bytes>>, internal: &str) -> Response<Body> {
        let id = request.headers().get(request_id::HEADER).cloned();
        let unpacks = gzip::ask(&mut request);
        let mut answer = self.client.request(request.clone()).await;
        let lost = [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST];
        if answer.as_ref().is_ok_and(|answer| lost.contains(&answer.status())) {
            if let Err(status) = self.residency.server().load(internal).await {
                self.log.error_field(&status).warn(format!("cannot load model {internal}"));
            }
            answer = self.client.request(request).await;
        }
        match answer {
            Ok(answer) => {
                let answer = answer.map(BodyExt::boxed);
                with_id(if unpacks { gzip::unpack(answer).await } else { answer }, id)
            }
            Err(error) => {
                self.report(&error);
                go_http::empty(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// The line of Go's standard logger, which the proxy of Go's library uses.
    fn report(&self, error: &hyper_util::client::legacy::Error) {
        let errno = std::error::Error::source(error)
            .and_then(|source| std::iter::successors(Some(source), |inner| inner.source()).last())
            .and_then(|deepest| deepest.downcast_ref::<std::io::Error>());
        let text = match errno {
            Some(cause) if error.is_connect() => {
                format!("dial tcp {}: {}", self.backend, gonet::go_text(gonet::Operation::Connect, cause))
            }
            _ => "EOF".to_owned(),
        };
        let now = jiff::Timestamp::now().strftime("%Y/%m/%d %H:%M:%S");
        eprintln!("{now} http: proxy error: {text}");
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "te", "trailer"] {
        headers.remove(name);
    }
}

fn forwarded_for(headers: &mut HeaderMap, peer: SocketAddr) {
    let before = header(headers, "x-forwarded-for");
    let value = if before.is_empty() { peer.ip().to_string() } else { format!("{before}, {}", peer.ip()) };
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert("x-forwarded-for", value);
    }
}

fn with_id(mut answer: Response<Body>, id: Option<HeaderValue>) -> Response<Body> {
    drop_hop_by_hop(answer.headers_mut());
    if !answer.headers().contains_key(request_id::HEADER) {
        let id = id.or_else(|| HeaderValue::from_str(&request_id::create()).ok());
        answer.headers_mut().extend(id.map(|id| (HeaderName::from_static(request_id::HEADER), id)));
    }
    answer
}
