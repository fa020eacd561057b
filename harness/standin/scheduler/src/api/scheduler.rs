//! The scheduler API on port 9004.

use pace::Pace;
use seldon_proto::scheduler as pb;
use seldon_proto::scheduler::scheduler_server::Scheduler;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::subscribe::{Messages, Start, Subscription, finite};
use crate::core::Shared;
use crate::core::pipelines::pipeline_message;
use crate::experiment::Experiment;
use crate::journal::Level;
use crate::prototext;
use crate::store::status::{Versions, model_message};

/// What Seldon 2.9.1 calls its version.
const APPLICATION_VERSION: &str = "0.0.1";

/// Serves the operator, the gateways and the command line.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerApi {
    pub(crate) shared: Shared,
    pub(crate) pace: Pace,
    pub(crate) stop: CancellationToken,
}

fn refused(error: impl std::fmt::Display) -> Status {
    Status::failed_precondition(error.to_string())
}

impl SchedulerApi {
    fn subscription(&self, func: &'static str, kind: &'static str, subscriber: String) -> Subscription {
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        Subscription { shared, pace: self.pace, stop, func, kind, subscriber }
    }

    fn log_status_request(&self, func: &str, subscriber: &str) {
        let line = format!("received status request from {subscriber}");
        self.shared.with(|core| core.log_server(Level::Info, &line, func, &[]));
    }

    /// Schedules a model once the gate is open; the caller is not kept waiting.
    fn schedule_later(&self, name: String, func: &'static str, suffix: &'static str) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            shared.ready().await;
            shared.with(|core| {
                if let Err(error) = core.schedule(&name) {
                    let line = format!("Failed to schedule model {name}{suffix}");
                    core.log_server(Level::Warning, &line, func, &[("error", &error)]);
                }
            });
        });
    }

    /// Models of a server that is to have no replicas need another place.
    fn reschedule_later(&self, server: String) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let models = shared.with(|core| core.store.server(&server).map(crate::store::Server::models));
            shared.ready().await;
            for name in models.unwrap_or_default() {
                shared.with(|core| {
                    if let Err(error) = core.schedule(&name) {
                        let line = format!("Failed to reschedule model {name} for server {server}");
                        core.log_server(Level::Error, &line, "rescheduleModels", &[("error", &error)]);
                    }
                });
            }
        });
    }
}

#[tonic::async_trait]
impl Scheduler for SchedulerApi {
    type ServerStatusStream = Messages<pb::ServerStatusResponse>;
    type ModelStatusStream = Messages<pb::ModelStatusResponse>;
    type PipelineStatusStream = Messages<pb::PipelineStatusResponse>;
    type ExperimentStatusStream = Messages<pb::ExperimentStatusResponse>;
    type SubscribeServerStatusStream = Messages<pb::ServerStatusResponse>;
    type SubscribeModelStatusStream = Messages<pb::ModelStatusResponse>;
    type SubscribeExperimentStatusStream = Messages<pb::ExperimentStatusResponse>;
    type SubscribePipelineStatusStream = Messages<pb::PipelineStatusResponse>;
    type SubscribeControlPlaneStream = Messages<pb::ControlPlaneResponse>;

    async fn server_notify(
        &self,
        request: Request<pb::ServerNotifyRequest>,
    ) -> Result<Response<pb::ServerNotifyResponse>, Status> {
        let request = request.into_inner();
        let expected: usize = request.servers.iter().map(|server| server.expected_replicas as usize).sum();
        self.shared.with(|core| {
            for server in &request.servers {
                let (name, replicas, shared) = (&server.name, server.expected_replicas, server.shared);
                let line = format!("Server notification {name} expectedReplicas {replicas} shared {shared}");
                core.log_server(Level::Info, &line, "ServerNotify", &[]);
                core.store.notify(server);
            }
            if request.is_first_sync && !core.gate.is_open() {
                let opening = core.gate.expect(expected);
                let line =
                    format!("Signalling synchroniser with {expected} expected server agents to connect");
                core.log_server(Level::Info, &line, "ServerNotify", &[]);
                core.log_opening(opening);
            }
        });
        for server in request.servers.into_iter().filter(|server| server.expected_replicas == 0) {
            self.reschedule_later(server.name);
        }
        Ok(Response::new(pb::ServerNotifyResponse {}))
    }

