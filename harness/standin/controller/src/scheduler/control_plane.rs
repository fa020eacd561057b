//! The scheduler asks for what it has forgotten: first the Servers, then everything else.

use std::sync::Arc;
use std::time::Duration;

use gonet::GoStatus;
use kube::ResourceExt;
use seldon_crds::{Experiment, Model, Pipeline, Server};
use seldon_proto::scheduler as proto;
use seldon_proto::scheduler::control_plane_response::Event;
use serde_json::json;
use tokio::time::Instant;
use tonic::Code;

use super::call::{Line, Retryable};
use super::subscriptions::Subscription;
use super::{SUBSCRIBER, Schedulers};
use crate::cluster::{Kind, retry_on_conflict};
use crate::dispatch::Dispatch;
use crate::failure::Failure;
use crate::journal::Journal;

/// The limit for dealing with one event (`constants.ControlPlaneExecTimeOut`).
const LIMIT: Duration = Duration::from_secs(300);

impl Schedulers {
    pub(super) async fn control_plane_events(
        self: &Arc<Self>,
        subscription: Subscription,
        namespace: &str,
    ) -> Result<(), GoStatus> {
        let (journal, connection) = (subscription.journal.clone(), subscription.connection.clone());
        let open = |mut client: super::Client| async move {
            let request = proto::ControlPlaneSubscriptionRequest { subscriber_name: SUBSCRIBER.to_owned() };
            client.subscribe_control_plane(request).await
        };
        subscription
            .each("event recv failed", open, |event| {
                let (schedulers, journal) = (self.clone(), journal.clone());
                let line =
                    Line { connection: connection.clone(), deadline: Instant::now() + self.pace.wait(LIMIT) };
                async move { schedulers.control_plane_event(&journal, event.event(), namespace, line).await }
            })
            .await
    }

    async fn control_plane_event(
        &self,
        journal: &Journal,
        event: Event,
        namespace: &str,
        line: Line,
    ) -> Result<(), GoStatus> {
        let name = event.as_str_name();
        journal.info("Received event to handle state", &[("event", json!(format!("event:{name}")))]);
        let handled = match tokio::time::timeout_at(line.deadline, self.resend(event, namespace, &line)).await
        {
            Ok(handled) => handled.map_err(into_status),
            Err(_) => Err(GoStatus::new(Code::DeadlineExceeded, "Failed to send event within timeout")),
        };
        match handled {
            Ok(()) => journal.info("Handled state on reconnect", &[]),
            Err(ref status) => journal.error(Some(status), "Failed to handle state on reconnect", &[], &[]),
        }
        handled
    }

    async fn resend(&self, event: Event, namespace: &str, line: &Line) -> Result<(), Failure> {
        let said =
            |what: &'static str| move |failure: &Failure| self.journal.error(Some(failure), what, &[], &[]);
        match event {
            Event::SendServers => self
                .resend_servers(namespace, line)
                .await
                .inspect_err(said("Failed to send registered server to scheduler")),
            Event::SendResources => {
                let experiments = self.resend_experiments(namespace, line).await;
                experiments.inspect_err(said("Failed to send experiments to scheduler"))?;
                let pipelines = self.resend_pipelines(namespace, line).await;
                pipelines.inspect_err(said("Failed to send pipelines to scheduler"))?;
                let models = self.resend_models(namespace, line).await;
                models.inspect_err(said("Failed to send models to scheduler"))
            }
            Event::UnknownEvent => {
                let name = event.as_str_name();
                self.journal.info("Unknown operation", &[("operation", json!(name))]);
                Err(Failure::Refused(format!("Unknown operation {name}")))
            }
        }
    }

    async fn resend_servers(&self, namespace: &str, line: &Line) -> Result<(), Failure> {
        let servers: Vec<Server> = self.cluster.list(namespace).await?;
        self.notify_servers_on(&servers, true, line).await
    }

    async fn resend_experiments(&self, namespace: &str, line: &Line) -> Result<(), Failure> {
        let mut client = line.connection.client().await?;
        let request = proto::ExperimentStatusRequest { subscriber_name: SUBSCRIBER.to_owned(), name: None };
        let known = count(client.experiment_status(request).await).await?;
        self.resend_unless::<Experiment>(known, namespace, line).await
    }

    async fn resend_pipelines(&self, namespace: &str, line: &Line) -> Result<(), Failure> {
        let mut client = line.connection.client().await?;
        let request =
            proto::PipelineStatusRequest { subscriber_name: SUBSCRIBER.to_owned(), ..Default::default() };
        let known = count(client.pipeline_status(request).await).await?;
        self.resend_unless::<Pipeline>(known, namespace, line).await
    }

    /// Only when the scheduler has none at all.
    async fn resend_unless<K: Dispatch>(
        &self,
        known: usize,
        namespace: &str,
        line: &Line,
    ) -> Result<(), Failure> {
        if known > 0 {
            return Ok(());
        }
        let (leaving, staying) = parted(self.cluster.list::<K>(namespace).await?);
        for object in &staying {
            if let Err((Retryable::Yes, failure)) = object.load(self, line).await {
                return Err(failure);
            }
        }
        for object in &leaving {
            self.release(object).await?;
        }
        Ok(())
    }

    /// Models that are being deleted are unloaded, all others loaded.
    async fn resend_models(&self, namespace: &str, line: &Line) -> Result<(), Failure> {
        let (leaving, staying) = parted(self.cluster.list::<Model>(namespace).await?);
        for object in &leaving {
            match self.unload_model(object, line).await {
                Ok(()) => {
                    let message = "Unload model called successfully, not removing finalizer";
                    self.journal.info(message, &[("model", json!(object.name_any()))]);
                }
                Err((Retryable::Yes, failure)) => {
                    let fields = [("model", json!(object.name_any()))];
                    self.journal.error(Some(&failure), "Failed to call unload model", &fields, &[]);
                    return Err(failure);
                }
                Err((Retryable::No, _)) => self.release(object).await?,
            }
        }
        for object in &staying {
            if let Err((retryable, failure)) = self.load_model(object, line).await {
                let fields = [("model", json!(object.name_any()))];
                self.journal.error(Some(&failure), "Failed to call load model", &fields, &[]);
                if retryable == Retryable::Yes {
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    async fn release<K: Dispatch>(&self, object: &K) -> Result<(), Failure> {
        retry_on_conflict(|| async {
            self.cluster.let_go(object.clone(), K::FINALIZER).await?;
            self.journal.info("Removed finalizer", &[(K::WORD, json!(object.name_any()))]);
            Ok(())
        })
        .await
    }
}

/// Those being deleted, and the rest.
fn parted<K: Kind>(objects: Vec<K>) -> (Vec<K>, Vec<K>) {
    objects.into_iter().partition(|object| object.meta().deletion_timestamp.is_some())
}

async fn count<T>(
    answer: Result<tonic::Response<tonic::Streaming<T>>, tonic::Status>,
) -> Result<usize, GoStatus> {
    let in_go = |status: tonic::Status| GoStatus::from_tonic(&status);
    let mut stream = answer.map_err(in_go)?.into_inner();
    let mut count = 0;
    while stream.message().await.map_err(in_go)?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn into_status(failure: Failure) -> GoStatus {
    match failure {
        Failure::Scheduler(status) => status,
        other => GoStatus::new(Code::Unknown, other.to_string()),
    }
}
