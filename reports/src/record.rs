//! The record of one case: everything that was done and seen, in order.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cause::NamedCause;
use crate::verdict::Verdict;

/// Version of the record's format; raised when a reader of the old one would be wrong.
pub const SCHEMA_VERSION: u32 = 1;

/// Which case this is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Case {
    /// `a ready model answers 200`.
    pub name: String,
    /// `serving`.
    pub family: String,
    /// `flannel`.
    pub cni: String,
    /// `per-namespace`.
    pub topology: String,
    /// `embedded`.
    pub cluster: String,
}

/// Where in a case something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Cluster and installation come up. Whatever fails here makes the case inconclusive.
    Gate,
    /// Before anything is broken.
    Healthy,
    /// After a fault was proved to bite.
    Broken,
    /// After the repair was proved.
    Repaired,
    /// The runner looks, before anything is undone.
    Diagnosis,
    /// The runner undoes what is left.
    Undo,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Something was done.
    Step {
        /// What.
        what: String,
    },
    /// Something was looked at.
    Observation {
        /// What was looked at.
        what: String,
        /// What was seen.
        seen: String,
        /// How long after looking began, in seconds.
        after_seconds: f64,
    },
    /// A fault was injected and seen to bite.
    Fault {
        /// What it breaks.
        breaks: String,
        /// What proved that it bites.
        proof: String,
    },
    /// A rule of the node's that denies counted packets while a fault was seen to bite.
    Denied {
        /// Which: direction, pod, and what the network says of it.
        rule: String,
        /// How many packets it had counted before.
        before: u64,
        /// How many it had counted then.
        after: u64,
    },
    /// A fault was undone and seen to be gone.
    Repair {
        /// What was undone.
        undoes: String,
        /// What proved it.
        proof: String,
    },
    /// The diagnosis named a cause.
    Cause(NamedCause),
    /// A cleaning step of the runner.
    Undo {
        /// What was undone.
        what: String,
        /// How it went.
        outcome: String,
    },
}

/// An event with its time and phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Seconds since the case began.
    pub at_seconds: f64,
    /// Where in the case.
    pub phase: Phase,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Which part of a run a record is of, when the run was shared out among several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartOfRun {
    /// The shard, from 1.
    pub index: usize,
    /// How many shards there are.
    pub count: usize,
    /// The cases of the whole run, in all shards together.
    pub cases: usize,
}

/// Everything about one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// [`SCHEMA_VERSION`].
    pub version: u32,
    /// Version of this harness.
    pub harness: String,
    /// Which case.
    pub case: Case,
    /// The claim, as the scenario states it.
    pub claim: String,
    /// Escalations it re-enacts, by number.
    pub seeds: Vec<String>,
    /// The part of a run that it belongs to; absent in a run that was not shared out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<PartOfRun>,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// How long it took; of an open record, until its last entry.
    pub seconds: f64,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// The verdict; absent while the case runs, or when its process was killed.
    pub verdict: Option<Verdict>,
    /// Why, when it is not [`Verdict::Passed`].
    pub message: Option<String>,
}

impl PartOfRun {
    /// How many of the run's cases this shard has: every `count`th of them.
    pub fn own_cases(&self) -> usize {
        (self.cases + self.count).saturating_sub(self.index) / self.count.max(1)
    }
}

impl Record {
    /// An open record that starts now.
    pub fn open(case: Case, claim: impl Into<String>, seeds: &[&str]) -> Record {
        Record {
            version: SCHEMA_VERSION,
            harness: env!("CARGO_PKG_VERSION").into(),
            case,
            claim: claim.into(),
            seeds: seeds.iter().map(|seed| (*seed).to_owned()).collect(),
            shard: None,
            started: Timestamp::now(),
            seconds: 0.0,
            entries: Vec::new(),
            verdict: None,
            message: None,
        }
    }

    /// The cause named while the system was broken, or else the last one named.
    pub fn cause(&self) -> Option<&NamedCause> {
        let causes = || {
            self.entries.iter().filter_map(|entry| match &entry.event {
                Event::Cause(cause) => Some((entry.phase, cause)),
                Event::Step { .. }
                | Event::Observation { .. }
                | Event::Fault { .. }
                | Event::Denied { .. }
                | Event::Repair { .. }
                | Event::Undo { .. } => None,
            })
        };
        causes()
            .find(|(phase, _)| *phase == Phase::Broken)
            .or_else(|| causes().next_back())
            .map(|(_, cause)| cause)
    }
}

/// JSON schema of [`Record`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Record).to_value()
}
