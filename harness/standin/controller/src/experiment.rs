//! Experiments, as the operator hands them on.

use seldon_crds::{ConditionStatus, Experiment};

use crate::condition_set::{self, Texts};
use crate::dispatch::Dispatch;
use crate::scheduler::{Answer, Line, Retryable, Schedulers};

impl Dispatch for Experiment {
    const KIND: &'static str = "Experiment";
    const WORD: &'static str = "experiment";
    const FINALIZER: &'static str = "seldon.experiment.finalizer";
    const UNWRITTEN: &'static str = "Failed to set status for experiment on error";
    /// The original's own slip.
    const UNWRITTEN_KEY: &'static str = "model";

    async fn load(&self, schedulers: &Schedulers, line: &Line) -> Answer {
        schedulers.start_experiment(self, line).await
    }

    async fn unload(&self, schedulers: &Schedulers, line: &Line) -> Answer {
        schedulers.stop_experiment(self, line).await
    }

    /// Under the type `ModelReady`, which is none of an Experiment's own: 2.9.1 does so, and the Experiment's columns
    /// stay blank.
    fn mark_failed(&mut self, _: Retryable, reason: &str) {
        let conditions = &mut self.status.get_or_insert_default().conditions;
        let texts = Texts { message: "", reason };
        condition_set::EXPERIMENT.mark(conditions, "ModelReady", ConditionStatus::False, texts);
    }
}
