//! `report`: what the jobs of a night left, for people and for GitHub: a summary, a line for each failure at its place in
//! the code, and an issue when something fails, or differs from embedded, that did not the night before.

mod annotation;
mod last_night;
mod markdown;
mod news;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use crate::cell::{CellReport, read_reports};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Directory of tonight's reports.
    reports: PathBuf,
    /// Directory of the reports to hold them against.
    #[arg(long, value_name = "DIRECTORY")]
    before: Option<PathBuf>,
    /// Get the last run's reports from GitHub, with gh, into the directory that --before names.
    #[arg(long, requires = "before")]
    fetch_last_night: bool,
    /// Open an issue, with gh, when something fails or differs that did not before.
    #[arg(long)]
    open_issue: bool,
    /// Print what gh would be asked, and do not ask.
    #[arg(long)]
    dry_run: bool,
}

/// Reports a night.
///
/// # Errors
/// When something fails or differs that did not before, or nothing can be read.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let tonight = read_reports(&options.reports)?;
    ensure!(!tonight.is_empty(), "{} holds no report of a job", options.reports.display());
    let before = match &options.before {
        None => Vec::new(),
        Some(directory) => {
            if options.fetch_last_night {
                last_night::fetch(root, directory, options.dry_run)?;
            }
            if directory.exists() { read_reports(directory)? } else { Vec::new() }
        }
    };
    publish(root, &tonight)?;
    let news = news::news(&tonight, &before);
    if news.is_empty() {
        println!("nothing fails or differs that did not before");
        return Ok(());
    }
    for line in &news {
        println!("new: {line}");
    }
    if options.open_issue {
        last_night::open_issue(root, &news, options.dry_run)?;
    }
    anyhow::bail!("new since the night before: {}", news.len())
}

/// Writes the summary where GitHub shows it, else to standard output, and an annotation for every failure.
///
/// # Errors
/// When the summary cannot be written.
pub(crate) fn publish(root: &Path, reports: &[CellReport]) -> anyhow::Result<()> {
    let summary = markdown::summary(reports);
    match std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) {
        Some(file) => {
            let words = || format!("cannot write to {}", Path::new(&file).display());
            let mut file = File::options().append(true).create(true).open(&file).with_context(words)?;
            file.write_all(summary.as_bytes()).with_context(words)?;
        }
        None => print!("{summary}"),
    }
    let catalogue = fs::read_to_string(root.join(annotation::CATALOGUE)).unwrap_or_default();
    for line in annotation::annotations(root, &catalogue, reports) {
        println!("{line}");
    }
    Ok(())
}
