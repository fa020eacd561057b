//! What the scheduler says of Models becomes their status.

use futures::FutureExt;
use gonet::GoStatus;
use seldon_crds::{ConditionStatus, Model};
use seldon_proto::scheduler::model_status::ModelState;
use seldon_proto::scheduler::{KubernetesMeta, ModelStatus, ModelStatusResponse};
use serde_json::json;

use super::status_events::is_outdated;
use super::subscriptions::{Subscription, models};
use super::{Client, Schedulers};
use crate::cluster::retry_on_conflict;
use crate::condition_set::{self, Texts};
use crate::events::Turn;
use crate::failure::Failure;
use crate::journal::Journal;

impl Schedulers {
    pub(super) async fn model_events(&self, subscription: Subscription) -> Result<(), GoStatus> {
        let journal = subscription.journal.clone();
        let open = |mut client: Client| async move { client.subscribe_model_status(models()).await };
        let handle = |event| self.model_event(&journal, event).map(Ok);
        subscription.each("event recv failed", open, handle).await
    }

    async fn model_event(&self, journal: &Journal, event: ModelStatusResponse) {
        let name = event.model_name.as_str();
        let Some(version) = event.versions.first() else {
            let fields = [("numVersions", json!(0)), ("name", json!(name))];
            journal.info("Expected a single model version", &fields);
            return;
        };
        let Some(meta) = &version.kubernetes_meta else {
            journal.info("Ignoring event with no Kubernetes metadata.", &[("model", json!(name))]);
            return;
        };
        let status = version.state.clone().unwrap_or_default();
        let fields = [
            ("name", json!(name)),
            ("version", json!(version.version)),
            ("generation", json!(meta.generation)),
            ("state", json!(status.state().as_str_name())),
            ("reason", json!(status.reason)),
        ];
        journal.info("Received event", &fields);
        if ends_a_model(status.state()) {
            self.release_deleted::<Model>(journal, name, &meta.namespace).await;
        }
        let written =
            retry_on_conflict(|| self.write_model_status(journal, name, meta, &status, &version.server_name))
                .await;
        if let Err(failure) = written {
            journal.error(Some(&failure), "Failed to update status", &[("model", json!(name))], &[]);
        }
    }

    async fn write_model_status(
        &self,
        journal: &Journal,
        name: &str,
        meta: &KubernetesMeta,
        status: &ModelStatus,
        server: &str,
    ) -> Result<(), Failure> {
        let mut model: Model = self.cluster.get(&meta.namespace, name).await?;
        if is_outdated(journal, &model, meta, "model") {
            return Ok(());
        }
        let before = model.status.clone().unwrap_or_default();
        let mut after = before.clone();
        let available = status.state() == ModelState::ModelAvailable;
        let said = if available { "Setting model to ready" } else { "Setting model to not ready" };
        journal.info(said, &[("name", json!(name)), ("state", json!(status.state().as_str_name()))]);
        let verdict = if available { ConditionStatus::True } else { ConditionStatus::False };
        let texts = Texts { message: status.state().as_str_name(), reason: &status.reason };
        condition_set::MODEL.mark(&mut after.conditions, "ModelReady", verdict, texts);
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        after.replicas = count(status.available_replicas.saturating_add(status.unavailable_replicas));
        after.available_replicas = count(status.available_replicas);
        after.selector = format!("server={server}");
        if before == after {
            return Ok(());
        }
        let turn = Turn::between(&before.conditions, &after.conditions);
        model.status = Some(after);
        self.update_status(&model, "Model").await?;
        let subject = format!("Model [{name}]");
        self.recorder.turned(&model, turn, &subject, ["ModelReady", "ModelNotReady"]).await;
        Ok(())
    }
}

/// States in which a Model that is being deleted may go.
fn ends_a_model(state: ModelState) -> bool {
    matches!(
        state,
        ModelState::ModelTerminated
            | ModelState::ModelTerminateFailed
            | ModelState::ModelFailed
            | ModelState::Unknown
            | ModelState::ScheduleFailed
    )
}
