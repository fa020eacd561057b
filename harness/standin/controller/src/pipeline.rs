//! The Pipeline controller.

use std::sync::Arc;

use kube::ResourceExt;
use seldon_crds::{ConditionStatus, Pipeline};
use serde_json::json;

use crate::cluster::Cluster;
use crate::condition_set::{self, Texts};
use crate::failure::Failure;
use crate::scheduler::{Retryable, Schedulers};
use crate::work_queue::{Context, Reconcile, Request};

/// Holds a Pipeline until the scheduler has unloaded it.
pub(crate) const FINALIZER: &str = "seldon.pipeline.finalizer";

/// Sends Pipelines to their scheduler.
pub(crate) struct PipelineReconciler {
    pub(crate) cluster: Cluster,
    pub(crate) schedulers: Arc<Schedulers>,
}

impl Reconcile for PipelineReconciler {
    const CONTROLLER: &'static str = "pipeline";
    const KIND: &'static str = "Pipeline";

    async fn reconcile(&self, request: &Request, context: &Context) -> Result<(), Failure> {
        let Some(mut pipeline) = self.cluster.find::<Pipeline>(&request.namespace, &request.name).await?
        else {
            return Ok(());
        };
        if pipeline.metadata.deletion_timestamp.is_some() {
            return self.unload(pipeline, context).await;
        }
        if !pipeline.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            pipeline.finalizers_mut().push(FINALIZER.to_owned());
            pipeline = self.cluster.update(&pipeline).await?;
        }
        match self.schedulers.load_pipeline(&pipeline, context.deadline).await {
            Ok(()) => Ok(()),
            Err((retryable, failure)) => {
                self.write_error(pipeline, retryable, &failure, context).await;
                if retryable == Retryable::Yes { Err(failure) } else { Ok(()) }
            }
        }
    }
}

impl PipelineReconciler {
    async fn unload(&self, mut pipeline: Pipeline, context: &Context) -> Result<(), Failure> {
        if !pipeline.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        match self.schedulers.unload_pipeline(&pipeline, context.deadline).await {
            Ok(()) => {
                let conditions = &mut pipeline.status.get_or_insert_default().conditions;
                let texts = Texts { message: "PipelineTerminating", reason: "Pipeline unload requested" };
                condition_set::PIPELINE.mark(conditions, "PipelineReady", ConditionStatus::False, texts);
                // 2.9.1 does not look at the outcome: the Pipeline may already be gone.
                let _ = self.schedulers.update_pipeline_status(&pipeline).await;
                Ok(())
            }
            Err((Retryable::Yes, failure)) => Err(failure),
            Err((Retryable::No, refused)) => {
                pipeline.finalizers_mut().retain(|finalizer| finalizer != FINALIZER);
                self.cluster.update(&pipeline).await.map(drop).map_err(|_| {
                    let name = [("pipeline", json!(pipeline.name_any()))];
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

    async fn write_error(
        &self,
        mut pipeline: Pipeline,
        retryable: Retryable,
        failure: &Failure,
        context: &Context,
    ) {
        let text = failure.to_string();
        let state = match retryable {
            Retryable::Yes => "PipelineCreating",
            Retryable::No => "PipelineFailed",
        };
        let conditions = &mut pipeline.status.get_or_insert_default().conditions;
        let texts = Texts { message: state, reason: &text };
        condition_set::PIPELINE.mark(conditions, "PipelineReady", ConditionStatus::False, texts);
        let written = if context.is_over() {
            Err(Failure::Deadline)
        } else {
            self.cluster.update_status(&pipeline).await.map(drop)
        };
        if let Err(error) = written {
            let fields = [("pipeline", json!(pipeline.name_any())), ("error", json!(text))];
            let journal = context.journal.named("Reconcile");
            journal.error(Some(&error), "Failed to set status on pipeline on error", &fields, &[]);
        }
    }
}
