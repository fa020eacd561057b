//! Every duration the harness waits at most, and how often it looks meanwhile. The only place that has any.

use std::time::Duration;

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

    /// The defaults, times what [`Patience::VARIABLE`] says when it is set.
    ///
    /// # Errors
    /// [`BadPatience`] when its value is no number from 1 to 100.
    pub fn from_environment() -> Result<Patience, BadPatience> {
        match std::env::var(Patience::VARIABLE) {
            Err(std::env::VarError::NotPresent) => Ok(Patience::default()),
            Err(std::env::VarError::NotUnicode(value)) => {
                Err(BadPatience(value.to_string_lossy().into_owned()))
            }
            Ok(value) => Patience::parse(value),
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
            interval: Duration::from_millis(40),
        }
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience::scaled(1.0)
    }
}
