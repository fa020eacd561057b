//! The Experiment controller.

use std::sync::Arc;

use kube::ResourceExt;
use seldon_crds::{ConditionStatus, Experiment};
use serde_json::json;

use crate::cluster::Cluster;
use crate::condition_set::{self, Texts};
use crate::failure::Failure;
use crate::scheduler::{Retryable, Schedulers};
use crate::work_queue::{Context, Reconcile, Request};

/// Holds an Experiment until the scheduler has stopped it.
pub(crate) const FINALIZER: &str = "seldon.experiment.finalizer";

/// Sends Experiments to their scheduler.
pub(crate) struct ExperimentReconciler {
    pub(crate) cluster: Cluster,
    pub(crate) schedulers: Arc<Schedulers>,
}

impl Reconcile for ExperimentReconciler {
    const CONTROLLER: &'static str = "experiment";
    const KIND: &'static str = "Experiment";

    async fn reconcile(&self, request: &Request, context: &Context) -> Result<(), Failure> {
        let Some(mut experiment) = self.cluster.find::<Experiment>(&request.namespace, &request.name).await?
        else {
            return Ok(());
        };
        if experiment.metadata.deletion_timestamp.is_some() {
            return self.stop(experiment, context).await;
        }
        if !experiment.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            experiment.finalizers_mut().push(FINALIZER.to_owned());
            experiment = self.cluster.update(&experiment).await?;
        }
        match self.schedulers.start_experiment(&experiment, context.deadline).await {
            Ok(()) => Ok(()),
            Err((retryable, failure)) => {
                self.write_error(experiment, &failure, context).await;
                if retryable == Retryable::Yes { Err(failure) } else { Ok(()) }
            }
        }
    }
}

impl ExperimentReconciler {
    async fn stop(&self, mut experiment: Experiment, context: &Context) -> Result<(), Failure> {
        if !experiment.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        match self.schedulers.stop_experiment(&experiment, context.deadline).await {
            Ok(()) => Ok(()),
            Err((Retryable::Yes, failure)) => Err(failure),
            Err((Retryable::No, refused)) => {
                experiment.finalizers_mut().retain(|finalizer| finalizer != FINALIZER);
                self.cluster.update(&experiment).await.map(drop).map_err(|_| {
                    let name = [("experiment", json!(experiment.name_any()))];
                    context.journal.named("Reconcile").error(
                        Some(&refused),
                        "Failed to remove finalizer",
                        &name,
                        &[],
                    );
                    refused
                })
            }
        }
    }

    /// Writes what went wrong under the type `ModelReady`, which is none of an Experiment's own: 2.9.1 does so, and
    /// the Experiment's columns stay blank.
    async fn write_error(&self, mut experiment: Experiment, failure: &Failure, context: &Context) {
        let text = failure.to_string();
        let conditions = &mut experiment.status.get_or_insert_default().conditions;
        let texts = Texts { message: "", reason: &text };
        condition_set::EXPERIMENT.mark(conditions, "ModelReady", ConditionStatus::False, texts);
        let written = if context.is_over() {
            Err(Failure::Deadline)
        } else {
            self.cluster.update_status(&experiment).await.map(drop)
        };
        if let Err(error) = written {
            let fields = [("model", json!(experiment.name_any())), ("error", json!(text))];
            let journal = context.journal.named("Reconcile");
            journal.error(Some(&error), "Failed to set status for experiment on error", &fields, &[]);
        }
    }
}
