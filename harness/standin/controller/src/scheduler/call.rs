//! Unary calls: retried for as long as the scheduler is unavailable and the caller's time lasts.

use std::sync::Arc;

use gonet::GoStatus;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Response, Status};

use super::{Answer, Client, Connection, Schedulers, requests};
use crate::backoff;
use crate::cluster::{Kind, namespace_of};
use crate::dispatch::Dispatch;
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
pub(crate) struct Line {
    pub(super) connection: Connection,
    pub(super) deadline: Instant,
}

impl Schedulers {
    /// Tells the namespace's scheduler to have an object.
    pub(crate) async fn load<K: Dispatch>(self: &Arc<Self>, object: &K, deadline: Instant) -> Answer {
        let line = self.line(object, deadline).await?;
        object.load(self, &line).await
    }

    /// Tells the namespace's scheduler not to have an object any more.
    pub(crate) async fn unload<K: Dispatch>(self: &Arc<Self>, object: &K, deadline: Instant) -> Answer {
        let line = self.line(object, deadline).await?;
        object.unload(self, &line).await
    }

    pub(crate) async fn load_model(&self, model: &Model, line: &Line) -> Answer {
        self.announce("Load", model);
        let request = requests::model(model).map_err(|text| (Retryable::No, Failure::Refused(text)))?;
        let request = proto::LoadModelRequest { model: Some(request) };
        let call = |mut client: Client, request| async move { client.load_model(request).await };
        self.tell(model, line, request, call).await
    }

    pub(crate) async fn unload_model(&self, model: &Model, line: &Line) -> Answer {
        self.announce("Unload", model);
        let request = proto::UnloadModelRequest {
            model: Some(proto::ModelReference { name: name_of(model), version: None }),
            kubernetes_meta: Some(requests::meta(model)),
        };
        let call = |mut client: Client, request| async move { client.unload_model(request).await };
        self.tell(model, line, request, call).await
    }

    pub(crate) async fn load_pipeline(&self, pipeline: &Pipeline, line: &Line) -> Answer {
        self.announce("Load", pipeline);
        let request = proto::LoadPipelineRequest { pipeline: Some(requests::pipeline(pipeline)) };
        let call = |mut client: Client, request| async move { client.load_pipeline(request).await };
        self.tell(pipeline, line, request, call).await
    }

    pub(crate) async fn unload_pipeline(&self, pipeline: &Pipeline, line: &Line) -> Answer {
        self.announce("Unload", pipeline);
        let request = proto::UnloadPipelineRequest { name: name_of(pipeline) };
        let call = |mut client: Client, request| async move { client.unload_pipeline(request).await };
        self.tell(pipeline, line, request, call).await
    }

    pub(crate) async fn start_experiment(&self, experiment: &Experiment, line: &Line) -> Answer {
        self.announce("Start", experiment);
        let request = proto::StartExperimentRequest { experiment: Some(requests::experiment(experiment)) };
        let call = |mut client: Client, request| async move { client.start_experiment(request).await };
        self.tell(experiment, line, request, call).await
    }

    pub(crate) async fn stop_experiment(&self, experiment: &Experiment, line: &Line) -> Answer {
        self.announce("Stop", experiment);
        let request = proto::StopExperimentRequest { name: name_of(experiment) };
        let call = |mut client: Client, request| async move { client.stop_experiment(request).await };
        self.tell(experiment, line, request, call).await
    }

    /// Tells the namespace's scheduler of a Server.
    pub(crate) async fn notify_server(
        self: &Arc<Self>,
        server: &Server,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let line = self.line(server, deadline).await.map_err(|(_, failure)| failure)?;
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

    /// Logs what a scheduler is about to be told.
    fn announce<K: Dispatch>(&self, verb: &str, object: &K) {
        let key = format!("{} name", K::WORD);
        let journal = self.journal.named(&format!("{verb}{}", K::KIND));
        journal.info(verb, &[(&key, json!(name_of(object)))]);
    }

    /// One call about an object; a refusal is judged.
    async fn tell<K: Dispatch, Request: Clone, T, F>(
        &self,
        object: &K,
        line: &Line,
        request: Request,
        call: impl Fn(Client, Request) -> F,
    ) -> Answer
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = self.unary(line, |client| call(client, request.clone())).await;
        answer.map(drop).map_err(|status| self.judge(object, status))
    }

    /// A failure to connect is always worth another try.
    async fn line(
        self: &Arc<Self>,
        object: &impl Kind,
        deadline: Instant,
    ) -> Result<Line, (Retryable, Failure)> {
        let connection = self.connection(&namespace_of(object)).await;
        let connection = connection.map_err(|status| (Retryable::Yes, status.into()))?;
        Ok(Line { connection, deadline })
    }

    /// One call, tried up to a hundred times while the scheduler is unavailable.
    async fn unary<T, F>(&self, line: &Line, call: impl Fn(Client) -> F) -> Result<T, GoStatus>
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
    fn judge<K: Dispatch>(&self, object: &K, status: GoStatus) -> (Retryable, Failure) {
        let code = format!("{:?}", status.code).replace("Cancelled", "Canceled");
        let name = name_of(object);
        let about = [("code", json!(code)), ("resource", json!(K::KIND)), ("resourceName", json!(name))];
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
