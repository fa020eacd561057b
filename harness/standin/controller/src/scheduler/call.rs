//! Unary calls: retried for as long as the scheduler is unavailable and the caller's time lasts.

use std::sync::Arc;

use gonet::GoStatus;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Response, Status};

use super::{Answer, Client, Connection, Schedulers, requests};
use crate::backoff;
use crate::failure::Failure;
use crate::journal::{Frame, Journal};
use seldon_crds::{Experiment, Model, Pipeline, Server};
use seldon_proto::scheduler as proto;

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retryable {
    /// The scheduler may answer differently later.
    Yes,
    /// The scheduler refused for good.
    No,
}

/// How often a call is tried.
const TRIES: u32 = 100;

/// Where a call goes and how long it may take.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) connection: Connection,
    pub(super) deadline: Instant,
}

impl Schedulers {
    /// Tells the namespace's scheduler to load a Model.
    pub(crate) async fn load_model(self: &Arc<Self>, model: &Model, deadline: Instant) -> Answer {
        let line = self.line(model.metadata.namespace.as_deref(), deadline).await?;
        self.load_model_on(model, &line).await
    }

    pub(super) async fn load_model_on(&self, model: &Model, line: &Line) -> Answer {
        let name = name_of(model);
        self.journal.named("LoadModel").info("Load", &[("model name", json!(name))]);
        let request = requests::model(model).map_err(|text| (Retryable::No, Failure::Refused(text)))?;
        let request = proto::LoadModelRequest { model: Some(request) };
        let answer = self.unary(line, |mut client| {
            let request = request.clone();
            async move { client.load_model(request).await }
        });
        answer.await.map(drop).map_err(|status| self.judge("Model", &name, status))
    }

    /// Tells the namespace's scheduler to unload a Model.
    pub(crate) async fn unload_model(self: &Arc<Self>, model: &Model, deadline: Instant) -> Answer {
        let line = self.line(model.metadata.namespace.as_deref(), deadline).await?;
        self.unload_model_on(model, &line).await
    }

    pub(super) async fn unload_model_on(&self, model: &Model, line: &Line) -> Answer {
        let name = name_of(model);
        self.journal.named("UnloadModel").info("Unload", &[("model name", json!(name))]);
        let request = proto::UnloadModelRequest {
            model: Some(proto::ModelReference { name: name.clone(), version: None }),
            kubernetes_meta: Some(requests::meta(model)),
        };
        let answer = self.unary(line, |mut client| {
            let request = request.clone();
            async move { client.unload_model(request).await }
        });
        answer.await.map(drop).map_err(|status| self.judge("Model", &name, status))
    }

    /// Tells the namespace's scheduler of a Server.
    pub(crate) async fn notify_server(
        self: &Arc<Self>,
        server: &Server,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let line = self
            .line(server.metadata.namespace.as_deref(), deadline)
            .await
            .map_err(|(_, failure)| failure)?;
        self.notify_servers_on(std::slice::from_ref(server), false, &line).await
    }

    pub(super) async fn notify_servers_on(
        &self,
        servers: &[Server],
        first_sync: bool,
        line: &Line,
    ) -> Result<(), Failure> {
        let journal = self.journal.named("NotifyServer");
        let mut notices = Vec::new();
        for server in servers {
            let notice = requests::server(server).map_err(Failure::Refused)?;
            log_notice(&journal, &notice);
            notices.push(notice);
        }
        let request = proto::ServerNotifyRequest { servers: notices, is_first_sync: first_sync };
        let answer = self.unary(line, |mut client| {
            let request = request.clone();
            async move { client.server_notify(request).await }
        });
        answer.await.map(drop).map_err(|status| {
            journal.error(Some(&status), "Failed to send notify server to scheduler", &[], NOTIFY_STACK);
            status.into()
        })
    }

    /// Tells the namespace's scheduler to start an Experiment.
    pub(crate) async fn start_experiment(
        self: &Arc<Self>,
        experiment: &Experiment,
        deadline: Instant,
    ) -> Answer {
        let line = self.line(experiment.metadata.namespace.as_deref(), deadline).await?;
        self.start_experiment_on(experiment, &line).await
    }

    pub(super) async fn start_experiment_on(&self, experiment: &Experiment, line: &Line) -> Answer {
        let name = name_of(experiment);
        self.journal.named("StartExperiment").info("Start", &[("experiment name", json!(name))]);
        let request = proto::StartExperimentRequest { experiment: Some(requests::experiment(experiment)) };
        let answer = self.unary(line, |mut client| {
            let request = request.clone();
            async move { client.start_experiment(request).await }
        });
        answer.await.map(drop).map_err(|status| self.judge("Experiment", &name, status))
    }

    /// Tells the namespace's scheduler to stop an Experiment.
    pub(crate) async fn stop_experiment(
        self: &Arc<Self>,
        experiment: &Experiment,
        deadline: Instant,
    ) -> Answer {
        let line = self.line(experiment.metadata.namespace.as_deref(), deadline).await?;
        let name = name_of(experiment);
        self.journal.named("StopExperiment").info("Stop", &[("experiment name", json!(name))]);
        let request = proto::StopExperimentRequest { name: name.clone() };
        let answer = self.unary(&line, |mut client| {
            let request = request.clone();
            async move { client.stop_experiment(request).await }
        });
        answer.await.map(drop).map_err(|status| self.judge("Experiment", &name, status))
    }

