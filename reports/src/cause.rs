//! A cause that was named, with what speaks for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How sure the diagnosis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The evidence leaves nothing else.
    Certain,
    /// It fits best, and something else was not looked at.
    Likely,
}

/// Why something is not Ready, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedCause {
    /// Stable word for machines: `policy-denies`, `requirements-unmet`, …
    pub kind: String,
    /// One sentence that names the objects.
    pub sentence: String,
    /// How sure.
    pub certainty: Certainty,
    /// What was seen, each with where.
    pub evidence: Vec<String>,
    /// What it is not, each with why.
    pub ruled_out: Vec<String>,
    /// Whose job the fix is.
    pub owner: String,
    /// What to do.
    pub fix: String,
}
