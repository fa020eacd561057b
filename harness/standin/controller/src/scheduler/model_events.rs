//! What the scheduler says of Models becomes their status.

use std::sync::Arc;

use gonet::GoStatus;
use seldon_crds::{ConditionStatus, Model};
use seldon_proto::scheduler::model_status::ModelState;
use seldon_proto::scheduler::{KubernetesMeta, ModelStatus, ModelVersionStatus};
use serde_json::json;

use super::Schedulers;
use super::subscriptions::{Subscription, models};
use crate::cluster::retry_on_conflict;
use crate::condition_set::{self, Texts, is_ready};
use crate::events::Tone;
use crate::failure::Failure;
use crate::journal::Journal;
use crate::model::FINALIZER;

impl Schedulers {
    pub(super) async fn model_events(self: &Arc<Self>, subscription: Subscription) -> Result<(), GoStatus> {
        let journal = subscription.journal.clone();
        let open = |mut client: super::Client| async move { client.subscribe_model_status(models()).await };
        subscription
            .each("event recv failed", open, |event| {
                let (schedulers, journal) = (self.clone(), journal.clone());
                async move {
                    let Some(latest) = event.versions.first() else {
                        let fields = [("numVersions", json!(0)), ("name", json!(event.model_name))];
                        journal.info("Expected a single model version", &fields);
                        return Ok(());
                    };
                    match &latest.kubernetes_meta {
                        None => journal.info(
                            "Ignoring event with no Kubernetes metadata.",
                            &[("model", json!(event.model_name))],
                        ),
                        Some(meta) => schedulers.model_event(&journal, &event.model_name, meta, latest).await,
                    }
                    Ok(())
                }
            })
            .await
    }

    async fn model_event(
        &self,
        journal: &Journal,
        name: &str,
        meta: &KubernetesMeta,
        version: &ModelVersionStatus,
    ) {
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
            let removed = retry_on_conflict(|| self.release_model(journal, name, &meta.namespace)).await;
            if let Err(failure) = removed {
                journal.error(Some(&failure), "Failed to remove finalizer after retries", &[], &[]);
            }
        }
        let written =
            retry_on_conflict(|| self.write_model_status(journal, name, meta, &status, &version.server_name))
                .await;
        if let Err(failure) = written {
            journal.error(Some(&failure), "Failed to update status", &[("model", json!(name))], &[]);
        }
    }

    /// Lets a Model go that is being deleted.
    async fn release_model(&self, journal: &Journal, name: &str, namespace: &str) -> Result<(), Failure> {
        let mut model: Model = self.cluster.get(namespace, name).await?;
        if model.metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        model.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
        self.cluster.update(&model).await.map(drop).inspect_err(|failure| {
            journal.error(Some(failure), "Failed to remove finalizer", &[("model", json!(name))], &[]);
        })
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
        let generation = model.metadata.generation.unwrap_or_default();
        if generation != meta.generation {
            let fields = [
                ("currentGeneration", json!(generation)),
                ("eventGeneration", json!(meta.generation)),
                ("model", json!(name)),
            ];
            journal.info("Ignoring event for old generation", &fields);
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
        let (was_ready, is_ready) = (is_ready(&before.conditions), is_ready(&after.conditions));
        model.status = Some(after);
        if let Err(failure) = self.cluster.update_status(&model).await {
            let message = format!("Failed to update status for Model \"{name}\": {failure}");
            self.recorder.event(&model, Tone::Warning, "UpdateFailed", &message).await;
            return Err(failure);
        }
        match (was_ready, is_ready) {
            (true, false) => {
                let message = format!("Model [{name}] is no longer Ready");
                self.recorder.event(&model, Tone::Warning, "ModelNotReady", &message).await;
            }
            (false, true) => {
                let message = format!("Model [{name}] is Ready");
                self.recorder.event(&model, Tone::Normal, "ModelReady", &message).await;
            }
            _ => {}
        }
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
