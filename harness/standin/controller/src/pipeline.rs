//! Pipelines, as the operator hands them on.

use seldon_crds::{ConditionStatus, Pipeline};

use crate::condition_set::{self, Texts};
use crate::dispatch::Dispatch;
use crate::scheduler::{Answer, Line, Retryable, Schedulers};

impl Dispatch for Pipeline {
    const KIND: &'static str = "Pipeline";
    const WORD: &'static str = "pipeline";
    const FINALIZER: &'static str = "seldon.pipeline.finalizer";
    const UNWRITTEN: &'static str = "Failed to set status on pipeline on error";

    async fn load(&self, schedulers: &Schedulers, line: &Line) -> Answer {
        schedulers.load_pipeline(self, line).await
    }

    async fn unload(&self, schedulers: &Schedulers, line: &Line) -> Answer {
        schedulers.unload_pipeline(self, line).await
    }

    async fn leaving(mut self, schedulers: &Schedulers) {
        mark_unready(&mut self, "PipelineTerminating", "Pipeline unload requested");
        // 2.9.1 does not look at the outcome: the Pipeline may already be gone.
        let _ = schedulers.update_status(&self, "pipeline").await;
    }

    fn mark_failed(&mut self, retryable: Retryable, reason: &str) {
        let state = match retryable {
            Retryable::Yes => "PipelineCreating",
            Retryable::No => "PipelineFailed",
        };
        mark_unready(self, state, reason);
    }
}

fn mark_unready(pipeline: &mut Pipeline, message: &str, reason: &str) {
    let conditions = &mut pipeline.status.get_or_insert_default().conditions;
    let texts = Texts { message, reason };
    condition_set::PIPELINE.mark(conditions, "PipelineReady", ConditionStatus::False, texts);
}
