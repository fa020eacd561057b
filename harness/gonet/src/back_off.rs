//! Exponential back-off, as grpc-go and cenkalti/backoff (v4) do it.

use std::time::Duration;

use rand::RngExt;

/// Waits between attempts: `base * factor^n`, at most `max`, each give or take `jitter`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackOff {
    /// The first wait.
    pub base: Duration,
    /// Growth per failure.
    pub factor: f64,
    /// Share of the wait by which it may be shorter or longer.
    pub jitter: f64,
    /// The longest wait before jitter.
    pub max: Duration,
}

impl BackOff {
    /// grpc-go's `backoff.DefaultConfig`: 1 s, 1.6, 0.2, 120 s.
    pub const GRPC: BackOff =
        BackOff { base: Duration::from_secs(1), factor: 1.6, jitter: 0.2, max: Duration::from_secs(120) };

    /// cenkalti/backoff's defaults: 500 ms, 1.5, 0.5, 60 s.
    pub const CENKALTI: BackOff =
        BackOff { base: Duration::from_millis(500), factor: 1.5, jitter: 0.5, max: Duration::from_secs(60) };

    /// Between the subscriptions of Seldon 2.9.1's programs: cenkalti/backoff from 1 s to 15 s.
    pub const SELDON_SUBSCRIPTION: BackOff =
        BackOff { base: Duration::from_secs(1), max: Duration::from_secs(15), ..BackOff::CENKALTI };

    /// The wait after `failures` failures in a row (0 for the first), jitter included, unscaled.
    pub fn wait(&self, failures: u32) -> Duration {
        let grown = self.base.as_secs_f64() * self.factor.powi(failures.min(64) as i32);
        let jitter = rand::rng().random_range(-self.jitter..=self.jitter);
        Duration::from_secs_f64(grown.min(self.max.as_secs_f64()) * (1.0 + jitter))
    }

    /// The waits one after the other, from the first one on.
    pub fn waits(self) -> Waits {
        Waits { back_off: self, failures: 0 }
    }
}

/// The waits of one [`BackOff`], unscaled. They never end, and only a new one begins with the first wait again.
#[derive(Debug, Clone)]
pub struct Waits {
    back_off: BackOff,
    failures: u32,
}

impl Waits {
    /// The next wait: longer than the one before but for the jitter.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.back_off.wait(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::grpc(BackOff::GRPC)]
    #[case::cenkalti(BackOff::CENKALTI)]
    #[case::subscriptions(BackOff::SELDON_SUBSCRIPTION)]
    fn waits_grow_to_the_ceiling(#[case] back_off: BackOff) {
        let mut waits = back_off.waits();
        for failures in 0..40 {
            let wait = waits.next_wait();
            let middle = back_off.base.mul_f64(back_off.factor.powi(failures)).min(back_off.max);
            let bounds = middle.mul_f64(0.99 * (1.0 - back_off.jitter))
                ..middle.mul_f64(1.01 * (1.0 + back_off.jitter));
            assert!(bounds.contains(&wait), "{wait:?} after {failures} failures is not in {bounds:?}");
        }
    }
}
