//! The client of the schedulers: one connection per namespace, made on demand.

mod call;
mod control_plane;
mod experiment_events;
mod model_events;
mod pipeline_events;
mod requests;
mod server_events;
mod status_events;
mod subscriptions;

use std::collections::HashMap;
use std::sync::Arc;

use gonet::{ClientConn, ConnectOptions, GoStatus, KeepAlive};
use pace::Pace;
use seldon_proto::scheduler as proto;
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::cluster::Cluster;
use crate::events::Recorder;
use crate::failure::Failure;
use crate::journal::Journal;

pub(crate) use call::{Line, Retryable};

/// The name under which the operator subscribes.
const SUBSCRIBER: &str = "seldon manager";

/// The client of all schedulers.
pub(crate) struct Schedulers {
    cluster: Cluster,
    journal: Journal,
    recorder: Recorder,
    pace: Pace,
    port: u16,
    options: ConnectOptions,
    connections: Mutex<HashMap<String, Connection>>,
}

/// One namespace's connection. Closing it ends every call on it, as in grpc-go.
#[derive(Clone)]
struct Connection {
    conn: ClientConn,
    closed: CancellationToken,
}

/// The generated client.
type Client = proto::scheduler_client::SchedulerClient<Channel>;

impl Connection {
    /// A client on the connection, waiting for the first attempt to connect.
    async fn client(&self) -> Result<Client, GoStatus> {
        if self.closed.is_cancelled() {
            return Err(GoStatus::closing());
        }
        let channel = self.conn.channel().await?;
        Ok(Client::new(channel).max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX))
    }
}

/// The only name under which a scheduler is looked for.
fn host(namespace: &str) -> String {
    format!("seldon-scheduler.{namespace}")
}

impl Schedulers {
    /// Nothing is dialled yet. The plaintext port of 2.9.1 is 9004.
    pub(crate) fn new(
        cluster: Cluster,
        journal: &Journal,
        pace: Pace,
        port: u16,
        options: ConnectOptions,
    ) -> Arc<Schedulers> {
        let recorder = Recorder::new(cluster.clone(), "scheduler-client");
        let journal = journal.named("schedulerClient");
        let connections = Mutex::default();
        let options = options.with_keepalive(KeepAlive::SELDON);
        Arc::new(Schedulers { cluster, journal, recorder, pace, port, options, connections })
    }

    /// The namespace's connection, made and tested now when there is none.
    ///
    /// One lock covers making and testing for *all* namespaces: a silent scheduler of one tenant makes the others
    /// wait.
    async fn connection(self: &Arc<Self>, namespace: &str) -> Result<Connection, GoStatus> {
        let mut connections = self.connections.lock().await;
        if let Some(connection) = connections.get(namespace) {
            return Ok(connection.clone());
        }
        let connection = self.dial(namespace);
        if let Err(status) = self.smoke_test(&connection).await {
            self.journal.info("Failed smoke test on scheduler", &[("namespace", json!(namespace))]);
            return Err(status);
        }
        self.start_subscriptions(namespace, &connection);
        connections.insert(namespace.to_owned(), connection.clone());
        Ok(connection)
    }

    /// "Connected" is logged although nothing is dialled before the first call.
    fn dial(&self, namespace: &str) -> Connection {
        let (host, port) = (host(namespace), self.port);
        let target = [("host", json!(host)), ("port", json!(port))];
        self.journal.info("connect to scheduler", &[("protocol", json!("PLAINTEXT"))]);
        self.journal.info("Running scheduler client in plain text mode", &[("port", json!(port))]);
        self.journal.info("Dialing scheduler", &target);
        let conn = ClientConn::new(&host, port, self.options.clone());
        self.journal.info("Connected to scheduler", &target);
        Connection { conn, closed: CancellationToken::new() }
    }

    /// Opens a model subscription that nobody will ever read or end.
    async fn smoke_test(&self, connection: &Connection) -> Result<(), GoStatus> {
        let mut client = connection.client().await?;
        let closed = connection.closed.clone();
        tokio::spawn(async move {
            let unread = tokio::select! {
                () = closed.cancelled() => return,
                opened = client.subscribe_model_status(subscriptions::models()) => opened,
            };
            if unread.is_ok() {
                closed.cancelled().await;
            }
        });
        Ok(())
    }

    /// Closes a namespace's connection. Its five subscriptions go on for ever and log that it is closing.
    pub(crate) async fn remove_connection(&self, namespace: &str) {
        if let Some(connection) = self.connections.lock().await.remove(namespace) {
            connection.conn.close();
            connection.closed.cancel();
        }
    }
}

/// Whether an object asked for what the scheduler will never grant.
pub(crate) type Answer = Result<(), (Retryable, Failure)>;
