//! The five endless subscriptions of a connection, and how they are taken up again.

use std::sync::Arc;

use gonet::{BackOff, GoStatus};
use seldon_proto::scheduler as proto;
use serde_json::json;
use tonic::{Response, Status, Streaming};

use super::{Client, Connection, SUBSCRIBER, Schedulers};
use crate::backoff::shorten;
use crate::journal::{Frame, Journal};

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Models,
    Servers,
    Pipelines,
    Experiments,
    ControlPlane,
}

impl Subject {
    const ALL: [Subject; 5] =
        [Subject::Models, Subject::Servers, Subject::Pipelines, Subject::Experiments, Subject::ControlPlane];

    /// Name of the logger.
    fn logger(self) -> &'static str {
        match self {
            Subject::Models => "SubscribeModelEvents",
            Subject::Servers => "SubscribeServerEvents",
            Subject::Pipelines => "SubscribePipelineEvents",
            Subject::Experiments => "SubscribeExperimentEvents",
            Subject::ControlPlane => "SubscribeControlPlaneEvents",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Subject::Models => "model",
            Subject::Servers => "server",
            Subject::Pipelines => "pipeline",
            Subject::Experiments => "experiment",
            Subject::ControlPlane => "control plane",
        }
    }
}

impl Schedulers {
    /// Starts the five. Nothing ever stops them, not even the end of their connection.
    pub(super) fn start_subscriptions(self: &Arc<Self>, namespace: &str, connection: &Connection) {
        self.journal.info("Starting event handling", &[("namespace", json!(namespace))]);
        for subject in Subject::ALL {
            let (schedulers, namespace, connection) =
                (self.clone(), namespace.to_owned(), connection.clone());
            tokio::spawn(async move {
                loop {
                    schedulers.until_it_ends_well(subject, &namespace, &connection).await;
                    let message = format!("Subscribe ended for {} events", subject.words());
                    schedulers.journal.info(&message, &[("namespace", json!(namespace))]);
                }
            });
        }
    }

    /// Subscribes again and again until the scheduler ends a stream without an error.
    async fn until_it_ends_well(
        self: &Arc<Self>,
        subject: Subject,
        namespace: &str,
        connection: &Connection,
    ) {
        let journal = self.journal.named(subject.logger());
        journal.info("Retrying to connect", &[("namespace", json!(namespace))]);
        // Never put back by success: a stream that lived for hours is taken up again after the wait it had reached.
        let mut waits = BackOff::SELDON_SUBSCRIPTION.waits();
        while let Err(status) = self.subscribe(subject, &journal, namespace, connection).await {
            journal.error(Some(&status), "Scheduler not ready", &[], NOT_READY_STACK);
            tokio::time::sleep(shorten(self.pace, waits.next_wait())).await;
        }
    }

    async fn subscribe(
        self: &Arc<Self>,
        subject: Subject,
        journal: &Journal,
        namespace: &str,
        connection: &Connection,
    ) -> Result<(), GoStatus> {
        let client = connection.client().await?;
        let line = Subscription { journal: journal.clone(), connection: connection.clone(), client };
        match subject {
            Subject::Models => self.model_events(line).await,
            Subject::Servers => self.server_events(line).await,
            Subject::Pipelines => self.pipeline_events(line).await,
            Subject::Experiments => self.experiment_events(line).await,
            Subject::ControlPlane => self.control_plane_events(line, namespace).await,
        }
    }
}

/// A subscription about to be opened.
pub(super) struct Subscription {
    pub(super) journal: Journal,
    pub(super) connection: Connection,
    pub(super) client: Client,
}

impl Subscription {
    /// Opens a stream and hands its messages over, one by one, until it ends.
    ///
    /// Opening counts as receiving: a Go client has its stream before the server has said anything.
    pub(super) async fn each<T, Open, Handle>(
        self,
        lost: &str,
        open: impl FnOnce(Client) -> Open,
        mut handle: impl FnMut(T) -> Handle,
    ) -> Result<(), GoStatus>
    where
        Open: Future<Output = Result<Response<Streaming<T>>, Status>>,
        Handle: Future<Output = Result<(), GoStatus>>,
    {
        let closed = self.connection.closed.clone();
        let received = async {
            let mut stream = tokio::select! {
                () = closed.cancelled() => return Err(Lost::Stream(GoStatus::closing())),
                opened = open(self.client) => opened.map_err(Lost::from)?.into_inner(),
            };
            loop {
                let message = tokio::select! {
                    () = closed.cancelled() => return Err(Lost::Stream(GoStatus::closing())),
                    message = stream.message() => message.map_err(Lost::from)?,
                };
                let Some(message) = message else { return Ok(()) };
                handle(message).await.map_err(Lost::Handler)?;
            }
        };
        received.await.map_err(|error| match error {
            Lost::Stream(status) => {
                self.journal.error(Some(&status), lost, &[], &[]);
                status
            }
            Lost::Handler(status) => status,
        })
    }
}

/// Why a subscription ended.
enum Lost {
    /// The stream broke.
    Stream(GoStatus),
    /// A message could not be dealt with.
    Handler(GoStatus),
}

impl From<Status> for Lost {
    fn from(status: Status) -> Lost {
        Lost::Stream(GoStatus::from_tonic(&status))
    }
}

/// The request of the model subscription.
pub(super) fn models() -> proto::ModelSubscriptionRequest {
    proto::ModelSubscriptionRequest { subscriber_name: SUBSCRIBER.to_owned() }
}

const NOT_READY_STACK: &[Frame] = &[
    (
        "github.com/seldonio/seldon-core/operator/v2/scheduler.retryFn.func1",
        "github.com/seldonio/seldon-core/operator/v2/scheduler/client.go:322",
    ),
    (
        "github.com/cenkalti/backoff/v4.doRetryNotify[...]",
        "github.com/cenkalti/backoff/v4@v4.3.0/retry.go:107",
    ),
    (
        "github.com/cenkalti/backoff/v4.RetryNotifyWithTimer",
        "github.com/cenkalti/backoff/v4@v4.3.0/retry.go:61",
    ),
    ("github.com/cenkalti/backoff/v4.RetryNotify", "github.com/cenkalti/backoff/v4@v4.3.0/retry.go:49"),
    (
        "github.com/seldonio/seldon-core/operator/v2/scheduler.retryFn",
        "github.com/seldonio/seldon-core/operator/v2/scheduler/client.go:329",
    ),
];