    async fn load_model(
        &self,
        request: Request<pb::LoadModelRequest>,
    ) -> Result<Response<pb::LoadModelResponse>, Status> {
        let model = request.into_inner().model.unwrap_or_default();
        let meta = model.meta.clone();
        let kubernetes = meta.as_ref().and_then(|meta| meta.kubernetes_meta.as_ref());
        let line = format!(
            "Load model {} k8s meta {}",
            prototext::meta_data(meta.as_ref()),
            prototext::kubernetes_meta(kubernetes)
        );
        self.shared
            .with(|core| {
                core.log_server(Level::Debug, &line, "LoadModel", &[]);
                core.store.load(model)
            })
            .map_err(refused)?;
        self.schedule_later(meta.map(|meta| meta.name).unwrap_or_default(), "LoadModel", "");
        Ok(Response::new(pb::LoadModelResponse {}))
    }

    async fn unload_model(
        &self,
        request: Request<pb::UnloadModelRequest>,
    ) -> Result<Response<pb::UnloadModelResponse>, Status> {
        let request = request.into_inner();
        let name = request.model.map(|model| model.name).unwrap_or_default();
        self.shared
            .with(|core| {
                core.log_server(Level::Debug, &format!("Unload model {name}"), "UnloadModel", &[]);
                core.store.remove(&name, request.kubernetes_meta)
            })
            .map_err(refused)?;
        self.schedule_later(name, "UnloadModel", " (for unload)");
        Ok(Response::new(pb::UnloadModelResponse {}))
    }

    async fn load_pipeline(
        &self,
        request: Request<pb::LoadPipelineRequest>,
    ) -> Result<Response<pb::LoadPipelineResponse>, Status> {
        let pipeline = request.into_inner().pipeline.unwrap_or_default();
        self.shared.with(|core| core.load_pipeline(pipeline)).map_err(refused)?;
        Ok(Response::new(pb::LoadPipelineResponse {}))
    }

    async fn unload_pipeline(
        &self,
        request: Request<pb::UnloadPipelineRequest>,
    ) -> Result<Response<pb::UnloadPipelineResponse>, Status> {
        let name = request.into_inner().name;
        self.shared.with(|core| core.unload_pipeline(&name)).map_err(refused)?;
        Ok(Response::new(pb::UnloadPipelineResponse {}))
    }

    async fn start_experiment(
        &self,
        request: Request<pb::StartExperimentRequest>,
    ) -> Result<Response<pb::StartExperimentResponse>, Status> {
        let experiment = Experiment::requested(request.into_inner().experiment.unwrap_or_default());
        self.shared.with(|core| core.start_experiment(experiment)).map_err(refused)?;
        Ok(Response::new(pb::StartExperimentResponse {}))
    }

    async fn stop_experiment(
        &self,
        request: Request<pb::StopExperimentRequest>,
    ) -> Result<Response<pb::StopExperimentResponse>, Status> {
        let name = request.into_inner().name;
        self.shared.with(|core| core.stop_experiment(&name)).map_err(refused)?;
        Ok(Response::new(pb::StopExperimentResponse {}))
    }

    async fn server_status(
        &self,
        request: Request<pb::ServerStatusRequest>,
    ) -> Result<Response<Self::ServerStatusStream>, Status> {
        let request = request.into_inner();
        self.log_status_request("ServerStatus", &request.subscriber_name);
        let statuses = self.shared.with(|core| match &request.name {
            None => Ok(core.server_statuses()),
            Some(name) => core.store.server(name).map(|server| vec![server.status()]),
        });
        statuses.map(finite).map_err(refused)
    }

    async fn model_status(
        &self,
        request: Request<pb::ModelStatusRequest>,
    ) -> Result<Response<Self::ModelStatusStream>, Status> {
        let request = request.into_inner();
        self.log_status_request("ModelStatus", &request.subscriber_name);
        let versions = if request.all_versions { Versions::All } else { Versions::Latest };
        self.shared.with(|core| match &request.model {
            None => Ok(finite(core.model_statuses(versions))),
            Some(wanted) => {
                let name = wanted.name.as_str();
                let message =
                    core.store.models.get(name).and_then(|model| model_message(name, model, versions));
                let message = message.ok_or_else(|| refused(format!("Failed to find model {name}")))?;
                Ok(finite(vec![message]))
            }
        })
    }

