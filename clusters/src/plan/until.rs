//! Looks that are repeated until they come out as expected.

use std::time::Duration;

use super::carry_out::{PlanError, Site};
use super::{Step, Task};

/// How long after one attempt the next begins.
pub(super) const APART: Duration = Duration::from_secs(1);

/// Programs that change nothing, side by side, again and again until each says what it must.
#[derive(Debug, Clone)]
pub struct Until {
    /// The programs.
    pub looks: Vec<Task>,
    /// How often they are run before they are given up.
    pub attempts: u8,
}

impl Site<'_> {
    /// Returns when it is seen.
    pub(super) async fn look_until(&self, step: &Step, until: &Until) -> Result<(), PlanError> {
        let mut last = String::new();
        let mut ticks = tokio::time::interval(APART);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for _ in 0..until.attempts {
            ticks.tick().await;
            last = match self.run_all(step, &until.looks).await {
                Ok(()) => return Ok(()),
                Err(PlanError::Program { why, remedy: Some(remedy), .. }) => format!("{why}; {remedy}"),
                Err(PlanError::Program { why, remedy: None, .. }) => why,
                Err(PlanError::Unexpected { why, command, .. }) => format!("{why} (`{command}`)"),
                Err(other) => return Err(other),
            };
        }
        Err(PlanError::Unseen { what: step.what.clone(), attempts: until.attempts, last })
    }
}
