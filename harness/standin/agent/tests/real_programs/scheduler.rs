//! A scheduler that does what the test says and keeps what the agent says.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::Stream;
use seldon_proto::agent::agent_service_server::{AgentService, AgentServiceServer};
use seldon_proto::agent::model_operation_message::Operation;
use seldon_proto::agent::{
    AgentDrainRequest, AgentDrainResponse, AgentSubscribeRequest, ModelEventMessage, ModelEventResponse,
    ModelOperationMessage, ModelScalingTriggerMessage, ModelScalingTriggerResponse, ModelVersion,
};
use seldon_proto::scheduler::storage_config::Config;
use seldon_proto::scheduler::{KubernetesMeta, MetaData, Model, ModelSpec, StorageConfig};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};

const PATIENCE: Duration = Duration::from_secs(60);

type Orders = UnboundedSender<Result<ModelOperationMessage, Status>>;

/// What the server shares with the test.
#[derive(Default)]
struct Shared {
    orders: Mutex<Option<Orders>>,
    drains: AtomicUsize,
}

struct Service {
    shared: Arc<Shared>,
    events: UnboundedSender<ModelEventMessage>,
    subscriptions: UnboundedSender<AgentSubscribeRequest>,
}

/// The test's side.
pub(crate) struct Scheduler {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    events: tokio::sync::Mutex<UnboundedReceiver<ModelEventMessage>>,
    subscriptions: tokio::sync::Mutex<UnboundedReceiver<AgentSubscribeRequest>>,
}

impl Scheduler {
    pub(crate) async fn start() -> Scheduler {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let (events, seen) = unbounded_channel();
        let (subscriptions, subscribed) = unbounded_channel();
        let service = AgentServiceServer::new(Service { shared: shared.clone(), events, subscriptions });
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Scheduler { port, shared, events: seen.into(), subscriptions: subscribed.into() }
    }

    pub(crate) async fn subscribed(&self) -> AgentSubscribeRequest {
        let mut subscriptions = self.subscriptions.lock().await;
        tokio::time::timeout(PATIENCE, subscriptions.recv()).await.expect("no subscription in time").unwrap()
    }

    pub(crate) async fn event(&self) -> ModelEventMessage {
        let mut events = self.events.lock().await;
        tokio::time::timeout(PATIENCE, events.recv()).await.expect("no event in time").unwrap()
    }

    pub(crate) fn drains(&self) -> usize {
        self.shared.drains.load(Ordering::SeqCst)
    }

    pub(crate) fn drop_streams(&self) {
        *self.shared.orders.lock().unwrap() = None;
    }

    pub(crate) fn load(
        &self,
        name: &str,
        version: u32,
        uri: &str,
        requirements: &[&str],
        secret: Option<&str>,
    ) {
        let spec = ModelSpec {
            uri: uri.to_owned(),
            requirements: requirements.iter().map(|text| (*text).to_owned()).collect(),
            memory_bytes: Some(100 * 1024),
            storage_config: secret
                .map(|secret| StorageConfig { config: Some(Config::StorageSecretName(secret.to_owned())) }),
            ..Default::default()
        };
        self.order(Operation::LoadModel, name, version, Some(spec));
    }

    pub(crate) fn unload(&self, name: &str, version: u32) {
        self.order(Operation::UnloadModel, name, version, None);
    }

    fn order(&self, operation: Operation, name: &str, version: u32, model_spec: Option<ModelSpec>) {
        let kubernetes_meta = Some(KubernetesMeta { namespace: "mesh".into(), ..Default::default() });
        let meta = Some(MetaData { name: name.to_owned(), kubernetes_meta, ..Default::default() });
        let model = Some(Model { meta, model_spec, ..Default::default() });
        let model_version = Some(ModelVersion { model, version });
        let order =
            ModelOperationMessage { operation: operation.into(), model_version, ..Default::default() };
        self.shared.orders.lock().unwrap().as_ref().expect("nobody subscribed").send(Ok(order)).unwrap();
    }
}

#[tonic::async_trait]
impl AgentService for Service {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<ModelOperationMessage, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<AgentSubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (orders, stream) = unbounded_channel();
        *self.shared.orders.lock().unwrap() = Some(orders);
        self.subscriptions.send(request.into_inner()).unwrap();
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(stream))))
    }

    async fn agent_event(
        &self,
        request: Request<ModelEventMessage>,
    ) -> Result<Response<ModelEventResponse>, Status> {
        self.events.send(request.into_inner()).unwrap();
        Ok(Response::new(ModelEventResponse {}))
    }

    async fn model_scaling_trigger(
        &self,
        request: Request<Streaming<ModelScalingTriggerMessage>>,
    ) -> Result<Response<ModelScalingTriggerResponse>, Status> {
        let mut triggers = request.into_inner();
        while triggers.message().await?.is_some() {}
        Ok(Response::new(ModelScalingTriggerResponse {}))
    }

    async fn agent_drain(
        &self,
        _: Request<AgentDrainRequest>,
    ) -> Result<Response<AgentDrainResponse>, Status> {
        self.shared.drains.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(AgentDrainResponse { success: true }))
    }
}
