//! One HTTP/1.1 request on a connection of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use netmodel::OutcomeClass;
use pace::Pace;

use crate::probe::{Detail, Observation};
use crate::tcp::{self, millis};

/// Sends the request; an answer of any status is [`OutcomeClass::Open`].
pub(crate) async fn request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Option<&str>,
    limit_ms: u64,
    pace: Pace,
) -> Observation {
    let began = Instant::now();
    let limit = Duration::from_millis(limit_ms);
    let uri: http::Uri = match url.parse() {
        Ok(uri) => uri,
        Err(error) => return failed(began, OutcomeClass::NameNotFound, format!("{url}: {error}")),
    };
    let (host, port) = (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or(80));
    let stream = match tcp::open(&host, port, limit, pace).await {
        Ok(stream) => stream,
        Err(failure) => return failure.observed(began),
    };
    match tokio::time::timeout(limit, exchange(stream, method, &uri, headers, body)).await {
        Ok(Ok((status, headers, body))) => Observation {
            class: OutcomeClass::Open,
            errno: None,
            elapsed_ms: millis(began),
            text: format!("HTTP {status} {}", body.chars().take(200).collect::<String>()),
            detail: Detail::Http { status, headers, body },
        },
        Ok(Err(error)) => failed(began, OutcomeClass::Reset, error.to_string()),
        Err(_) => failed(began, OutcomeClass::Timeout, format!("no answer within {limit_ms} ms")),
    }
}

fn failed(began: Instant, class: OutcomeClass, text: String) -> Observation {
    Observation { class, errno: None, elapsed_ms: millis(began), text, detail: Detail::None }
}

type Answer = (u16, Vec<(String, String)>, String);

async fn exchange(
    stream: tokio::net::TcpStream,
    method: &str,
    uri: &http::Uri,
    headers: &[(String, String)],
    body: Option<&str>,
) -> anyhow::Result<Answer> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request = http::Request::builder().method(method).uri(path);
    let named = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !named("host") {
        request = request.header("host", uri.authority().map_or("", http::uri::Authority::as_str));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = Bytes::copy_from_slice(body.unwrap_or_default().as_bytes());
    let answer = sender.send_request(request.body(Full::new(body))?).await?;
    let status = answer.status().as_u16();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let bytes = answer.into_body().collect().await?.to_bytes();
    Ok((status, headers, String::from_utf8_lossy(&bytes).into_owned()))
}
