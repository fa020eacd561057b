//! The options of `reports`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ReportsAction {
    /// Join what the shards of one run recorded.
    Merge(MergeOptions),
}

#[derive(Debug, Args)]
pub(crate) struct MergeOptions {
    /// The directories that the shards' --records named.
    #[arg(required = true)]
    pub(crate) records: Vec<PathBuf>,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a JSON summary.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
