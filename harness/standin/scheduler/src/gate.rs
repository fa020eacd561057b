//! The start gate: nothing is scheduled and no model status is told until the expected agents are here.
//!
//! Seldon 2.9.1 opens it when the first `ServerNotify` of a first sync has come and as many different replicas have
//! subscribed as that message expects altogether; at once if it expects none; else after a time-out counted from the
//! start of the process. It never closes again.

use std::collections::BTreeSet;

/// Whether the gate has just been opened, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Still shut, or open before.
    No,
    /// No agent is expected.
    NothingExpected,
    /// This many agents were expected and are here.
    Complete(usize),
}

/// The gate and what it waits for.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: bool,
    expected: Option<usize>,
    connected: BTreeSet<String>,
}

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// A first sync expects so many agents. Only the first one counts.
    pub(crate) fn expect(&mut self, agents: usize) -> Opening {
        if self.open || self.expected.is_some() {
            return Opening::No;
        }
        self.expected = Some(agents);
        if agents == 0 {
            self.open = true;
            return Opening::NothingExpected;
        }
        self.look()
    }

    /// The agent of a replica subscribed; one that comes twice counts once.
    pub(crate) fn connected(&mut self, server: &str, replica: u32) -> Opening {
        if self.open {
            return Opening::No;
        }
        self.connected.insert(format!("{server}-{replica}"));
        self.look()
    }

    /// Time is up.
    pub(crate) fn time_out(&mut self) {
        self.open = true;
    }

    fn look(&mut self) -> Opening {
        match self.expected {
            Some(expected) if self.connected.len() >= expected => {
                self.open = true;
                Opening::Complete(expected)
            }
            _ => Opening::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_when_all_distinct_replicas_are_here() {
        let mut gate = Gate::default();
        assert_eq!(gate.connected("mlserver", 0), Opening::No);
        assert_eq!(gate.expect(2), Opening::No);
        assert_eq!(gate.connected("mlserver", 0), Opening::No);
        assert!(!gate.is_open());
        assert_eq!(gate.connected("mlserver", 1), Opening::Complete(2));
        assert!(gate.is_open());
        assert_eq!(gate.connected("triton", 0), Opening::No);
    }

    #[test]
    fn agents_that_came_before_the_operator_count() {
        let mut gate = Gate::default();
        assert_eq!(gate.connected("mlserver", 0), Opening::No);
        assert_eq!(gate.expect(1), Opening::Complete(1));
    }

    #[test]
    fn opens_at_once_when_nothing_is_expected() {
        let mut gate = Gate::default();
        assert_eq!(gate.expect(0), Opening::NothingExpected);
        assert!(gate.is_open());
    }

    #[test]
    fn only_the_first_first_sync_counts() {
        let mut gate = Gate::default();
        assert_eq!(gate.expect(2), Opening::No);
        assert_eq!(gate.expect(0), Opening::No);
        assert_eq!(gate.connected("mlserver", 0), Opening::No);
        gate.time_out();
        assert!(gate.is_open());
    }
}
