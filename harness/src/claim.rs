//! Claims: pure predicates over what is seen, and waiting for them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::look::{Look, Seen};
use crate::world::World;

type Predicate = Arc<dyn Fn(&Seen) -> bool + Send + Sync>;

/// A sentence about something that can be looked at, and when it is true.
#[derive(Clone)]
pub struct Claim {
    sentence: String,
    look: Look,
    holds: Predicate,
    in_a_row: u32,
}

impl Claim {
    /// "`sentence`" is true when `holds` is, of what `look` shows.
    pub fn new(
        sentence: impl Into<String>,
        look: Look,
        holds: impl Fn(&Seen) -> bool + Send + Sync + 'static,
    ) -> Claim {
        Claim { sentence: sentence.into(), look, holds: Arc::new(holds), in_a_row: 1 }
    }

    /// The same claim, true only when it held at `times` looks in a row.
    #[must_use]
    pub fn in_a_row(mut self, times: u32) -> Claim {
        self.sentence = format!("{}, {times} times in a row", self.sentence);
        self.in_a_row = times;
        self
    }

    /// What is looked at.
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// Judges one look.
    pub fn holds(&self, seen: &Seen) -> bool {
        (self.holds)(seen)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Claim").field("sentence", &self.sentence).field("look", &self.look).finish()
    }
}

/// A claim that did not hold, with the last thing seen.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It did not become true.
    #[error("within {} s it did not come true that {claim}; last seen: {last_seen}", .waited.as_secs())]
    NeverHeld {
        /// The claim's sentence.
        claim: String,
        /// How long it was waited for.
        waited: Duration,
        /// What the last look showed.
        last_seen: String,
    },
    /// It stopped being true while it had to hold.
    #[error("after {:.1} s it was no longer true that {claim}; seen: {seen}", .after.as_secs_f64())]
    StoppedHolding {
        /// The claim's sentence.
        claim: String,
        /// How long it had held.
        after: Duration,
        /// What the look showed.
        seen: String,
    },
}

impl World {
    /// Waits until `claim` holds and returns what was seen.
    ///
    /// # Errors
    /// [`ClaimError::NeverHeld`] with the last thing seen, after the claim patience.
    pub async fn eventually(&self, claim: Claim) -> anyhow::Result<Seen> {
        self.wait_for(claim, self.patience().claim).await
    }

    /// As [`World::eventually`], with another patience.
    pub(crate) async fn wait_for(&self, claim: Claim, patience: Duration) -> anyhow::Result<Seen> {
        self.waiting_for(&claim.sentence);
        let began = Instant::now();
        let mut row = 0;
        loop {
            let seen = self.look(claim.look()).await;
            row = if claim.holds(&seen) { row + 1 } else { 0 };
            if row >= claim.in_a_row {
                self.observed(&format!("{claim} ({})", claim.look), &seen, began.elapsed())?;
                return Ok(seen);
            }
            if began.elapsed() >= patience {
                self.observed(&format!("NOT: {claim} ({})", claim.look), &seen, began.elapsed())?;
                let last_seen = seen.to_string();
                return Err(
                    ClaimError::NeverHeld { claim: claim.sentence, waited: patience, last_seen }.into()
                );
            }
            if row == 0 {
                self.pause().await;
            }
        }
    }

    /// Watches for `duration` that `claim` goes on holding.
    ///
    /// # Errors
    /// [`ClaimError::StoppedHolding`] at the first look at which it does not.
    pub async fn holds_for(&self, duration: Duration, claim: Claim) -> anyhow::Result<()> {
        self.waiting_for(&claim.sentence);
        let began = Instant::now();
        loop {
            let seen = self.look(claim.look()).await;
            if !claim.holds(&seen) {
                let (after, seen) = (began.elapsed(), seen.to_string());
                return Err(ClaimError::StoppedHolding { claim: claim.sentence, after, seen }.into());
            }
            if began.elapsed() >= duration {
                self.observed(
                    &format!("{claim} for {:.1} s", duration.as_secs_f64()),
                    &seen,
                    began.elapsed(),
                )?;
                return Ok(());
            }
            self.pause().await;
        }
    }
}
