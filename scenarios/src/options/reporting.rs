//! Where what was seen is written, the same for every command that reports.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportFiles {
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a JSON summary.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportOptions {
    #[command(flatten)]
    pub(crate) files: ReportFiles,
    /// Directory of the cases' records; below the cache directory when absent.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) records: Option<PathBuf>,
}