    async fn pipeline_status(
        &self,
        request: Request<pb::PipelineStatusRequest>,
    ) -> Result<Response<Self::PipelineStatusStream>, Status> {
        let request = request.into_inner();
        self.log_status_request("PipelineStatus", &request.subscriber_name);
        self.shared.with(|core| match &request.name {
            None => Ok(finite(core.pipeline_statuses(request.all_versions))),
            Some(name) => {
                let pipeline = core.pipelines.get(name).map_err(refused)?;
                Ok(finite(vec![pipeline_message(name, pipeline, request.all_versions)]))
            }
        })
    }

    async fn experiment_status(
        &self,
        request: Request<pb::ExperimentStatusRequest>,
    ) -> Result<Response<Self::ExperimentStatusStream>, Status> {
        let request = request.into_inner();
        self.log_status_request("ExperimentStatus", &request.subscriber_name);
        let statuses = self.shared.with(|core| match &request.name {
            None => Ok(core.experiments.by_name.values().map(Experiment::status).collect()),
            Some(name) => core.experiments.get(name).map(|experiment| vec![experiment.status()]),
        });
        statuses.map(finite).map_err(refused)
    }

    async fn scheduler_status(
        &self,
        request: Request<pb::SchedulerStatusRequest>,
    ) -> Result<Response<pb::SchedulerStatusResponse>, Status> {
        self.log_status_request("SchedulerStatus", &request.into_inner().subscriber_name);
        Ok(Response::new(pb::SchedulerStatusResponse { application_version: APPLICATION_VERSION.to_owned() }))
    }

    async fn subscribe_server_status(
        &self,
        request: Request<pb::ServerSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeServerStatusStream>, Status> {
        let subscriber = request.into_inner().subscriber_name;
        let subscription = self.subscription("SubscribeServerStatus", "server", subscriber);
        Ok(subscription.open(Start::AtOnce, |core| (core.server_statuses(), core.audiences.servers.join())))
    }

    async fn subscribe_model_status(
        &self,
        request: Request<pb::ModelSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeModelStatusStream>, Status> {
        let subscriber = request.into_inner().subscriber_name;
        let subscription = self.subscription("SubscribeModelStatus", "model", subscriber);
        Ok(subscription.open(Start::AfterGate, |core| {
            (core.model_statuses(Versions::Latest), core.audiences.models.join())
        }))
    }

    async fn subscribe_experiment_status(
        &self,
        request: Request<pb::ExperimentSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeExperimentStatusStream>, Status> {
        let subscriber = request.into_inner().subscriber_name;
        let subscription = self.subscription("SubscribeExperimentStatus", "experiment", subscriber);
        Ok(subscription.open(Start::AfterGate, |core| {
            let statuses = core.experiments.by_name.values().map(Experiment::status).collect();
            (statuses, core.audiences.experiments.join())
        }))
    }

    async fn subscribe_pipeline_status(
        &self,
        request: Request<pb::PipelineSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribePipelineStatusStream>, Status> {
        let subscriber = request.into_inner().subscriber_name;
        let subscription = self.subscription("SubscribePipelineStatus", "pipeline", subscriber);
        Ok(subscription
            .open(Start::AfterGate, |core| (core.pipeline_statuses(false), core.audiences.pipelines.join())))
    }

    async fn subscribe_control_plane(
        &self,
        request: Request<pb::ControlPlaneSubscriptionRequest>,
    ) -> Result<Response<Self::SubscribeControlPlaneStream>, Status> {
        use pb::control_plane_response::Event::{SendResources, SendServers};
        let subscriber = request.into_inner().subscriber_name;
        let subscription = self.subscription("SubscribeControlPlane", "control plane", subscriber);
        let shared = self.shared.clone();
        let marker =
            |event: pb::control_plane_response::Event| pb::ControlPlaneResponse { event: event.into() };
        let (sender, receiver) = mpsc::unbounded_channel();
        let response = subscription.open(Start::AtOnce, move |_| (vec![marker(SendServers)], receiver));
        tokio::spawn(async move {
            shared.ready().await;
            // A subscriber that has gone needs no marker; one that is there keeps its stream while the sender lives.
            if sender.send(marker(SendResources)).is_ok() {
                sender.closed().await;
            }
        });
        Ok(response)
    }
}
