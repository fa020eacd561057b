//! HTTP and TCP probes, with errors in the words of Go's `net` and `net/http`.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What to ask for.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: String,
    /// With a leading slash.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
}

/// Dials; the error is Go's.
pub(super) async fn dial(address: &str, limit: Duration) -> Result<TcpStream, String> {
    match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("dial tcp {address}: connect: {}", words(&error))),
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
    }
}

/// Succeeds with a status from 200 to 399.
pub(super) async fn get(target: &Target, limit: Duration) -> Result<(), String> {
    let url = format!("http://{}{}", target.address, target.path);
    let told = |error: String| format!("Get {url:?}: {error}");
    match tokio::time::timeout(limit, exchange(target)).await {
        Ok(Ok(status)) if (200..400).contains(&status) => Ok(()),
        Ok(Ok(status)) => Err(format!("HTTP probe failed with statuscode: {status}")),
        Ok(Err(error)) => Err(told(error)),
        Err(_) => {
            Err(told("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned()))
        }
    }
}

async fn exchange(target: &Target) -> Result<u16, String> {
    let stream = TcpStream::connect(&target.address)
        .await
        .map_err(|error| format!("dial tcp {}: connect: {}", target.address, words(&error)))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let _guard = AbortOnDrop(connection.abort_handle());
    let mut request = http::Request::get(&target.path).header("Connection", "close");
    let given = |name: &str| target.headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    if !given("Host") {
        request = request.header("Host", &target.address);
    }
    if !given("User-Agent") {
        request = request.header("User-Agent", "kube-probe/1.33");
    }
    if !given("Accept") {
        request = request.header("Accept", "*/*");
    }
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| {
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            "EOF".to_owned()
        } else {
            error.to_string()
        }
    })?;
    let status = response.status().as_u16();
    // The kubelet reads the body too; what it says does not matter.
    let _ = response.into_body().collect().await;
    Ok(status)
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An error of `connect` as Go prints it.
fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "connection refused".to_owned(),
        Some(libc::ETIMEDOUT) => "connection timed out".to_owned(),
        Some(libc::EHOSTUNREACH) => "no route to host".to_owned(),
        Some(libc::ENETUNREACH) => "network is unreachable".to_owned(),
        Some(libc::ECONNRESET) => "connection reset by peer".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn answered(reply: &'static str) -> (Result<(), String>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            stream.write_all(reply.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        });
        let target =
            Target { address, path: "/ready".to_owned(), headers: vec![("X-A".to_owned(), "b".to_owned())] };
        let result = get(&target, Duration::from_secs(5)).await;
        (result, server.await.unwrap())
    }

    #[rstest]
    #[case::ok("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None)]
    #[case::redirect("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", None)]
    #[case::unavailable(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        Some("HTTP probe failed with statuscode: 503")
    )]
    #[case::hangs_up("", Some(": EOF"))]
    #[tokio::test]
    async fn statuses(#[case] reply: &'static str, #[case] expected: Option<&str>) {
        let (result, request) = answered(reply).await;
        match expected {
            None => assert_eq!(result, Ok(())),
            Some(end) => assert!(result.clone().unwrap_err().ends_with(end), "{result:?}"),
        }
        assert!(
            request.starts_with("GET /ready HTTP/1.1\r\n") && request.contains("kube-probe/1.33"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn refused_as_go_says_it() {
        // Bound and not listening: refused, and nobody else's.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let target = Target { address: address.clone(), path: "/".to_owned(), headers: Vec::new() };
        let error = get(&target, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(
            error,
            format!("Get \"http://{address}/\": dial tcp {address}: connect: connection refused")
        );
    }
}
