//! Standing pods: one that waits, one that answers.

use std::convert::Infallible;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Does nothing until SIGTERM.
pub(crate) async fn until_told_to_end() -> ExitCode {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("toolbox: cannot wait for SIGTERM: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers 200 with the client's address until SIGTERM.
pub(crate) async fn http(port: u16) -> ExitCode {
    let listener = match TcpListener::bind(("0.0.0.0", port)).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("toolbox: cannot listen on {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    tokio::select! {
        code = until_told_to_end() => code,
        () = accept(listener) => ExitCode::FAILURE,
    }
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, client)) = listener.accept().await {
        let answer = service_fn(move |_request| async move {
            Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(format!("hello {}\n", client.ip())))))
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}
