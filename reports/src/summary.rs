//! The JSON summary of a run: one line per case, for machines.

use serde::{Deserialize, Serialize};

use crate::compare::Row;
use crate::record::{Record, SCHEMA_VERSION};
use crate::verdict::Verdict;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA_VERSION`].
    pub version: u32,
    /// Wall-clock seconds of the run.
    pub seconds: f64,
    /// One per case, in the order of the catalogue.
    pub cases: Vec<CaseSummary>,
    /// What was held against each other, where two kinds of clusters were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Vec<Row>>,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseSummary {
    /// Its name.
    pub name: String,
    /// Its family.
    pub family: String,
    /// The network plugin.
    pub cni: String,
    /// The topology.
    pub topology: String,
    /// The cluster.
    pub cluster: String,
    /// The verdict; a record that was never closed counts as inconclusive.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// The cause that was named, in a sentence.
    pub cause: Option<String>,
    /// Why it did not pass.
    pub message: Option<String>,
}

impl Summary {
    /// Sums up `records`.
    pub fn of(records: &[Record], seconds: f64) -> Summary {
        let cases = records.iter().map(CaseSummary::of).collect();
        Summary { version: SCHEMA_VERSION, seconds, cases, comparison: None }
    }
}

impl CaseSummary {
    fn of(record: &Record) -> CaseSummary {
        let case = record.case.clone();
        CaseSummary {
            name: case.name,
            family: case.family,
            cni: case.cni,
            topology: case.topology,
            cluster: case.cluster,
            verdict: record.verdict.unwrap_or(Verdict::Inconclusive),
            seconds: record.seconds,
            cause: record.cause().map(|cause| cause.sentence.clone()),
            message: record.message.clone(),
        }
    }
}
