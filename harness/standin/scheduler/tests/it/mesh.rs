//! A scheduler on ports of its own, with the clients that play operator and agent.

use std::collections::BTreeMap;
use std::time::Duration;

use pace::Pace;
use seldon_proto::agent::agent_service_client::AgentServiceClient;
use seldon_proto::agent::model_event_message::Event;
use seldon_proto::scheduler::scheduler_client::SchedulerClient;
use seldon_proto::{agent, scheduler as pb};
use standin_scheduler::{Autoscaling, Doors, EnvoySettings, Journal, Level, Settings, Successes, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

pub(crate) const NAMESPACE: &str = "seldon-mesh";

/// Long enough for a busy machine; a test that needs it all has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running scheduler.
pub(crate) struct Mesh {
    pub(crate) journal: Journal,
    pub(crate) operator: SchedulerClient<Channel>,
    pub(crate) envoy: String,
    pub(crate) agents_address: String,
    stop: CancellationToken,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Where Envoy logs requests. Below `/tmp`, as by default, a file would outlive the test, and another user's Envoy
/// refuse its listener for not being able to write to it.
pub(crate) const ACCESS_LOG: &str = "/dev/null";

/// 10 s in 20 ms, 600 s in 1.2 s.
pub(crate) fn pace() -> Pace {
    Pace::new(0.002).unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings {
        pace: pace(),
        // Never, as far as a test is concerned, unless it is about this.
        ready_timeout: Duration::from_secs(1_000_000),
        model_autoscaling: Autoscaling::Off,
        server_autoscaling: Autoscaling::On,
        envoy: EnvoySettings {
            dns_refresh: None,
            access_log: Some(ACCESS_LOG.to_owned()),
            successes: Successes::Logged,
            pipeline_gateway_host: "seldon-pipelinegateway".to_owned(),
            pipeline_gateway_http_port: 9010,
            pipeline_gateway_grpc_port: 9011,
            node: "test-id".to_owned(),
        },
    }
}

/// An address nobody else has: the scheduler opens this door late, so no port can be held for it meanwhile.
fn envoys_door() -> String {
    use std::sync::atomic::{AtomicU8, Ordering};
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{low}.{}:9002", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Mesh {
    pub(crate) async fn start() -> Mesh {
        Mesh::start_with(settings()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Mesh {
        async fn bind() -> TcpListener {
            TcpListener::bind("127.0.0.1:0").await.unwrap()
        }
        let (chainer, scheduler, agents) = (bind().await, bind().await, bind().await);
        let envoy = envoys_door();
        let scheduler_address = format!("http://{}", scheduler.local_addr().unwrap());
        let agents_address = format!("http://{}", agents.local_addr().unwrap());
        let journal = Journal::memory(Level::Debug);
        let stop = CancellationToken::new();
        let doors = Doors { chainer, scheduler, agents, envoy: envoy.clone() };
        tokio::spawn(serve(settings, doors, journal.clone(), stop.clone()));
        Mesh {
            journal,
            operator: SchedulerClient::connect(scheduler_address).await.unwrap(),
            envoy,
            agents_address,
            stop,
        }
    }

    /// The operator's first sync.
    pub(crate) async fn declare(&mut self, servers: &[(&str, u32)]) {
        self.notify(servers, true).await;
    }

    pub(crate) async fn notify(&mut self, servers: &[(&str, u32)], is_first_sync: bool) {
        let servers = servers.iter().map(|(name, replicas)| pb::ServerNotify {
            name: (*name).to_owned(),
            expected_replicas: *replicas,
            kubernetes_meta: Some(meta(1)),
            ..pb::ServerNotify::default()
        });
        let request = pb::ServerNotifyRequest { servers: servers.collect(), is_first_sync };
        self.operator.server_notify(request).await.unwrap();
    }

    pub(crate) async fn load(&mut self, model: pb::Model) {
        self.operator.load_model(pb::LoadModelRequest { model: Some(model) }).await.unwrap();
    }

    pub(crate) async fn unload(&mut self, name: &str, generation: i64) {
        let model = Some(pb::ModelReference { name: name.to_owned(), version: None });
        let request = pb::UnloadModelRequest { model, kubernetes_meta: Some(meta(generation)) };
        self.operator.unload_model(request).await.unwrap();
    }

    pub(crate) async fn models(&mut self) -> Follower<pb::ModelStatusResponse> {
        let request = pb::ModelSubscriptionRequest { subscriber_name: "seldon manager".to_owned() };
        Follower(self.operator.subscribe_model_status(request).await.unwrap().into_inner())
    }

    pub(crate) async fn servers(&mut self) -> Follower<pb::ServerStatusResponse> {
        let request = pb::ServerSubscriptionRequest { subscriber_name: "seldon manager".to_owned() };
        Follower(self.operator.subscribe_server_status(request).await.unwrap().into_inner())
    }

    /// An agent on a connection of its own, so that dropping it is a disconnect.
    pub(crate) async fn agent(&self, announcement: agent::AgentSubscribeRequest) -> Agent {
        let mut client = AgentServiceClient::connect(self.agents_address.clone()).await.unwrap();
        let stream = client.subscribe(announcement.clone()).await.unwrap().into_inner();
        Agent { client, orders: Follower(stream), announcement }
    }

    /// The log, without times: `level message {fields}`.
    pub(crate) fn log(&self) -> Vec<String> {
        let lines = self.journal.kept();
        lines.iter().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned()).collect()
    }

    /// Waits until a line with these words is in the log.
    pub(crate) async fn logged(&self, words: &str) {
        let mut turns = tokio::time::interval(Duration::from_millis(2));
        let found = async {
            while !self.log().iter().any(|line| line.contains(words)) {
                turns.tick().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, found).await;
        assert!(waited.is_ok(), "no line with {words:?} in\n{}", self.log().join("\n"));
    }
}

/// Reads a stream, with patience.
pub(crate) struct Follower<T>(pub(crate) Streaming<T>);

impl<T: std::fmt::Debug> Follower<T> {
    pub(crate) async fn next(&mut self) -> T {
        let message = tokio::time::timeout(PATIENCE, self.0.message()).await;
        message.expect("nothing came").unwrap().expect("the stream ended")
    }

    /// Skips messages until one is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&T) -> bool) -> T {
        let mut seen = Vec::new();
        let search = async {
            loop {
                match self.0.message().await.unwrap() {
                    Some(message) if wanted(&message) => return Ok(message),
                    Some(message) => seen.push(message),
                    None => return Err("the stream ended"),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(Ok(message)) => message,
            other => panic!("not seen ({other:?}); instead: {seen:#?}"),
        }
    }
}

/// A client that plays the agent of one replica.
pub(crate) struct Agent {
    client: AgentServiceClient<Channel>,
    pub(crate) orders: Follower<agent::ModelOperationMessage>,
    announcement: agent::AgentSubscribeRequest,
}

impl Agent {
    /// Waits for an order and returns it as `LOAD_MODEL iris:1`.
    pub(crate) async fn order(&mut self) -> String {
        let order = self.orders.next().await;
        let version = order.model_version.clone().unwrap();
        format!(
            "{} {}:{}",
            order.operation().as_str_name(),
            name_of(&version.model.unwrap()),
            version.version
        )
    }

    pub(crate) async fn report(
        &mut self,
        model: &str,
        version: u32,
        event: Event,
        message: &str,
    ) -> tonic::Status {
        let message = agent::ModelEventMessage {
            server_name: self.announcement.server_name.clone(),
            replica_idx: self.announcement.replica_idx,
            model_name: model.to_owned(),
            model_version: version,
            event: event.into(),
            message: message.to_owned(),
            available_memory_bytes: self.announcement.available_memory_bytes,
            runtime_info: None,
        };
        self.client.agent_event(message).await.err().unwrap_or_else(|| tonic::Status::ok(""))
    }

    /// Takes the next order, which must be this load, and says it is done.
    pub(crate) async fn load(&mut self, model: &str, version: u32) {
        assert_eq!(self.order().await, format!("LOAD_MODEL {model}:{version}"));
        assert_eq!(self.report(model, version, Event::Loaded, "").await.code(), tonic::Code::Ok);
    }

    /// Takes the next order, which must be this unload, and says it is done.
    pub(crate) async fn unload(&mut self, model: &str, version: u32) {
        assert_eq!(self.order().await, format!("UNLOAD_MODEL {model}:{version}"));
        assert_eq!(self.report(model, version, Event::Unloaded, "").await.code(), tonic::Code::Ok);
    }

    pub(crate) async fn drain(&mut self) -> bool {
        let (server_name, replica_idx) =
            (self.announcement.server_name.clone(), self.announcement.replica_idx);
        let answer = self.client.agent_drain(agent::AgentDrainRequest { server_name, replica_idx });
        tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().into_inner().success
    }
}

pub(crate) fn meta(generation: i64) -> pb::KubernetesMeta {
    pb::KubernetesMeta { namespace: NAMESPACE.to_owned(), generation }
}

fn name_of(model: &pb::Model) -> String {
    model.meta.as_ref().unwrap().name.clone()
}

/// A model as the operator describes it.
pub(crate) fn model(name: &str, generation: i64) -> pb::Model {
    pb::Model {
        meta: Some(pb::MetaData {
            name: name.to_owned(),
            kubernetes_meta: Some(meta(generation)),
            ..pb::MetaData::default()
        }),
        model_spec: Some(pb::ModelSpec {
            uri: format!("s3://models/{name}"),
            requirements: vec!["sklearn".to_owned()],
            memory_bytes: Some(102_400),
            ..pb::ModelSpec::default()
        }),
        deployment_spec: Some(pb::DeploymentSpec { replicas: 1, ..pb::DeploymentSpec::default() }),
        ..pb::Model::default()
    }
}

/// A replica as its agent announces it.
pub(crate) fn replica(server: &str, index: u32) -> agent::AgentSubscribeRequest {
    agent::AgentSubscribeRequest {
        server_name: server.to_owned(),
        shared: true,
        replica_idx: index,
        replica_config: Some(agent::ReplicaConfig {
            inference_svc: format!("{server}-{index}"),
            inference_http_port: 9001,
            inference_grpc_port: 9501,
            memory_bytes: 1_073_741_824,
            capabilities: ["mlserver", "mlflow", "python", "sklearn"].map(str::to_owned).to_vec(),
            over_commit_percentage: 10,
        }),
        loaded_models: Vec::new(),
        available_memory_bytes: 1_181_116_006,
    }
}

/// `iris:1 ModelAvailable @mlserver +1 -0` and the reason, if any: what the operator makes of a status.
pub(crate) fn brief(status: &pb::ModelStatusResponse) -> String {
    let version = &status.versions[0];
    let state = version.state.as_ref().unwrap();
    let reason = if state.reason.is_empty() { String::new() } else { format!(" ({})", state.reason) };
    format!(
        "{}:{} {} @{} +{} -{}{reason}",
        status.model_name,
        version.version,
        state.state().as_str_name(),
        version.server_name,
        state.available_replicas,
        state.unavailable_replicas
    )
}

/// Whether a status says the model's newest version is in that state.
pub(crate) fn is(name: &str, state: &str) -> impl Fn(&pb::ModelStatusResponse) -> bool {
    let wanted = format!(" {state} ");
    let name = format!("{name}:");
    move |status| brief(status).starts_with(&name) && brief(status).contains(&wanted)
}

/// States of the replicas of the newest version, by name.
pub(crate) fn replica_states(status: &pb::ModelStatusResponse) -> BTreeMap<i32, String> {
    let states = &status.versions[0].model_replica_state;
    states.iter().map(|(index, status)| (*index, status.state().as_str_name().to_owned())).collect()
}
