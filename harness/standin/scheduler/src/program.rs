//! The program `/bin/scheduler`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use pace::Pace;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::flags::{FlagError, Flags, usage};
use crate::journal::{Journal, Level};
use crate::server::{Doors, Settings, serve};
use crate::xds::EnvoySettings;

/// Where a pod is told its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const NAME: &str = "/bin/scheduler";

/// Runs the scheduler until SIGTERM or SIGINT.
///
/// `arguments` holds the flags of 2.9.1's StatefulSet, without the program's name. Exit codes as the real one's: 0 after
/// a signal or `--help`, 2 for a wrong flag, 1 for what it calls fatal.
#[must_use]
pub fn main(arguments: Vec<String>) -> ExitCode {
    let flags = match Flags::parse(&arguments) {
        Ok(flags) => flags,
        Err(FlagError::Help) => {
            eprint!("{}", usage(NAME));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprint!("{error}\n{}", usage(NAME));
            return ExitCode::from(2);
        }
    };
    let always = Journal::stderr(Level::Info);
    match run(&flags, &always) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (what, why) = (error.to_string(), error.root_cause().to_string());
            always.line(Level::Fatal, &what, &[("error", &why)]);
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags, always: &Journal) -> anyhow::Result<()> {
    let level = Level::parse(&flags.log_level)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("Failed to set log level {}", flags.log_level))?;
    always.line(Level::Info, &format!("Setting log level to {}", flags.log_level), &[]);
    let journal = Journal::stderr(level);
    let pace = Pace::from_environment().map_err(anyhow::Error::msg)?;
    announce(flags, &journal, always);
    let settings = Settings {
        pace,
        ready_timeout: flags.ready_timeout,
        model_autoscaling: flags.model_autoscaling,
        server_autoscaling: flags.server_autoscaling,
        envoy: EnvoySettings { dns_refresh: paced_refresh(pace), ..flags.envoy.clone() },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("Failed to start the runtime")?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone(), journal.clone())?;
        let doors = Doors {
            chainer: listen(flags.chainer_port).await.context("Chainer server start error")?,
            scheduler: listen(flags.scheduler_port).await.context("Failed to start server gRPC servers")?,
            agents: listen(flags.agent_port).await.context("Failed to start agent gRPC server")?,
            envoy: format!("0.0.0.0:{}", flags.envoy_port),
        };
        serve(settings, doors, journal, stop).await
    });
    runtime.shutdown_background();
    result
}

fn announce(flags: &Flags, journal: &Journal, always: &Journal) {
    let debug = |line: String| journal.line(Level::Debug, &line, &[]);
    debug(format!("Scheduler ready timeout is set to {} seconds", flags.ready_timeout.as_secs()));
    let on = |autoscaling| autoscaling == crate::core::Autoscaling::On;
    let (model, server) = (on(flags.model_autoscaling), on(flags.server_autoscaling));
    let line = format!("Autoscaling (native) service is set to Model: {model} and Server: {server}");
    journal.line(Level::Info, &line, &[]);
    match std::fs::read_to_string(NAMESPACE_FILE) {
        Ok(namespace) => always.line(Level::Info, &format!("Namespace is {namespace}"), &[]),
        Err(_) => always.line(Level::Warning, "Using namespace from command line argument", &[]),
    }
    if !flags.tracing_config_path.is_empty()
        && let Ok(config) = std::fs::read_to_string(&flags.tracing_config_path)
    {
        let fields = [("config", config.as_str()), ("func", "loadConfig"), ("source", "TraceProvider")];
        journal.line(Level::Info, "Loading tracing config", &fields);
    }
    if flags.db_path.is_empty() {
        always.line(Level::Warning, "Not running with scheduler local DB", &[]);
    }
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", port)).await.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
            std::io::ErrorKind::PermissionDenied => "bind: permission denied".to_owned(),
            _ => error.to_string(),
        };
        anyhow::anyhow!("listen tcp :{port}: {why}")
    })
}

fn stop_on_signal(stop: CancellationToken, journal: Journal) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("Failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("Failed to listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        journal.line(Level::Info, "shutting down due to SIGTERM or SIGINT", &[]);
        stop.cancel();
    });
    Ok(())
}

/// Envoy's own 5 s between two look-ups of a host that it does not find, at `pace`; left to Envoy at the real one.
fn paced_refresh(pace: Pace) -> Option<Duration> {
    (pace != Pace::REAL).then(|| pace.wait(Duration::from_secs(5)))
}
