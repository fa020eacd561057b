//! The agent from its start to its end, in the order of Seldon 2.9.1.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use gonet::{ClientConn, ConnectOptions, KeepAlive};
use pace::Pace;
use seldon_proto::agent::ReplicaConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::drainer::Drainer;
use crate::grpc_proxy::GrpcProxy;
use crate::http_proxy::HttpProxy;
use crate::inference_server::InferenceServer;
use crate::log::Log;
use crate::memory_book::MemoryBook;
use crate::metrics::{self, Labels};
use crate::operations::Operations;
use crate::rclone::Rclone;
use crate::readiness::{self, Readiness};
use crate::repository::Repository;
use crate::residency::Residency;
use crate::scheduler_link::SchedulerLink;
use crate::settings::Settings;
use crate::sub_services::{Outcome, Phase, Weight, judge, until_ready};

/// A fatal end: the line's message, and the error in it.
pub(crate) struct Fatal(pub(crate) &'static str, pub(crate) String);

/// Runs until a signal, a critical failure, or a fatal error.
pub(crate) async fn run(settings: Settings, client: Option<kube::Client>, pace: Pace, log: &Log) -> ExitCode {
    match run_to_end(settings, client, pace, log).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fatal(message, error)) => {
            log.error_field(&error).fatal(message);
            ExitCode::FAILURE
        }
    }
}

async fn run_to_end(
    settings: Settings,
    client: Option<kube::Client>,
    pace: Pace,
    log: &Log,
) -> Result<(), Fatal> {
    log.info(format!("Setting log level to {}", settings.log_level_name));
    let log = &Log::new(settings.log_level);
    let settings = Arc::new(settings);
    let mut terminated =
        signals().map_err(|error| Fatal("Failed to listen for signals", error.to_string()))?;
    let readiness = Arc::new(Readiness::default());
    readiness::start(settings.readiness_port, readiness.clone(), log).await.map_err(|error| {
        Fatal("Failed to start readiness service, agent will never be marked as ready", error.to_string())
    })?;
    let agent = tokio::select! {
        agent = Agent::start(settings, client, readiness, pace, log) => agent?,
        () = terminated.recv() => {
            shut_down(None, log);
            return Ok(());
        }
    };
    let stop = agent.link.stop.clone();
    tokio::select! {
        () = agent.run() => log.warn("Agent shutting down"),
        () = terminated.recv() => shut_down(Some(&agent), log),
    }
    stop.cancel();
    Ok(())
}

/// Either of the two signals that end the program.
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

