//! The program `coredns`, as k3s starts it: `-conf /etc/coredns/Corefile`.

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use pace::Pace;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::directory::Directory;
use crate::engine::Surroundings;
use crate::log::Journal;
use crate::reloading::{self, Loaded};
use crate::server::Sockets;
use crate::{http, watching};

/// How long the server waits for the API before it starts without the cluster's names.
const STARTUP_LIMIT: Duration = Duration::from_secs(5);

/// Runs the DNS server until SIGTERM; the arguments are those after the program's name.
///
/// Exit code 1 with one line on standard error when the Corefile, a port or the API's address is wrong.
#[must_use]
pub fn coredns(arguments: Vec<String>) -> ExitCode {
    let run = || -> anyhow::Result<()> {
        let path = corefile_path(&arguments)?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(serve(path))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn corefile_path(arguments: &[String]) -> anyhow::Result<PathBuf> {
    let mut words = arguments.iter();
    let mut path = PathBuf::from("Corefile");
    while let Some(word) = words.next() {
        match word.trim_start_matches('-').split_once('=') {
            Some(("conf", value)) => path = PathBuf::from(value),
            None if matches!(word.as_str(), "-conf" | "--conf") => {
                let value = words.next().ok_or_else(|| anyhow::anyhow!("flag needs an argument: -conf"))?;
                path = PathBuf::from(value);
            }
            _ => anyhow::bail!("flag provided but not defined: {word}; only -conf is"),
        }
    }
    Ok(path)
}

async fn serve(path: PathBuf) -> anyhow::Result<()> {
    let pace = Pace::from_environment().map_err(anyhow::Error::msg)?;
    let (directory, journal) = (Directory::default(), Journal::Printed);
    let surroundings = Surroundings {
        directory: directory.clone(),
        pace,
        journal: journal.clone(),
        own_address: own_address(),
    };
    let Loaded { engine, hash } = reloading::load(&path, &surroundings)?;
    for extras in engine.extras() {
        http::serve(extras, &directory, &journal)
            .await
            .map_err(|error| anyhow::anyhow!("listen tcp: {error}"))?;
    }
    match engine.needs() {
        Some(with_pods) => {
            let config = Config::incluster().map_err(|_| {
                anyhow::anyhow!(
                    "plugin/kubernetes: unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and \
                     KUBERNETES_SERVICE_PORT must be defined"
                )
            })?;
            watching::start(&Client::try_from(config)?, &directory, &journal, with_pods);
            until_synced(&directory, &journal, pace).await;
        }
        None => directory.mark_synced(),
    }
    let reloads = engine.extras().any(|extras| extras.reload);
    let (banner, ports) = (engine.banner(), engine.ports().collect::<Vec<_>>());
    let (current, watched) = watch::channel(Arc::new(engine));
    for port in ports {
        let sockets =
            Sockets::open(port).await.map_err(|error| anyhow::anyhow!("listen udp :{port}: {error}"))?;
        tokio::spawn(sockets.serve(watched.clone()));
    }
    banner.into_iter().for_each(|line| journal.line(line));
    tokio::spawn(reloading::watch_hosts(watched));
    if reloads {
        journal.info(format!("plugin/reload: Running configuration SHA512 = {hash}"));
        tokio::spawn(reloading::watch_corefile(path, hash, current.clone()));
    }
    journal.line("CoreDNS-1.12.1");
    journal.line("linux/amd64, go1.24.1, 707c7c1");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => journal.info("SIGTERM: Shutting down servers then terminating"),
        _ = interrupt.recv() => journal.info("SIGINT: Shutting down"),
    }
    Ok(())
}

async fn until_synced(directory: &Directory, journal: &Journal, pace: Pace) {
    let end = tokio::time::Instant::now() + pace.network(STARTUP_LIMIT);
    loop {
        tokio::select! {
            () = directory.until_synced() => return,
            () = tokio::time::sleep_until(end) => {
                journal.warning("plugin/kubernetes: starting server with unsynced Kubernetes API");
                return;
            }
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                journal.info("plugin/kubernetes: waiting for Kubernetes API before starting server");
            }
        }
    }
}

/// The address by which others reach this pod: the source of a packet to the API server. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect((host.as_str(), 443)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
