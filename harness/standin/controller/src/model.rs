//! The Model controller.

use std::sync::Arc;

use kube::ResourceExt;
use seldon_crds::{ConditionStatus, Model};
use serde_json::json;

use crate::cluster::Cluster;
use crate::condition_set::{self, Texts};
use crate::failure::Failure;
use crate::scheduler::{Retryable, Schedulers};
use crate::work_queue::{Context, Reconcile, Request};

/// Holds a Model until the scheduler has unloaded it.
pub(crate) const FINALIZER: &str = "seldon.model.finalizer";

/// Sends Models to their scheduler.
pub(crate) struct ModelReconciler {
    pub(crate) cluster: Cluster,
    pub(crate) schedulers: Arc<Schedulers>,
}

impl Reconcile for ModelReconciler {
    const CONTROLLER: &'static str = "model";
    const KIND: &'static str = "Model";

    async fn reconcile(&self, request: &Request, context: &Context) -> Result<(), Failure> {
        let Some(mut model) = self.cluster.find::<Model>(&request.namespace, &request.name).await? else {
            return Ok(());
        };
        if model.metadata.deletion_timestamp.is_some() {
            return self.unload(model, context).await;
        }
        if !model.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            model.finalizers_mut().push(FINALIZER.to_owned());
            model = self.cluster.update(&model).await?;
        }
        match self.schedulers.load_model(&model, context.deadline).await {
            Ok(()) => Ok(()),
            Err((retryable, failure)) => {
                self.write_error(model, retryable, &failure, context).await;
                if retryable == Retryable::Yes { Err(failure) } else { Ok(()) }
            }
        }
    }
}

impl ModelReconciler {
    async fn unload(&self, mut model: Model, context: &Context) -> Result<(), Failure> {
        if !model.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        match self.schedulers.unload_model(&model, context.deadline).await {
            Ok(()) => Ok(()),
            Err((Retryable::Yes, failure)) => Err(failure),
            Err((Retryable::No, refused)) => {
                model.finalizers_mut().retain(|finalizer| finalizer != FINALIZER);
                self.cluster.update(&model).await.map(drop).map_err(|_| {
                    let name = [("model", json!(model.name_any()))];
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

    /// Writes what went wrong, unless the reconcile's time is over: then nothing can be written any more.
    async fn write_error(
        &self,
        mut model: Model,
        retryable: Retryable,
        failure: &Failure,
        context: &Context,
    ) {
        let text = failure.to_string();
        let state = match retryable {
            Retryable::Yes => "ModelProgressing",
            Retryable::No => "ModelFailed",
        };
        let conditions = &mut model.status.get_or_insert_default().conditions;
        let texts = Texts { message: state, reason: &text };
        condition_set::MODEL.mark(conditions, "ModelReady", ConditionStatus::False, texts);
        let written = if context.is_over() {
            Err(Failure::Deadline)
        } else {
            self.cluster.update_status(&model).await.map(drop)
        };
        if let Err(error) = written {
            let fields = [("model", json!(model.name_any())), ("error", json!(text))];
            let journal = context.journal.named("Reconcile");
            journal.error(Some(&error), "Failed to set status for model on error", &fields, &[]);
        }
    }
}
