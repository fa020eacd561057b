//! One HTTP request over a connection of its own, with failures in the words of Go's `net/http`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use pace::Pace;

/// Go's default dialer gives up after 30 s.
const DIAL: Duration = Duration::from_secs(30);

/// Posts JSON and reads the whole answer.
///
/// # Errors
/// `Post "http://0.0.0.0:5572/rc/noop": dial tcp 0.0.0.0:5572: connect: connection refused`.
pub(crate) async fn post_json(
    host: &str,
    port: u16,
    path: &str,
    body: Vec<u8>,
    pace: Pace,
) -> Result<(StatusCode, Bytes), String> {
    exchange(host, port, path, body, pace)
        .await
        .map_err(|error| format!("Post \"http://{host}:{port}{path}\": {error}"))
}

async fn exchange(
    host: &str,
    port: u16,
    path: &str,
    body: Vec<u8>,
    pace: Pace,
) -> Result<(StatusCode, Bytes), String> {
    let resolver = gonet::Resolver::system(pace);
    let addresses =
        resolver.lookup_host(host, pace.network(DIAL)).await.map_err(|error| format!("dial tcp: {error}"))?;
    let address =
        addresses.first().map(|ip| SocketAddr::new(*ip, port)).ok_or("dial tcp: missing address")?;
    let stream = gonet::dial_tcp(address, pace.dial(DIAL)).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let driver = tokio::spawn(connection);
    let request = Request::post(path)
        .header(http::header::HOST, format!("{host}:{port}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
    driver.abort();
    Ok((status, body))
}

/// A connection that ended before its answer did.
fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "EOF".to_owned()
    } else {
        error.to_string()
    }
}
