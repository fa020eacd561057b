//! Where a run's records and reports go: looked at before anything starts, made when everything else is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use harness::clusters::Cache;
use reports::{Record, Row, Summary, junit};

use crate::options::{Failure, ReportFiles, ReportOptions};

/// How many runs' records are kept below the cache directory.
const KEPT_RUNS: usize = 20;

/// Places that were seen to accept files.
#[derive(Debug)]
pub(crate) struct Destinations {
    records: PathBuf,
    /// The directory of all runs' records, when this run's stand among them.
    all: Option<PathBuf>,
    files: ReportFiles,
}

impl Destinations {
    /// Looks at every place; makes nothing.
    ///
    /// # Errors
    /// Wrong usage, naming the place and the option.
    pub(crate) fn check(options: &ReportOptions, cache: &Cache) -> Result<Destinations, Failure> {
        let (records, all) = match &options.records {
            Some(directory) => (std::path::absolute(directory).unwrap_or_else(|_| directory.clone()), None),
            None => {
                let all = cache.directory().join("records");
                let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
                (all.join(format!("{now}-{}", std::process::id())), Some(all))
            }
        };
        accepts_files(&records).map_err(|error| unkept(&records, &error))?;
        for file in [&options.files.junit, &options.files.json].into_iter().flatten() {
            accepts_text(file).map_err(|error| {
                Failure::usage(format!("{} cannot be written: {error}; name another file", file.display()))
            })?;
        }
        Ok(Destinations { records, all, files: options.files.clone() })
    }

    /// Makes the records' directory; old runs' beside it are forgotten.
    ///
    /// # Errors
    /// Wrong usage, naming the directory.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        if let Some(all) = &self.all {
            forget_old_runs(all);
        }
        fs::create_dir_all(&self.records).map_err(|error| unkept(&self.records, &error))
    }

    /// # Errors
    /// Wrong usage, when the records of another run are there: those of this one are told from them by nothing.
    pub(crate) fn must_be_empty(&self) -> Result<(), Failure> {
        let holds_something = fs::read_dir(&self.records).is_ok_and(|mut entries| entries.next().is_some());
        match holds_something {
            false => Ok(()),
            true => Err(Failure::usage(format!(
                "{} holds files already, and pods that hand nothing over would go unnoticed among them; name another \
                 directory with --records",
                self.records.display()
            ))),
        }
    }

    /// Directory of the records, absolute.
    pub(crate) fn records(&self) -> &Path {
        &self.records
    }

    /// Writes the reports that were asked for, with what was compared.
    ///
    /// # Errors
    /// The machine's, naming each file that could not be written.
    pub(crate) fn write_reports(
        &self,
        records: &[Record],
        comparison: Option<Vec<Row>>,
        seconds: f64,
    ) -> Result<(), Failure> {
        write_reports(&self.files, records, comparison, seconds)
    }
}

/// Writes a JSON summary and a JUnit report where they are asked for.
///
/// # Errors
/// The machine's, naming each file that could not be written.
pub(crate) fn write_reports(
    files: &ReportFiles,
    records: &[Record],
    comparison: Option<Vec<Row>>,
    seconds: f64,
) -> Result<(), Failure> {
    let mut refused = Vec::new();
    let mut write = |file: &Path, text: String| {
        if let Err(error) = fs::write(file, text) {
            refused.push(format!("{} cannot be written: {error}", file.display()));
        }
    };
    if let Some(file) = &files.json {
        let summary = Summary { comparison, ..Summary::of(records, seconds) };
        write(file, serde_json::to_string_pretty(&summary).map_err(Failure::machine)?);
    }
    if let Some(file) = &files.junit {
        write(file, junit(records).map_err(Failure::machine)?);
    }
    if refused.is_empty() { Ok(()) } else { Err(Failure::machine(refused.join("; "))) }
}

fn unkept(directory: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!(
        "records cannot be kept in {}: {error}; name a writable directory with --records",
        directory.display()
    ))
}

/// Whether files can be made in `directory`, or the directory itself where its nearest ancestor is.
fn accepts_files(directory: &Path) -> io::Result<()> {
    let nearest = directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(directory);
    fs::read_dir(nearest)?;
    tempfile::tempfile_in(nearest).map(drop)
}

fn accepts_text(file: &Path) -> io::Result<()> {
    match fs::metadata(file) {
        // Pipes and terminals are not opened for a look: that may block.
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => Ok(()),
        Ok(_) => fs::File::options().append(true).open(file).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let absolute = std::path::absolute(file)?;
            tempfile::tempfile_in(absolute.parent().unwrap_or(&absolute)).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Best effort: a directory that cannot be listed or removed is simply kept.
fn forget_old_runs(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else { return };
    let mut runs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    runs.sort();
    for old in &runs[..runs.len().saturating_sub(KEPT_RUNS - 1)] {
        let _ = fs::remove_dir_all(old);
    }
}
