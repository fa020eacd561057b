//! gRPC health checks (`grpc.health.v1.Health/Check`), spoken directly over HTTP/2: one request, one small message.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// `SERVING` of `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;

/// Succeeds when the service serves; the error is in the words of the kubelet's gRPC prober.
pub(super) async fn check(address: &str, service: &str, limit: Duration) -> Result<(), String> {
    let late = || {
        let seconds = limit.as_secs();
        format!("timeout: failed to connect service {address:?} within {seconds}s: context deadline exceeded")
    };
    match tokio::time::timeout(limit, exchange(address, service)).await {
        Err(_) => Err(late()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(SERVING)) => Ok(()),
        Ok(Ok(status)) => {
            let name = match status {
                0 => "UNKNOWN",
                2 => "NOT_SERVING",
                _ => "SERVICE_UNKNOWN",
            };
            Err(format!("service unhealthy (responded with {name:?})"))
        }
    }
}

async fn exchange(address: &str, service: &str) -> Result<u64, String> {
    let failed = |error: &dyn std::fmt::Display| format!("error: health rpc failed: {error}");
    let stream = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            // The prober's client waits for readiness: it dials again until its time is over.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.33")
        .body(Full::new(message(service)))
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error));
    let result = match response {
        Ok(response) => read(response).await,
        Err(error) => Err(error),
    };
    connection.abort();
    result
}

/// `HealthCheckRequest{service}` with gRPC's five bytes before it.
fn message(service: &str) -> Bytes {
    let mut body = Vec::new();
    if !service.is_empty() {
        body.push(0x0a);
        // Service names are shorter than 128 bytes in practice; a longer one takes a second length byte.
        let length = service.len();
        if length < 128 {
            body.push(length as u8);
        } else {
            body.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        }
        body.extend(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend((body.len() as u32).to_be_bytes());
    framed.extend(body);
    framed.into()
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Result<u64, String> {
    let early = response.headers().clone();
    let body =
        response.into_body().collect().await.map_err(|error| format!("error: health rpc failed: {error}"))?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = trailers
        .get("grpc-status")
        .or_else(|| early.get("grpc-status"))
        .and_then(|it| it.to_str().ok())
        .unwrap_or("0");
    let text = trailers
        .get("grpc-message")
        .or_else(|| early.get("grpc-message"))
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    match status {
        "0" => Ok(()),
        "12" => Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
            .to_owned()),
        code => Err(format!("error: health rpc failed: rpc error: code = {code} desc = {text}")),
    }?;
    let bytes = body.to_bytes();
    // HealthCheckResponse{status = 1}: absent means UNKNOWN.
    Ok(match bytes.get(5..7) {
        Some([0x08, status]) => u64::from(*status),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_on_the_wire() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    }
}
