//! What the scheduler says of Experiments becomes their status. Texts go into the reason.

use futures::FutureExt;
use gonet::GoStatus;
use seldon_crds::{ConditionStatus, Experiment};
use seldon_proto::scheduler::{ExperimentStatusResponse, ExperimentSubscriptionRequest, KubernetesMeta};
use serde_json::json;

use super::status_events::is_outdated;
use super::subscriptions::Subscription;
use super::{Client, SUBSCRIBER, Schedulers};
use crate::cluster::retry_on_conflict;
use crate::condition_set::{self, Texts};
use crate::failure::Failure;
use crate::journal::Journal;

impl Schedulers {
    pub(super) async fn experiment_events(&self, subscription: Subscription) -> Result<(), GoStatus> {
        let journal = subscription.journal.clone();
        let open = |mut client: Client| async move {
            let request = ExperimentSubscriptionRequest { subscriber_name: SUBSCRIBER.to_owned() };
            client.subscribe_experiment_status(request).await
        };
        let handle = |event| self.experiment_event(&journal, event).map(Ok);
        subscription.each("event recv failed", open, handle).await
    }

    async fn experiment_event(&self, journal: &Journal, event: ExperimentStatusResponse) {
        let name = event.experiment_name.as_str();
        journal.info("Received event", &[("experiment", json!(name))]);
        let Some(meta) = &event.kubernetes_meta else {
            let message = "Received experiment event with no k8s metadata so ignoring";
            journal.info(message, &[("Experiment", json!(name))]);
            return;
        };
        if !event.active {
            self.release_deleted::<Experiment>(journal, name, &meta.namespace).await;
        }
        if let Err(failure) = retry_on_conflict(|| self.write_experiment_status(journal, &event, meta)).await
        {
            journal.error(Some(&failure), "Failed to update status", &[("experiment", json!(name))], &[]);
        }
    }

    async fn write_experiment_status(
        &self,
        journal: &Journal,
        event: &ExperimentStatusResponse,
        meta: &KubernetesMeta,
    ) -> Result<(), Failure> {
        let name = event.experiment_name.as_str();
        let mut experiment: Experiment = self.cluster.get(&meta.namespace, name).await?;
        if is_outdated(journal, &experiment, meta, "server") {
            return Ok(());
        }
        let said =
            if event.active { "Setting experiment to ready" } else { "Setting experiment to not ready" };
        journal.info(said, &[("experiment", json!(name))]);
        let conditions = &mut experiment.status.get_or_insert_default().conditions;
        let mut mark = |kind, holds: bool, reason: &str| {
            let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
            condition_set::EXPERIMENT.mark(conditions, kind, status, Texts { message: "", reason });
        };
        mark("ExperimentReady", event.active, &event.status_description);
        let of = |ready, yes, no| if ready { yes } else { no };
        let candidates = of(event.candidates_ready, "Candidates ready", "Candidates not ready");
        mark("CandidatesReady", event.candidates_ready, candidates);
        mark("MirrorReady", event.mirror_ready, of(event.mirror_ready, "Mirror ready", "Mirror not ready"));
        self.update_status(&experiment, "experiment").await
    }
}
