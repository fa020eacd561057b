//! The Server controller.

mod workload;

pub(crate) use workload::{claims, merged, typed};

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use seldon_crds::{ConditionStatus, Server, ServerConfig, ServerStatus};
use serde_json::json;

use crate::cluster::Cluster;
use crate::condition_set::{self, Texts};
use crate::events::{Recorder, Turn};
use crate::failure::Failure;
use crate::owned::{self, Outcome};
use crate::scheduler::Schedulers;
use crate::work_queue::{Context, Reconcile, Request};

/// Label that all replica Services of a Server share.
const REPLICA_LABEL: &str = "seldon-server-replica";

/// Makes Servers' pods.
pub(crate) struct ServerReconciler {
    pub(crate) cluster: Cluster,
    pub(crate) schedulers: Arc<Schedulers>,
    pub(crate) recorder: Recorder,
    /// The operator's own namespace, the only one where configurations are looked for.
    pub(crate) home: String,
}

impl Reconcile for ServerReconciler {
    const CONTROLLER: &'static str = "server";
    const KIND: &'static str = "Server";

    async fn reconcile(&self, request: &Request, context: &Context) -> Result<(), Failure> {
        let journal = context.journal.named("Reconcile");
        let named = [("name", json!(request.name)), ("namespace", json!(request.namespace))];
        journal.info("Received reconcile for Server", &named);
        let server: Server = match self.cluster.get(&request.namespace, &request.name).await {
            Ok(server) => server,
            Err(failure) if failure.is_not_found() => {
                journal.error(Some(&failure), "server not found, ignoring error", &named, &[]);
                return Ok(());
            }
            Err(failure) => {
                journal.error(Some(&failure), "unable to fetch Server", &named, &[]);
                return Err(failure);
            }
        };
        journal.info("Found server", &named);
        if server.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        match self.bring_about(&server, context).await {
            Ok(status) => self.write_status(server, status).await,
            Err(failure) => {
                self.write_error(server, &failure, context).await;
                Err(failure)
            }
        }
    }
}

impl ServerReconciler {
    /// The scheduler first, then Services, then the StatefulSet: without a scheduler no pod appears.
    async fn bring_about(&self, server: &Server, context: &Context) -> Result<ServerStatus, Failure> {
        self.schedulers.notify_server(server, context.deadline).await?;
        let config: ServerConfig = self.cluster.get(&self.home, &server.spec.server_config).await?;
        let replicas = server.spec.replicas.unwrap_or(1);
        let wanted = workload::stateful_set(server, &config, replicas)?;
        self.keep_services(server, replicas).await?;
        let ready_replicas = match owned::keep(&self.cluster, wanted).await? {
            Outcome::Created => 0,
            Outcome::Unchanged(found) | Outcome::Updated(found, _) => ready_replicas(&found),
        };
        let (ready, reason) = if ready_replicas >= replicas {
            (ConditionStatus::True, "StatefulSet replicas matches desired replicas")
        } else {
            (ConditionStatus::False, "StatefulSet replicas does not match desired replicas")
        };
        let mut status = server.status.clone().unwrap_or_default();
        let texts = Texts { message: "", reason };
        condition_set::SERVER.mark(&mut status.conditions, "StatefulSetReady", ready, texts);
        status.selector = format!("seldon-server-name={}", server.name_any());
        status.replicas = replicas;
        Ok(status)
    }

    /// One headless Service per replica; the highest ones go when the Server shrinks.
    async fn keep_services(&self, server: &Server, replicas: i32) -> Result<(), Failure> {
        let (name, namespace) = (server.name_any(), server.namespace().unwrap_or_default());
        let selector = format!("{REPLICA_LABEL}={name}");
        let found = self.cluster.list_labelled::<Service>(&namespace, &selector).await?;
        let count = i32::try_from(found.len()).unwrap_or(i32::MAX);
        for index in replicas..count {
            self.cluster.delete::<Service>(&namespace, &format!("{name}-{index}")).await?;
        }
        for index in 0..replicas {
            let wanted = workload::replica_service(server, index)?;
            owned::keep_by(&self.cluster, wanted, owned::same_spec).await?;
        }
        Ok(())
    }

    async fn write_status(&self, mut server: Server, after: ServerStatus) -> Result<(), Failure> {
        let before = server.status.clone().unwrap_or_default();
        if server.status.is_some() && before == after {
            return Ok(());
        }
        let turn = Turn::between(&before.conditions, &after.conditions);
        server.status = Some(after);
        if let Err(failure) = self.cluster.update_status(&server).await {
            // It says "Model" in the original too.
            self.recorder.update_failed(&server, "Model", &failure).await;
            return Err(failure);
        }
        let subject = format!("Server {}", server.name_any());
        self.recorder.turned(&server, turn, &subject, ["ServerReady", "ServerNotReady"]).await;
        Ok(())
    }

    async fn write_error(&self, mut server: Server, failure: &Failure, context: &Context) {
        let text = failure.to_string();
        let conditions = &mut server.status.get_or_insert_default().conditions;
        let texts = Texts { message: "", reason: &text };
        condition_set::SERVER.mark(conditions, "StatefulSetReady", ConditionStatus::False, texts);
        let unwritten = "Failed to set status for server on error";
        context.write_failed(&self.cluster, &server, unwritten, "server", &text).await;
    }
}

fn ready_replicas(found: &StatefulSet) -> i32 {
    found.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}
