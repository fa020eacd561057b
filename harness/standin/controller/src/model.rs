//! Models, as the operator hands them on.

use seldon_crds::{ConditionStatus, Model};

use crate::condition_set::{self, Texts};
use crate::dispatch::Dispatch;
use crate::scheduler::{Answer, Line, Retryable, Schedulers};

impl Dispatch for Model {
    const KIND: &'static str = "Model";
    const WORD: &'static str = "model";
    const FINALIZER: &'static str = "seldon.model.finalizer";
    const UNWRITTEN: &'static str = "Failed to set status for model on error";

    async fn load(&self, schedulers: &Schedulers, line: &Line) -> Answer {
        schedulers.load_model(self, line).await
    }

    async fn unload(&self, schedulers: &Schedulers, line: &Line) -> Answer {
        schedulers.unload_model(self, line).await
    }

    fn mark_failed(&mut self, retryable: Retryable, reason: &str) {
        let message = match retryable {
            Retryable::Yes => "ModelProgressing",
            Retryable::No => "ModelFailed",
        };
        let conditions = &mut self.status.get_or_insert_default().conditions;
        condition_set::MODEL.mark(
            conditions,
            "ModelReady",
            ConditionStatus::False,
            Texts { message, reason },
        );
    }
}
