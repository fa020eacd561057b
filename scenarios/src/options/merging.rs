//! The options of `reports`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ReportFiles;

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
    #[command(flatten)]
    pub(crate) files: ReportFiles,
}
