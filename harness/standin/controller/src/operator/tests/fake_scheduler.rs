//! A scheduler that records what it is told and says what the test wants said.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use futures::{Stream, StreamExt};
use seldon_proto::scheduler::scheduler_server::{Scheduler, SchedulerServer};
use seldon_proto::scheduler::*;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot, watch};
use tokio_stream::wrappers::{BroadcastStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the operator said, one line each, and what it shall hear.
pub(super) struct Fake {
    pub(super) calls: watch::Sender<Vec<String>>,
    pub(super) models: broadcast::Sender<ModelStatusResponse>,
    pub(super) servers: broadcast::Sender<ServerStatusResponse>,
    pub(super) experiments: broadcast::Sender<ExperimentStatusResponse>,
    pub(super) pipelines: broadcast::Sender<PipelineStatusResponse>,
    pub(super) control: broadcast::Sender<ControlPlaneResponse>,
    /// When set, what every load is refused with.
    pub(super) refusal: Mutex<Option<Status>>,
}

/// A running fake; it stops when dropped.
pub(super) struct Running {
    pub(super) fake: std::sync::Arc<Fake>,
    pub(super) address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Running {
    /// Starts one on a free loopback port, on a runtime of its own: when that ends, so do all connections.
    pub(super) async fn start() -> Running {
        let fake = std::sync::Arc::new(Fake {
            calls: watch::channel(Vec::new()).0,
            models: broadcast::channel(64).0,
            servers: broadcast::channel(64).0,
            experiments: broadcast::channel(64).0,
            pipelines: broadcast::channel(64).0,
            control: broadcast::channel(64).0,
            refusal: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (stopped, served) = (stop.clone(), fake.clone());
        let (told, address) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                let server = tonic::transport::Server::builder()
                    .add_service(SchedulerServer::from_arc(served))
                    .serve_with_incoming(TcpListenerStream::new(listener));
                tokio::select! {
                    _ = server => {}
                    () = stopped.cancelled() => {}
                }
            });
        });
        Running { fake, address: address.await.unwrap(), stop }
    }

    /// Waits until the operator has said what `enough` looks for.
    pub(super) async fn until(&self, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut calls = self.fake.calls.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(20), calls.wait_for(|calls| enough(calls))).await;
        match waited {
            Ok(calls) => calls.unwrap().clone(),
            Err(_) => panic!("the operator only said: {:#?}", self.fake.calls.borrow()),
        }
    }

    pub(super) async fn until_said(&self, line: &str) -> Vec<String> {
        self.until(|calls| calls.iter().any(|call| call == line)).await
    }
}

impl Fake {
    fn note(&self, line: String) {
        self.calls.send_modify(|calls| calls.push(line));
    }

    fn answer<T: Default>(&self) -> Result<Response<T>, Status> {
        match self.refusal.lock().unwrap().clone() {
            Some(status) => Err(status),
            None => Ok(Response::new(T::default())),
        }
    }

    fn stream<T: Clone + Send + 'static>(&self, sender: &broadcast::Sender<T>) -> Response<Events<T>> {
        let events = BroadcastStream::new(sender.subscribe());
        Response::new(Box::pin(events.filter_map(async |event| event.ok().map(Ok))))
    }
}

