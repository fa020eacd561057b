//! Every duration the harness waits at most, and how often it looks meanwhile. The only place that has any.

use std::time::Duration;

use pace::Pace;

/// How much longer things take at the real pace than at [`Pace::FAST`], where a real program's start is most of it.
const SLOWER_AT_REAL_PACE: f64 = 10.0;

/// How much longer things take where containers are made by containerd and runc, each from an image of its own.
const SLOWER_WITH_REAL_CONTAINERS: f64 = 2.5;

/// What must not change is watched for as long as this at the real pace.
const QUIET: Duration = Duration::from_secs(60);

/// A value of [`Patience::VARIABLE`] that is no factor.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is {0:?}; it must be a number from 1 to 100", variable = Patience::VARIABLE)]
pub struct BadPatience(String);

/// Upper ends of waits. They are generous: a wait ends when what it waits for is seen.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From asking for a cluster to it answering.
    pub cluster: Duration,
    /// From applying a mesh's manifests to everything Ready: MLServer's own start is most of it.
    pub mesh: Duration,
    /// Until a claim holds.
    pub claim: Duration,
    /// Until a fault is seen to bite, or to be gone.
    pub proof: Duration,
    /// One probe executed in a pod, including the slowest time-out it may have inside.
    pub probe: Duration,
    /// A whole case: body and gate.
    pub case: Duration,
    /// One undo step.
    pub undo: Duration,
    /// How long a thing is watched that must not change.
    pub quiet: Duration,
    /// Between two looks at something that cannot be watched.
    pub interval: Duration,
}

impl Patience {
    /// Environment variable whose value, a number of at least 1, multiplies all upper ends: for slow machines.
    pub const VARIABLE: &str = "CONFORMANCE_PATIENCE";

    /// The defaults at `pace`, times what [`Patience::VARIABLE`] says when it is set.
    ///
    /// # Errors
    /// [`BadPatience`] when its value is no number from 1 to 100.
    pub fn from_environment(pace: Pace) -> Result<Patience, BadPatience> {
        let read = match std::env::var(Patience::VARIABLE) {
            Err(std::env::VarError::NotPresent) => Ok(Patience::default()),
            Err(std::env::VarError::NotUnicode(value)) => {
                Err(BadPatience(value.to_string_lossy().into_owned()))
            }
            Ok(value) => Patience::parse(value),
        };
        read.map(|patience| patience.at(pace))
    }

    /// As long as it takes at `pace`: at the real one a dial lasts 20 s and a back-off 15 s, and what must not change
    /// has to be watched for longer than the longest wait between two attempts.
    #[must_use]
    pub fn at(self, pace: Pace) -> Patience {
        let slower = (pace.factor() * SLOWER_AT_REAL_PACE).max(1.0);
        let longer = |fast: Duration| fast.mul_f64(slower);
        Patience {
            mesh: longer(self.mesh),
            claim: longer(self.claim),
            proof: longer(self.proof),
            probe: longer(self.probe),
            case: longer(self.case),
            undo: longer(self.undo),
            quiet: self.quiet.max(pace.wait(QUIET)),
            ..self
        }
    }

    /// As long as it takes where a real container engine starts the programs, and a real kubelet looks at them.
    #[must_use]
    pub fn with_real_containers(self) -> Patience {
        let longer = |time: Duration| time.mul_f64(SLOWER_WITH_REAL_CONTAINERS);
        Patience {
            mesh: longer(self.mesh),
            claim: longer(self.claim),
            proof: longer(self.proof),
            case: longer(self.case),
            ..self
        }
    }

    fn parse(value: String) -> Result<Patience, BadPatience> {
        match value.parse::<f64>() {
            Ok(factor) if (1.0..=100.0).contains(&factor) => Ok(Patience::scaled(factor)),
            Ok(_) | Err(_) => Err(BadPatience(value)),
        }
    }

    /// The defaults times `factor`.
    pub fn scaled(factor: f64) -> Patience {
        let seconds = |seconds: u64| Duration::from_secs(seconds).mul_f64(factor.max(1.0));
        Patience {
            cluster: seconds(30),
            mesh: seconds(60),
            claim: seconds(40),
            proof: seconds(20),
            probe: seconds(30),
            case: seconds(180),
            undo: seconds(15),
            quiet: Duration::from_millis(1500),
            interval: Duration::from_millis(100),
        }
    }
}

/// The times of work on a given cluster: of real programs, which no pace hastens.
pub(crate) mod given {
    use std::time::Duration;

    /// How long a run that says nothing keeps the Lease.
    pub(crate) const LEASE: Duration = Duration::from_secs(15);
    /// Between two renewals of it.
    pub(crate) const RENEWAL: Duration = Duration::from_secs(2);
    /// How long Seldon's controllers may take to let go of their objects before their finalizers are taken off.
    pub(crate) const LETTING_GO: Duration = Duration::from_secs(10);
    /// How long CoreDNS may take to read a changed Corefile: it looks every 30 s and a bit, at what the kubelet wrote.
    pub(crate) const RELOADED: Duration = Duration::from_secs(150);
    /// How long an object may take to go: pods have their grace.
    pub(crate) const GOING: Duration = Duration::from_secs(120);

    /// How long nodes may take to say whether they have an image.
    pub(crate) const IMAGES: Duration = Duration::from_secs(60);
    /// How long a run that is shared out among pods may take, images included: after that its Job ends it.
    pub(crate) const SHARDS: Duration = Duration::from_secs(2 * 60 * 60);
    /// How long the API server may not answer while such a run is waited for.
    pub(crate) const SILENT: Duration = Duration::from_secs(120);
    /// How long finalizers may alone hold an object that is being deleted. Whoever takes them off does so at once.
    pub(crate) const HELD_FOR: Duration = Duration::from_secs(20);
    /// How long helm may wait for the hooks of a release that goes.
    pub(crate) const HOOKS: Duration = Duration::from_secs(60);
    /// How long helm may take for it altogether.
    pub(crate) const UNINSTALLING: Duration = Duration::from_secs(90);

    /// The pause between two looks.
    pub(crate) async fn look_again() {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience::scaled(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_pace_needs_more_patience_and_the_fast_one_none() {
        let (fast, real) = (Patience::default().at(Pace::FAST), Patience::default().at(Pace::REAL));
        assert_eq!(fast.claim, Patience::default().claim);
        assert_eq!(fast.quiet, Duration::from_millis(1500));
        assert_eq!(real.claim, fast.claim * 10);
        assert_eq!(real.quiet, QUIET);
    }

    #[rstest::rstest]
    #[case("0.5")]
    #[case("101")]
    #[case("NaN")]
    #[case("much")]
    fn what_is_no_factor_is_named(#[case] value: &str) {
        let error = Patience::parse(value.to_owned()).unwrap_err().to_string();
        assert_eq!(error, format!("CONFORMANCE_PATIENCE is {value:?}; it must be a number from 1 to 100"));
    }
}
