//! Pace: the one factor by which long timers shrink on the embedded cluster.
//!
//! Servers and the kubelet wait for tens of seconds in many places (10 s before a port opens, 600 s at a start gate,
//! 10 s before the first readiness probe). A test that wants to see what happens afterwards has no use for
//! the wait itself. Every such timer goes through [`Pace`]; at [`Pace::REAL`] nothing changes.
//!
//! Kernel times (SYN retransmission after 1 s, the ICMP rate limit of one per second) cannot be scaled, so a
//! timer that *races the kernel* must never shrink below them: [`Pace::dial`] and [`Pace::network`] have floors.
//! Otherwise a refused dial would read as a timed-out one, and the pace would change a verdict.

use std::time::Duration;

/// Environment variable by which a container learns its pace. Absent means [`Pace::REAL`].
pub const VARIABLE: &str = "CONFORMANCE_PACE";

/// A factor in `(0, 1]` applied to long timers.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Pace(f64);

impl Pace {
    /// Nothing shrinks.
    pub const REAL: Pace = Pace(1.0);
    /// The default of the embedded cluster: 50 times faster, so 10 s become 200 ms.
    pub const FAST: Pace = Pace(0.02);

    /// A pace of `factor`; `None` unless `0 < factor <= 1`.
    pub fn new(factor: f64) -> Option<Pace> {
        (factor > 0.0 && factor <= 1.0).then_some(Pace(factor))
    }

    /// The pace written in an environment variable's value, [`Pace::REAL`] when there is none.
    ///
    /// # Errors
    /// The text, when it is not a number in `(0, 1]`.
    pub fn parse(value: Option<&str>) -> Result<Pace, String> {
        let Some(text) = value else { return Ok(Pace::REAL) };
        text.parse().ok().and_then(Pace::new).ok_or_else(|| {
            format!("{VARIABLE} is {text:?}; it must be a number above 0 and at most 1, such as 0.02")
        })
    }

    /// The pace in this process's environment, as [`Pace::parse`] reads [`VARIABLE`].
    ///
    /// # Errors
    /// The text, when it is not a number in `(0, 1]`.
    pub fn from_environment() -> Result<Pace, String> {
        Pace::parse(std::env::var(VARIABLE).ok().as_deref())
    }

    /// The factor, as it is written into [`VARIABLE`].
    pub fn factor(self) -> f64 {
        self.0
    }

    /// A pure wait: nothing outside this process races it.
    pub fn wait(self, real: Duration) -> Duration {
        real.mul_f64(self.0)
    }

    /// How long a program may look dead before it is treated so.
    ///
    /// Never below 60 s (or `real`, when that is shorter): real programs start and stall at the machine's speed, and a
    /// faster pace must not kill one that would have recovered.
    pub fn endurance(self, real: Duration) -> Duration {
        self.at_least(real, Duration::from_secs(60))
    }

    /// How long a program may look busy before it is treated as not ready.
    ///
    /// Never below 3 s (or `real`, when that is shorter), as for [`Pace::endurance`].
    pub fn forbearance(self, real: Duration) -> Duration {
        self.at_least(real, Duration::from_secs(3))
    }

    fn at_least(self, real: Duration, floor: Duration) -> Duration {
        self.wait(real).max(real.min(floor))
    }

    /// A limit on one exchange with a peer on the network (a DNS try, a probe's time-out, an RPC's deadline).
    ///
    /// Never below 500 ms (or `real`, when that is shorter), so that a busy machine is not taken for a silent peer.
    pub fn network(self, real: Duration) -> Duration {
        self.at_least(real, Duration::from_millis(500))
    }

    /// A limit on a TCP dial.
    ///
    /// Never below 1.5 s (or `real`, when that is shorter): a refusal that the ICMP rate limit swallowed arrives with
    /// the answer to the SYN's retransmission after 1.0 s, and must still be seen as a refusal.
    pub fn dial(self, real: Duration) -> Duration {
        self.at_least(real, Duration::from_millis(1500))
    }
}

#[cfg(test)]
mod tests;
