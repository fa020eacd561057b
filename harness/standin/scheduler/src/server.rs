//! Opening the four doors, in Seldon's order.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use pace::Pace;
use seldon_proto::agent::agent_service_server::AgentServiceServer;
use seldon_proto::scheduler::scheduler_server::SchedulerServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::api::agent::AgentApi;
use crate::api::scheduler::SchedulerApi;
use crate::core::{Autoscaling, Core, CoreSettings, Shared};
use crate::journal::{Journal, Level};
use crate::listener::Incoming;
use crate::xds::EnvoySettings;
use crate::xds::service::Discovery;

/// Between the opening of the gate and that of Envoy's door, time for routes to be made.
const XDS_WAIT: Duration = Duration::from_secs(10);

/// How the scheduler behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The factor on long waits.
    pub pace: Pace,
    /// How long the start gate stays shut at most; shrunk as [`Pace::endurance`] says, as servers need their time to start.
    pub ready_timeout: Duration,
    /// Whether models are scaled.
    pub model_autoscaling: Autoscaling,
    /// Whether servers are scaled.
    pub server_autoscaling: Autoscaling,
    /// What concerns Envoy.
    pub envoy: EnvoySettings,
}

/// The doors that are open from the start, and the address of the one that opens late.
#[derive(Debug)]
pub struct Doors {
    /// Dataflow engines, 9008.
    pub chainer: TcpListener,
    /// The operator, 9004.
    pub scheduler: TcpListener,
    /// Agents, 9005.
    pub agents: TcpListener,
    /// Where Envoy's door is opened once everything is ready, such as `0.0.0.0:9002`.
    pub envoy: String,
}

/// Serves until `stop` is cancelled, and closes every stream then.
///
/// As in Seldon 2.9.1, a scheduler that is told to stop before it is ready first becomes ready.
///
/// # Errors
/// When Envoy's door cannot be opened.
pub async fn serve(
    settings: Settings,
    doors: Doors,
    journal: Journal,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let pace = settings.pace;
    // Go's global logger keeps its own threshold.
    let always = journal.at(Level::Info);
    let core = CoreSettings {
        pace,
        model_autoscaling: settings.model_autoscaling,
        server_autoscaling: settings.server_autoscaling,
        envoy: settings.envoy.clone(),
    };
    let shared = Shared::new(Core::new(core, journal.clone()));
    let closing = CancellationToken::new();
    let _closes_on_return = closing.clone().drop_guard();

    let timeout = pace.endurance(settings.ready_timeout);
    let gate = shared.clone();
    spawn_until(&closing, async move {
        tokio::time::sleep(timeout).await;
        gate.with(|core| core.gate.time_out());
    });

    let port = doors.chainer.local_addr().context("the dataflow listener has no address")?.port();
    // No service: every call of a dataflow engine is answered UNIMPLEMENTED.
    serve_door(
        Server::builder().add_routes(tonic::service::Routes::default()),
        doors.chainer,
        pace,
        &closing,
    );
    journal.line(Level::Info, &format!("Chainer server running on {port}"), &[("source", "dataflow")]);

    let api = SchedulerApi { shared: shared.clone(), pace, stop: closing.clone() };
    open(
        &journal,
        Server::builder().add_service(SchedulerServer::new(api)),
        doors.scheduler,
        &SCHEDULER,
        pace,
        &closing,
    )?;
    let api = AgentApi::new(shared.clone(), pace, closing.clone());
    open(
        &journal,
        Server::builder().add_service(AgentServiceServer::new(api)),
        doors.agents,
        &AGENTS,
        pace,
        &closing,
    )?;

    shared.ready().await;
    tokio::time::sleep(pace.wait(XDS_WAIT)).await;
    open_to_envoy(&journal, &doors.envoy, Discovery { shared, node: settings.envoy.node }, pace, &closing)
        .await?;
    always.line(Level::Info, "Scheduler is ready", &[]);

    stop.cancelled().await;
    always.line(Level::Info, "Shutting down services", &[]);
    closing.cancel();
    always.line(Level::Info, "Shutdown services", &[]);
    Ok(())
}

async fn open_to_envoy(
    journal: &Journal,
    address: &str,
    discovery: Discovery,
    pace: Pace,
    closing: &CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("Failed to start envoy xDS server: listen tcp {address}"))?;
    let port = listener.local_addr().context("Envoy's listener has no address")?.port();
    let line = format!("Starting xDS envoy server on port {port} with secure: false");
    journal.line(Level::Info, &line, &[("func", "StartXDSServer")]);
    let router = Server::builder().add_service(AggregatedDiscoveryServiceServer::new(discovery));
    serve_door(router, listener, pace, closing);
    Ok(())
}

/// How a door is called in the log.
struct DoorName {
    title: &'static str,
    source: &'static str,
    func: &'static str,
}

const SCHEDULER: DoorName =
    DoorName { title: "Scheduler server", source: "SchedulerServer", func: "StartGrpcServers" };
const AGENTS: DoorName = DoorName { title: "Agent server", source: "AgentServer", func: "StartGrpcServer" };

fn open(
    journal: &Journal,
    router: Router,
    listener: TcpListener,
    name: &DoorName,
    pace: Pace,
    closing: &CancellationToken,
) -> anyhow::Result<()> {
    let port = listener.local_addr().context("a listener has no address")?.port();
    let line = format!("{} running on {port} mtls:false", name.title);
    journal.line(Level::Info, &line, &[("source", name.source)]);
    // Both doors say scheduler here, as in 2.9.1.
    let fields = [("func", name.func), ("source", name.source)];
    journal.line(Level::Info, "Not starting scheduler mTLS server", &fields);
    serve_door(router, listener, pace, closing);
    Ok(())
}

fn serve_door(router: Router, listener: TcpListener, pace: Pace, closing: &CancellationToken) {
    let served = router.serve_with_incoming(Incoming::new(listener, pace));
    // The listener's stream never fails, so neither does the server.
    spawn_until(closing, async move { drop(served.await) });
}

fn spawn_until(closing: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let closing = closing.clone();
    tokio::spawn(async move { closing.run_until_cancelled(work).await });
}