    /// Tells the namespace's scheduler to load a Pipeline.
    pub(crate) async fn load_pipeline(self: &Arc<Self>, pipeline: &Pipeline, deadline: Instant) -> Answer {
        let line = self.line(pipeline.metadata.namespace.as_deref(), deadline).await?;
        self.load_pipeline_on(pipeline, &line).await
    }

    pub(super) async fn load_pipeline_on(&self, pipeline: &Pipeline, line: &Line) -> Answer {
        let name = name_of(pipeline);
        self.journal.named("LoadPipeline").info("Load", &[("pipeline name", json!(name))]);
        let request = proto::LoadPipelineRequest { pipeline: Some(requests::pipeline(pipeline)) };
        let answer = self.unary(line, |mut client| {
            let request = request.clone();
            async move { client.load_pipeline(request).await }
        });
        answer.await.map(drop).map_err(|status| self.judge("Pipeline", &name, status))
    }

    /// Tells the namespace's scheduler to unload a Pipeline.
    pub(crate) async fn unload_pipeline(self: &Arc<Self>, pipeline: &Pipeline, deadline: Instant) -> Answer {
        let line = self.line(pipeline.metadata.namespace.as_deref(), deadline).await?;
        let name = name_of(pipeline);
        self.journal.named("UnloadPipeline").info("Unload", &[("pipeline name", json!(name))]);
        let request = proto::UnloadPipelineRequest { name: name.clone() };
        let answer = self.unary(&line, |mut client| {
            let request = request.clone();
            async move { client.unload_pipeline(request).await }
        });
        answer.await.map(drop).map_err(|status| self.judge("Pipeline", &name, status))
    }

    /// A failure to connect is always worth another try.
    async fn line(
        self: &Arc<Self>,
        namespace: Option<&str>,
        deadline: Instant,
    ) -> Result<Line, (Retryable, Failure)> {
        let connection = self.connection(namespace.unwrap_or_default()).await;
        let connection = connection.map_err(|status| (Retryable::Yes, status.into()))?;
        Ok(Line { connection, deadline })
    }

    /// One call, tried up to a hundred times while the scheduler is unavailable.
    pub(super) async fn unary<T, F>(&self, line: &Line, call: impl Fn(Client) -> F) -> Result<T, GoStatus>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut last = GoStatus::deadline_exceeded();
        for attempt in 0..TRIES {
            if attempt > 0 {
                let wait = backoff::shorten(self.pace, backoff::call_retry(attempt));
                timeout_at(line.deadline, sleep(wait)).await.map_err(|_| GoStatus::deadline_exceeded())?;
            }
            let tried = tokio::select! {
                () = line.connection.closed.cancelled() => Err(GoStatus::closing()),
                tried = timeout_at(line.deadline, once(line, &call)) => {
                    tried.unwrap_or_else(|_| Err(GoStatus::deadline_exceeded()))
                }
            };
            match tried {
                Err(status) if matches!(status.code, Code::Unavailable | Code::ResourceExhausted) => {
                    last = status
                }
                other => return other,
            }
        }
        Err(last)
    }

    /// Logs a refused call and says whether trying again may help.
    fn judge(&self, resource: &str, name: &str, status: GoStatus) -> (Retryable, Failure) {
        let code = format!("{:?}", status.code).replace("Cancelled", "Canceled");
        let about = [("code", json!(code)), ("resource", json!(resource)), ("resourceName", json!(name))];
        let mut all = vec![("err", json!(status.to_string()))];
        all.extend(about.clone());
        self.journal.info("Got grpc status code", &all);
        let retryable = match status.code {
            Code::FailedPrecondition | Code::Unimplemented => Retryable::No,
            _ => Retryable::Yes,
        };
        let verdict = match retryable {
            Retryable::Yes => "retryable error",
            Retryable::No => "Non retryable error",
        };
        self.journal.info(verdict, &about);
        (retryable, status.into())
    }
}

async fn once<T, F>(line: &Line, call: impl Fn(Client) -> F) -> Result<T, GoStatus>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let client = line.connection.client().await?;
    call(client).await.map(Response::into_inner).map_err(|status| GoStatus::from_tonic(&status))
}

fn name_of(object: &impl kube::Resource) -> String {
    object.meta().name.clone().unwrap_or_default()
}

fn log_notice(journal: &Journal, notice: &proto::ServerNotify) {
    let namespace = notice.kubernetes_meta.as_ref().map(|meta| meta.namespace.as_str());
    let fields = [
        ("name", json!(notice.name)),
        ("namespace", json!(namespace)),
        ("replicas", json!(notice.expected_replicas)),
        ("minReplicas", json!(notice.min_replicas)),
        ("maxReplicas", json!(notice.max_replicas)),
    ];
    journal.info("Notify server", &fields);
}

const NOTIFY_STACK: &[Frame] = &[(
    "github.com/seldonio/seldon-core/operator/v2/scheduler.(*SchedulerClient).ServerNotify",
    "github.com/seldonio/seldon-core/operator/v2/scheduler/server.go",
)];
