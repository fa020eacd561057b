//! What a run left behind, and how people and machines read it.
//!
//! A [`Record`] is written while a case runs; everything else here is a function of records: the terminal's result
//! lines, JUnit, the JSON summary. Nothing here knows a cluster or waits for anything.

mod cause;
mod compare;
mod journal;
mod junit;
mod record;
mod shards;
mod summary;
mod terminal;
mod verdict;

pub use cause::{Certainty, NamedCause};
pub use compare::{Agreement, Ending, Fidelity, KnownDifference, Row, compare};
pub use journal::{Journal, JournalError};
pub use junit::{clean, junit};
pub use record::{Case, Entry, Event, PartOfRun, Phase, Record, SCHEMA_VERSION, schema};
pub use shards::{Gap, Joined, ShardError, read_shards};
pub use summary::{CaseSummary, Summary};
pub use terminal::{Style, failure_block, result_line, totals};
pub use verdict::{ExitCode, Verdict, exit_code};
