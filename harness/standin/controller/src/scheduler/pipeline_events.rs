//! What the scheduler says of Pipelines becomes their status. The scheduler's text goes into the message.

use futures::FutureExt;
use gonet::GoStatus;
use seldon_crds::{ConditionStatus, Pipeline};
use seldon_proto::scheduler::pipeline_version_state::PipelineStatus;
use seldon_proto::scheduler::{
    KubernetesMeta, PipelineStatusResponse, PipelineSubscriptionRequest, PipelineVersionState,
};
use serde_json::json;

use super::status_events::is_outdated;
use super::subscriptions::Subscription;
use super::{Client, SUBSCRIBER, Schedulers};
use crate::cluster::retry_on_conflict;
use crate::condition_set::{self, Texts};
use crate::failure::Failure;
use crate::journal::Journal;

impl Schedulers {
    pub(super) async fn pipeline_events(&self, subscription: Subscription) -> Result<(), GoStatus> {
        let journal = subscription.journal.clone();
        let open = |mut client: Client| async move {
            let request = PipelineSubscriptionRequest { subscriber_name: SUBSCRIBER.to_owned() };
            client.subscribe_pipeline_status(request).await
        };
        let handle = |event| self.pipeline_event(&journal, event).map(Ok);
        subscription.each("failed to receive pipeline event", open, handle).await
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
            self.release_deleted::<Pipeline>(journal, name, &meta.namespace).await;
        }
        if let Err(failure) =
            retry_on_conflict(|| self.write_pipeline_status(journal, name, meta, &state)).await
        {
            journal.error(Some(&failure), "Failed to update status", &[("pipeline", json!(name))], &[]);
        }
    }

    async fn write_pipeline_status(
        &self,
        journal: &Journal,
        name: &str,
        meta: &KubernetesMeta,
        state: &PipelineVersionState,
    ) -> Result<(), Failure> {
        let mut pipeline: Pipeline = self.cluster.get(&meta.namespace, name).await?;
        if is_outdated(journal, &pipeline, meta, "server") {
            return Ok(());
        }
        let ready = state.status() == PipelineStatus::PipelineReady;
        let said = if ready { "Setting pipeline to ready" } else { "Setting pipeline to not ready" };
        journal.info(said, &[("pipeline", json!(name)), ("generation", json!(meta.generation))]);
        let conditions = &mut pipeline.status.get_or_insert_default().conditions;
        let mut mark = |kind, holds: bool, texts| {
            let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
            condition_set::PIPELINE.mark(conditions, kind, status, texts);
        };
        mark("PipelineReady", ready, Texts { message: &state.reason, reason: state.status().as_str_name() });
        let models =
            if state.models_ready { "Models all available" } else { "Some models are not available" };
        mark("ModelsReady", state.models_ready, Texts { message: models, reason: "" });
        self.update_status(&pipeline, "pipeline").await
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