fn signals() -> std::io::Result<Signals> {
    Ok(Signals(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

impl Signals {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

fn shut_down(agent: Option<&Agent>, log: &Log) {
    log.info("shutting down due to SIGTERM or SIGINT");
    log.warn("Agent shutting down");
    let Some(agent) = agent else { return };
    agent.link.operations.log.with("func", "StopSchedulerStream").info("Shutting down stream to scheduler");
    agent.link.operations.scheduler.close();
    for (key, name) in [
        ("source", "DrainerService"),
        ("source", "StatsAnalyzerService"),
        ("source", "AgentDebug"),
        ("Source", "GRPCProxy"),
    ] {
        log.with(key, name).info("Start graceful shutdown");
        log.with(key, name).info("Finished graceful shutdown");
    }
}

/// The running agent.
struct Agent {
    link: SchedulerLink,
    drainer: Arc<Drainer>,
    own: OwnServers,
}

/// The agent's own servers; each says why it could not be started.
struct OwnServers(Vec<(&'static str, Weight, Result<(), String>)>);

impl Agent {
    /// Everything up to the first subscription.
    async fn start(
        settings: Arc<Settings>,
        client: Option<kube::Client>,
        readiness: Arc<Readiness>,
        pace: Pace,
        log: &Log,
    ) -> Result<Agent, Fatal> {
        let (models, downloads) = folders(&settings, log)?;
        tracing_line(&settings, log);
        let cluster = Cluster::start(client, &settings.namespace, &settings.config_path, log)
            .await
            .map_err(|error| Fatal("Failed to create agent config handler", error))?;
        let rclone =
            Rclone::new(&settings.rclone_host, settings.rclone_port, &downloads, cluster.clone(), pace, log);
        repository_handler(&settings, log)?;
        let repository = Repository::new(models, rclone.clone());
        let (host, port) = (&settings.inference_host, settings.inference_grpc_port);
        log.info(format!("V2 (OIP) Inference Server {host}:{port}"));
        let server = InferenceServer::new(host, port, pace);
        let book = MemoryBook::new(settings.memory, settings.over_commit);
        let residency = Arc::new(Residency::new(book, server, log));
        let replica = replica_config(&settings, log);
        start_metrics(&settings, &residency, log).await?;
        readiness.watch();
        let keepalive = ConnectOptions::new(pace).with_keepalive(KeepAlive::SELDON);
        let scheduler = ClientConn::new(&settings.scheduler_host, settings.scheduler_port, keepalive);
        let operations = Arc::new(Operations {
            settings,
            residency,
            repository,
            cluster,
            scheduler,
            readiness,
            pace,
            log: log.with("Name", "AgentServiceManager"),
            secrets_namespace: OnceLock::new(),
            latest: Mutex::new(HashMap::new()),
        });
        let drainer = Drainer::new();
        let own = OwnServers::start(&operations, &drainer, log).await;
        let link =
            SchedulerLink { operations, replica, stop: CancellationToken::new(), orders: AtomicU64::new(0) };
        let agent = Agent { link, drainer, own };
        agent
            .check(Phase::Start)
            .await
            .map_err(|error| Fatal("Failed to wait for all agent dependent services to be ready", error))?;
        rclone.start().await.map_err(|error| Fatal("Failed to initialise rclone config listener", error))?;
        Ok(agent)
    }

    /// The control loop beside the repeated checks; returns when either ends it.
    async fn run(&self) {
        let operations = &self.link.operations;
        let (host, port) = (&operations.settings.scheduler_host, operations.settings.scheduler_port);
        let log = operations.log.with("func", "getConnection");
        log.info("Starting plaintxt client to agent server");
        log.info(format!("Connecting (non-blocking) to scheduler at {host}:{port}"));
        tokio::select! {
            () = self.link.run() => {}
            () = self.keep_checking() => {}
            () = async { self.link.drain(&self.drainer).await; std::future::pending().await } => {}
        }
    }

    /// Repeats the checks; returns when a critical service has failed.
    async fn keep_checking(&self) {
        let operations = &self.link.operations;
        let period = operations.pace.wait(operations.settings.ready_after_start);
        loop {
            tokio::time::sleep(period).await;
            if self.check(Phase::Running).await.is_err() {
                operations.log.with("func", "StopSchedulerStream").info("Shutting down stream to scheduler");
                operations.scheduler.close();
                return;
            }
        }
    }

    async fn check(&self, phase: Phase) -> Result<(), String> {
        let operations = &self.link.operations;
        let (pace, settings) = (operations.pace, &operations.settings);
        let log = operations.log.with("func", "waitReady");
        let real = match phase {
            Phase::Start => settings.ready_before_start,
            Phase::Running => settings.ready_after_start,
        };
        let deadline = Instant::now() + phase.limit(real, pace);
        let rclone =
            until_ready("Model Repository (rclone)", Weight::Auxiliary, deadline, pace, &log, async || {
                operations.repository.rclone().ready().await
            });
        let server = async {
            let live = async || self.live().await;
            let mut outcome =
                until_ready("Inference Server", Weight::Critical, deadline, pace, &log, live).await;
            if phase == Phase::Start {
                log.info("Unloading any existing models");
                outcome.result = self.unload_everything().await;
            }
            outcome
        };
        let (rclone, server) = tokio::join!(rclone, server);
        let outcomes = self.own.outcomes().chain([rclone, server]).collect();
        let judged = judge(outcomes, phase, &log);
        operations.readiness.set_critical(judged.is_ok());
        judged
    }

    async fn live(&self) -> Result<(), String> {
        match self.link.operations.residency.server().live().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("Server not ready".to_owned()),
            Err(status) => Err(status.to_string()),
        }
    }

    /// A restarted agent knows nothing of what MLServer still holds, so everything goes.
    async fn unload_everything(&self) -> Result<(), String> {
        let operations = &self.link.operations;
        let server = operations.residency.server();
        let log = operations.log.with("func", "UnloadAllModels");
        for (name, state) in server.index().await.map_err(|status| status.to_string())? {
            if state == "READY" || state == "LOADING" {
                log.info(format!("Unloading existing model {{{name} {state}}}"));
                match server.unload(&name).await {
                    Err(status) if status.code == tonic::Code::NotFound => {
                        operations.log.warn(format!("Model {{{name} {state}}} not found on server"));
                    }
                    other => other.map_err(|status| status.to_string())?,
                }
            }
            if let Err(error) = operations.repository.remove(&name) {
                let log = operations.log.error_field(&error);
                log.error(format!("Model {{{name} {state}}} could not be removed from repository"));
            }
        }
        Ok(())
    }
}

impl OwnServers {
    async fn start(operations: &Arc<Operations>, drainer: &Arc<Drainer>, log: &Log) -> OwnServers {
        let settings = &operations.settings;
        let wait = operations.log.with("func", "waitReady");
        let announce = |name: &str| wait.info(format!("Starting and waiting for {name}"));
        let residency = &operations.residency;
        announce("Reverse HTTP/REST Proxy");
        let http = match HttpProxy::new(
            residency.clone(),
            &settings.inference_host,
            settings.inference_http_port,
            log,
        ) {
            Ok(proxy) => proxy.start(settings.proxy_http_port).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        announce("Reverse GRPC Proxy");
        let grpc = GrpcProxy::new(residency.clone(), log)
            .start(settings.proxy_grpc_port, settings.inference_grpc_port)
            .await
            .map_err(|error| error.to_string());
        announce("Model Replica Scaling Trigger");
        announce("Agent drainer service");
        let drain = drainer.start(settings.drainer_port, log).await.map_err(|error| error.to_string());
        OwnServers(vec![
            ("Reverse HTTP/REST Proxy", Weight::Critical, http),
            ("Reverse GRPC Proxy", Weight::Critical, grpc),
            ("Model Replica Scaling Trigger", Weight::Auxiliary, Ok(())),
            ("Agent drainer service", Weight::Critical, drain),
        ])
    }

    /// A server that listens is ready; one that could not be started stays unready.
    fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        self.0.iter().map(|(name, weight, result)| Outcome { name, weight: *weight, result: result.clone() })
    }
}

fn folders(settings: &Settings, log: &Log) -> Result<(std::path::PathBuf, std::path::PathBuf), Fatal> {
    let (models, downloads) = (settings.folder.join("models"), settings.folder.join("rclone"));
    for folder in [&models, &downloads] {
        std::fs::create_dir_all(folder).map_err(|error| {
            Fatal("Failed to create required folders", format!("{}: {error}", folder.display()))
        })?;
    }
    let (shown, cache) = (models.display(), downloads.display());
    log.info(format!("Model repository dir {shown}, Rclone repository dir {cache} "));
    Ok((models, downloads))
}

fn tracing_line(settings: &Settings, log: &Log) {
    let text = std::fs::read_to_string(&settings.tracing_config).unwrap_or_default();
    if let Ok(config) = serde_json::from_str::<serde_json::Value>(&text) {
        let log = log.with("source", "TraceProvider").with("func", "loadConfig");
        log.with("config", config).info("Loading tracing config");
    }
}

/// MLServer's layout is the only one this stand-in knows.
fn repository_handler(settings: &Settings, log: &Log) -> Result<(), Fatal> {
    match settings.server_type.as_str() {
        "mlserver" => log.info("Creating MLServer repository handler"),
        "triton" => {
            let text = "SELDON_SERVER_TYPE is triton; this stand-in serves mlserver only".to_owned();
            return Err(Fatal("Can't create model server control plane client", text));
        }
        _ => log.info("Using default as no server type requested - creating MLServer repository handler"),
    }
    Ok(())
}

fn replica_config(settings: &Settings, log: &Log) -> ReplicaConfig {
    log.info("Created replicaConfig from environment");
    let config = ReplicaConfig {
        inference_svc: settings.inference_service.clone(),
        inference_http_port: settings.proxy_http_port.into(),
        inference_grpc_port: settings.proxy_grpc_port.into(),
        memory_bytes: settings.memory,
        capabilities: settings.capabilities.clone(),
        over_commit_percentage: settings.over_commit,
    };
    let capabilities: String =
        config.capabilities.iter().map(|name| format!(" capabilities:\"{name}\"")).collect();
    let over_commit = match config.over_commit_percentage {
        0 => String::new(),
        percentage => format!(" overCommitPercentage:{percentage}"),
    };
    log.info(format!(
        "replicaConfig inferenceSvc:\"{}\" inferenceHttpPort:{} inferenceGrpcPort:{} memoryBytes:{}{capabilities}\
         {over_commit}",
        config.inference_svc, config.inference_http_port, config.inference_grpc_port, config.memory_bytes
    ));
    config
}

async fn start_metrics(settings: &Settings, residency: &Arc<Residency>, log: &Log) -> Result<(), Fatal> {
    let labels = Labels {
        server: settings.server_name.clone(),
        replica: settings.replica,
        capacity: settings.memory,
        over_commit: settings.over_commit,
    };
    metrics::start(settings.metrics_port, labels, residency.clone(), log)
        .await
        .map_err(|error| Fatal("Can't start metrics server", error.to_string()))
}
