//! What the scheduler says of Servers becomes their count of loaded models, or their replica count.

use futures::FutureExt;
use gonet::GoStatus;
use kube::Api;
use kube::api::{Patch, PatchParams};
use seldon_crds::Server;
use seldon_proto::scheduler::server_status_response::Type;
use seldon_proto::scheduler::{KubernetesMeta, ServerStatusResponse, ServerSubscriptionRequest};
use serde_json::json;

use super::status_events::is_outdated;
use super::subscriptions::Subscription;
use super::{Client, SUBSCRIBER, Schedulers};
use crate::cluster::retry_on_conflict;
use crate::events::Tone;
use crate::failure::Failure;
use crate::journal::Journal;
use crate::scaling;

impl Schedulers {
    pub(super) async fn server_events(&self, subscription: Subscription) -> Result<(), GoStatus> {
        let journal = subscription.journal.clone();
        let open = |mut client: Client| async move {
            let request = ServerSubscriptionRequest { subscriber_name: SUBSCRIBER.to_owned() };
            client.subscribe_server_status(request).await
        };
        let handle = |event| self.server_event(&journal, event).map(Ok);
        subscription.each("event recv failed", open, handle).await
    }

    async fn server_event(&self, journal: &Journal, event: ServerStatusResponse) {
        let name = event.server_name.as_str();
        journal.info("Received event", &[("server", json!(name))]);
        let Some(meta) = &event.kubernetes_meta else {
            journal
                .info("Received server event with no k8s metadata so ignoring", &[("server", json!(name))]);
            return;
        };
        if let Err(failure) = self.cluster.get::<Server>(&meta.namespace, name).await {
            let fields = [("name", json!(name)), ("namespace", json!(meta.namespace))];
            journal.error(Some(&failure), "Failed to get server", &fields, &[]);
            return;
        }
        if let Err(failure) = retry_on_conflict(|| self.write_server(journal, &event, meta)).await {
            // The key says "model" in the original too.
            journal.error(Some(&failure), "Failed to update status", &[("model", json!(name))], &[]);
        }
    }

    async fn write_server(
        &self,
        journal: &Journal,
        event: &ServerStatusResponse,
        meta: &KubernetesMeta,
    ) -> Result<(), Failure> {
        let name = event.server_name.as_str();
        let mut server: Server = self.cluster.get(&meta.namespace, name).await?;
        if event.r#type() != Type::ScalingRequest && is_outdated(journal, &server, meta, "server") {
            return Ok(());
        }
        match event.r#type() {
            Type::StatusUpdate => {
                server.status.get_or_insert_default().loaded_models = event.num_loaded_model_replicas;
                self.update_status(&server, "Server").await
            }
            Type::ScalingRequest => self.scale(&server, event.expected_replicas).await,
            _ => Ok(()),
        }
    }

    async fn scale(&self, server: &Server, wanted: i32) -> Result<(), Failure> {
        let spec = &server.spec;
        let name = server.metadata.name.clone().unwrap_or_default();
        let bounds = scaling::validated(spec.replicas, spec.min_replicas, spec.max_replicas)
            .map_err(Failure::Refused)?;
        let allowed =
            u32::try_from(wanted).is_ok_and(|n| (bounds.min_replicas..=bounds.max_replicas).contains(&n));
        if !allowed {
            let fields = [
                ("server", json!(name)),
                ("expected replicas", json!(wanted)),
                ("min replicas", json!(bounds.min_replicas)),
                ("max replicas", json!(bounds.max_replicas)),
            ];
            // "replics" stands in the original's text too.
            let message = "Ignoring scale replicas request for server as expected replics is not valid";
            self.journal.info(message, &fields);
            return Ok(());
        }
        let namespace = server.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Server> = Api::namespaced(self.cluster.client(), namespace);
        let patch = Patch::Merge(json!({"spec": {"replicas": wanted}}));
        match api.patch(&name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let failure = Failure::from(error);
                let message = format!("Failed to patch replicas for Server \"{name}\": {failure}");
                self.recorder.event(server, Tone::Warning, "PatchFailed", &message).await;
                Err(failure)
            }
        }
    }
}
