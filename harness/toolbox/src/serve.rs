//! Standing pods: one that waits, one that answers, one that echoes.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use outside::{Mode, Upstream};
use tokio::net::{TcpListener, UdpSocket};
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

/// Answers for the outside of a cluster, as `mode` says, until SIGTERM.
pub(crate) async fn names(port: u16, mode: Mode) -> ExitCode {
    match Upstream::bind((Ipv4Addr::UNSPECIFIED, port).into(), mode).await {
        Ok(_answering) => until_told_to_end().await,
        Err(error) => {
            eprintln!("toolbox: cannot listen on {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sends back what comes, over TCP and UDP, until SIGTERM.
pub(crate) async fn echo(port: u16) -> ExitCode {
    let bound = async {
        let address = ("0.0.0.0", port);
        std::io::Result::Ok((TcpListener::bind(address).await?, UdpSocket::bind(address).await?))
    };
    match bound.await {
        Ok((listener, socket)) => tokio::select! {
            code = until_told_to_end() => code,
            () = echo_streams(listener) => ExitCode::FAILURE,
            () = echo_datagrams(socket) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("toolbox: cannot listen on {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn echo_streams(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            // A client that leaves ends its echo.
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
    }
}

async fn echo_datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; 65_535];
    loop {
        // An error here is the ICMP of a client that left.
        if let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], client).await;
        }
    }
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, client)) = listener.accept().await {
        let answer = service_fn(move |_request| async move {
            Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(format!(
                "hello {}\n",
                client.ip()
            )))))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
        );
    }
}