#[tonic::async_trait]
impl Scheduler for Fake {
    async fn server_notify(
        &self,
        request: Request<ServerNotifyRequest>,
    ) -> Result<Response<ServerNotifyResponse>, Status> {
        let request = request.into_inner();
        let servers: Vec<String> = request
            .servers
            .iter()
            .map(|server| format!("{}={}", server.name, server.expected_replicas))
            .collect();
        self.note(format!("servers {} first={}", servers.join(","), request.is_first_sync));
        Ok(Response::new(Default::default()))
    }
    async fn load_model(
        &self,
        request: Request<LoadModelRequest>,
    ) -> Result<Response<LoadModelResponse>, Status> {
        let meta = request.into_inner().model.unwrap().meta.unwrap();
        self.note(format!("load {} generation {}", meta.name, meta.kubernetes_meta.unwrap().generation));
        self.answer()
    }
    async fn unload_model(
        &self,
        request: Request<UnloadModelRequest>,
    ) -> Result<Response<UnloadModelResponse>, Status> {
        let request = request.into_inner();
        let generation = request.kubernetes_meta.unwrap().generation;
        self.note(format!("unload {} generation {generation}", request.model.unwrap().name));
        Ok(Response::new(Default::default()))
    }
    async fn load_pipeline(
        &self,
        request: Request<LoadPipelineRequest>,
    ) -> Result<Response<LoadPipelineResponse>, Status> {
        self.note(format!("load pipeline {}", request.into_inner().pipeline.unwrap().name));
        self.answer()
    }
    async fn unload_pipeline(
        &self,
        request: Request<UnloadPipelineRequest>,
    ) -> Result<Response<UnloadPipelineResponse>, Status> {
        self.note(format!("unload pipeline {}", request.into_inner().name));
        Ok(Response::new(Default::default()))
    }
    async fn start_experiment(
        &self,
        request: Request<StartExperimentRequest>,
    ) -> Result<Response<StartExperimentResponse>, Status> {
        self.note(format!("start experiment {}", request.into_inner().experiment.unwrap().name));
        self.answer()
    }
    async fn stop_experiment(
        &self,
        request: Request<StopExperimentRequest>,
    ) -> Result<Response<StopExperimentResponse>, Status> {
        self.note(format!("stop experiment {}", request.into_inner().name));
        Ok(Response::new(Default::default()))
    }
    type ServerStatusStream = Events<ServerStatusResponse>;
    async fn server_status(
        &self,
        _: Request<ServerStatusRequest>,
    ) -> Result<Response<Self::ServerStatusStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::empty())))
    }
    type ModelStatusStream = Events<ModelStatusResponse>;
    async fn model_status(
        &self,
        _: Request<ModelStatusRequest>,
    ) -> Result<Response<Self::ModelStatusStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::empty())))
    }
    type PipelineStatusStream = Events<PipelineStatusResponse>;
    async fn pipeline_status(
        &self,
        _: Request<PipelineStatusRequest>,
    ) -> Result<Response<Self::PipelineStatusStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::empty())))
    }
    type ExperimentStatusStream = Events<ExperimentStatusResponse>;
    async fn experiment_status(
        &self,
        _: Request<ExperimentStatusRequest>,
    ) -> Result<Response<Self::ExperimentStatusStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::empty())))
    }
    async fn scheduler_status(
        &self,
        _: Request<SchedulerStatusRequest>,
    ) -> Result<Response<SchedulerStatusResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
    type SubscribeServerStatusStream = Events<ServerStatusResponse>;
    async fn subscribe_server_status(
        &self,
        _: Request<ServerSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeServerStatusStream>, Status> {
        self.note("subscribe servers".to_owned());
        Ok(self.stream(&self.servers))
    }
    type SubscribeModelStatusStream = Events<ModelStatusResponse>;
    async fn subscribe_model_status(
        &self,
        request: Request<ModelSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeModelStatusStream>, Status> {
        let events = self.stream(&self.models);
        self.note(format!("subscribe models as {}", request.into_inner().subscriber_name));
        Ok(events)
    }
    type SubscribeExperimentStatusStream = Events<ExperimentStatusResponse>;
    async fn subscribe_experiment_status(
        &self,
        _: Request<ExperimentSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeExperimentStatusStream>, Status> {
        let events = self.stream(&self.experiments);
        self.note("subscribe experiments".to_owned());
        Ok(events)
    }
    type SubscribePipelineStatusStream = Events<PipelineStatusResponse>;
    async fn subscribe_pipeline_status(
        &self,
        _: Request<PipelineSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribePipelineStatusStream>, Status> {
        let events = self.stream(&self.pipelines);
        self.note("subscribe pipelines".to_owned());
        Ok(events)
    }
    type SubscribeControlPlaneStream = Events<ControlPlaneResponse>;
    async fn subscribe_control_plane(
        &self,
        _: Request<ControlPlaneSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeControlPlaneStream>, Status> {
        let first = ControlPlaneResponse { event: control_plane_response::Event::SendServers.into() };
        let rest = self.stream(&self.control).into_inner();
        self.note("subscribe control plane".to_owned());
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(first)]).chain(rest))))
    }
}
