//! What the scheduler says of Pipelines becomes their status. The scheduler's text goes into the message.

use std::sync::Arc;

use gonet::GoStatus;
use seldon_crds::{ConditionStatus, Pipeline};
use seldon_proto::scheduler::pipeline_version_state::PipelineStatus;
use seldon_proto::scheduler::{
    KubernetesMeta, PipelineStatusResponse, PipelineSubscriptionRequest, PipelineVersionState,
};
use serde_json::json;

use super::subscriptions::Subscription;
use super::{SUBSCRIBER, Schedulers};
use crate::cluster::retry_on_conflict;
use crate::condition_set::{self, Texts};
use crate::events::Tone;
use crate::failure::Failure;
use crate::journal::Journal;
use crate::pipeline::FINALIZER;

impl Schedulers {
    pub(super) async fn pipeline_events(
        self: &Arc<Self>,
        subscription: Subscription,
    ) -> Result<(), GoStatus> {
        let journal = subscription.journal.clone();
        let open = |mut client: super::Client| async move {
            let request = PipelineSubscriptionRequest { subscriber_name: SUBSCRIBER.to_owned() };
            client.subscribe_pipeline_status(request).await
        };
        subscription
            .each("failed to receive pipeline event", open, |event| {
                let (schedulers, journal) = (self.clone(), journal.clone());
                async move {
                    schedulers.pipeline_event(&journal, event).await;
                    Ok(())
                }
            })
            .await
    }

    async fn pipeline_event(&self, journal: &Journal, event: PipelineStatusResponse) {
        let name = event.pipeline_name.as_str();
        let [version] = event.versions.as_slice() else {
            let fields = [("numVersions", json!(event.versions.len())), ("pipeline", json!(name))];
            journal.info("Unexpected number of pipeline versions", &fields);
            return;
        };
        let Some(meta) = version.pipeline.as_ref().and_then(|pipeline| pipeline.kubernetes_meta.as_ref())
        else {
            let message = "Received pipeline event with no k8s metadata so ignoring";
            journal.info(message, &[("pipeline", json!(name))]);
            return;
        };
        let state = version.state.clone().unwrap_or_default();
        let fields = [
            ("pipeline", json!(name)),
            ("generation", json!(meta.generation)),
            ("version", json!(version.pipeline.as_ref().map(|pipeline| pipeline.version))),
            ("State", json!(prototext(&state))),
        ];
        journal.info("Received event", &fields);
        if !matches!(state.status(), PipelineStatus::PipelineTerminate | PipelineStatus::PipelineTerminating)
        {
            let removed = retry_on_conflict(|| self.release_pipeline(journal, name, &meta.namespace)).await;
            if let Err(failure) = removed {
                journal.error(Some(&failure), "Failed to remove finalizer after retries", &[], &[]);
            }
        }
        if let Err(failure) =
            retry_on_conflict(|| self.write_pipeline_status(journal, name, meta, &state)).await
        {
            journal.error(Some(&failure), "Failed to update status", &[("pipeline", json!(name))], &[]);
        }
    }

    /// Lets a Pipeline go that is being deleted.
    async fn release_pipeline(&self, journal: &Journal, name: &str, namespace: &str) -> Result<(), Failure> {
        let mut pipeline: Pipeline = self.cluster.get(namespace, name).await?;
        if pipeline.metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        pipeline.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
        self.cluster.update(&pipeline).await.map(drop).inspect_err(|failure| {
            journal.error(Some(failure), "Failed to remove finalizer", &[("pipeline", json!(name))], &[]);
        })
    }

    async fn write_pipeline_status(
        &self,
        journal: &Journal,
        name: &str,
        meta: &KubernetesMeta,
        state: &PipelineVersionState,
    ) -> Result<(), Failure> {
        let mut pipeline: Pipeline = self.cluster.get(&meta.namespace, name).await?;
        let generation = pipeline.metadata.generation.unwrap_or_default();
        if generation != meta.generation {
            let fields = [
                ("currentGeneration", json!(generation)),
                ("eventGeneration", json!(meta.generation)),
                ("server", json!(name)),
            ];
            journal.info("Ignoring event for old generation", &fields);
            return Ok(());
        }
        let ready = state.status() == PipelineStatus::PipelineReady;
        let said = if ready { "Setting pipeline to ready" } else { "Setting pipeline to not ready" };
        journal.info(said, &[("pipeline", json!(name)), ("generation", json!(generation))]);
        let conditions = &mut pipeline.status.get_or_insert_default().conditions;
        let mut mark = |kind, holds: bool, texts| {
            let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
            condition_set::PIPELINE.mark(conditions, kind, status, texts);
        };
        mark("PipelineReady", ready, Texts { message: &state.reason, reason: state.status().as_str_name() });
        let models =
            if state.models_ready { "Models all available" } else { "Some models are not available" };
        mark("ModelsReady", state.models_ready, Texts { message: models, reason: "" });
        self.update_pipeline_status(&pipeline).await
    }

    /// Writes a Pipeline's status.
    pub(crate) async fn update_pipeline_status(&self, pipeline: &Pipeline) -> Result<(), Failure> {
        let Err(failure) = self.cluster.update_status(pipeline).await else { return Ok(()) };
        let name = pipeline.metadata.name.as_deref().unwrap_or_default();
        let message = format!("Failed to update status for pipeline \"{name}\": {failure}");
        self.recorder.event(pipeline, Tone::Warning, "UpdateFailed", &message).await;
        Err(failure)
    }
}

/// A state as Go prints a protobuf message.
fn prototext(state: &PipelineVersionState) -> String {
    let mut parts = Vec::new();
    if state.pipeline_version != 0 {
        parts.push(format!("pipelineVersion:{}", state.pipeline_version));
    }
    if state.status != 0 {
        parts.push(format!("status:{}", state.status().as_str_name()));
    }
    if !state.reason.is_empty() {
        parts.push(format!("reason:{}", json!(state.reason)));
    }
    if let Some(time) = &state.last_change_timestamp {
        parts.push(format!("lastChangeTimestamp:{{seconds:{} nanos:{}}}", time.seconds, time.nanos));
    }
    if state.models_ready {
        parts.push("modelsReady:true".to_owned());
    }
    parts.join("  ")
}
