//! A record on disk, whole after every entry.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::record::{Case, Entry, Event, PartOfRun, Phase, Record};
use crate::verdict::Verdict;

/// Why a record cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the record {}: {source}; name a writable directory with --records", .path.display())]
pub struct JournalError {
    /// The record's file.
    path: PathBuf,
    /// The system's answer.
    source: io::Error,
}

/// Appends to a record and keeps its file complete: it is replaced as a whole after every entry.
#[derive(Debug)]
pub struct Journal {
    record: Record,
    path: PathBuf,
    began: Instant,
    phase: Phase,
}

impl Journal {
    /// Opens the record of `case` in `directory`.
    ///
    /// # Errors
    /// [`JournalError`] when the directory cannot be made or written.
    pub fn open(directory: &Path, case: Case, claim: &str, seeds: &[&str]) -> Result<Journal, JournalError> {
        let path = directory.join(file_name(&case));
        fs::create_dir_all(directory).map_err(|source| JournalError { path: path.clone(), source })?;
        let record = Record::open(case, claim, seeds);
        let journal = Journal { record, path, began: Instant::now(), phase: Phase::Gate };
        journal.write()?;
        Ok(journal)
    }

    /// Says in the record which part of a run it belongs to.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be written.
    pub fn in_shard(mut self, shard: Option<PartOfRun>) -> Result<Journal, JournalError> {
        if shard.is_some() {
            self.record.shard = shard;
            self.write()?;
        }
        Ok(self)
    }

    /// Enters a phase; later entries belong to it.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// The phase entries belong to now.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Appends an event.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be written; the event is kept in memory.
    pub fn append(&mut self, event: Event) -> Result<(), JournalError> {
        let at_seconds = self.elapsed();
        self.record.entries.push(Entry { at_seconds, phase: self.phase, event });
        self.record.seconds = at_seconds;
        self.write()
    }

    /// Closes the record with its verdict.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be written.
    pub fn close(mut self, verdict: Verdict, message: Option<String>) -> Result<Record, JournalError> {
        self.record.seconds = self.elapsed();
        self.record.verdict = Some(verdict);
        self.record.message = message;
        self.write()?;
        Ok(self.record)
    }

    /// The record's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The record as it stands.
    pub fn record(&self) -> &Record {
        &self.record
    }

    fn elapsed(&self) -> f64 {
        (self.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    fn write(&self) -> Result<(), JournalError> {
        let failed = |source: io::Error| JournalError { path: self.path.clone(), source };
        let text = serde_json::to_string_pretty(&self.record).map_err(|error| failed(error.into()))?;
        // Two runs may keep their records in one directory.
        let temporary = self.path.with_extension(format!("json.{}.partial", std::process::id()));
        fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &self.path)).map_err(|error| {
            // The record as it was before this entry stays; half of a new one helps nobody.
            let _ = fs::remove_file(&temporary);
            failed(error)
        })
    }
}

/// `policy--the-controller-is-cut-off--flannel--cluster-wide.json`.
fn file_name(case: &Case) -> String {
    let word = |text: &str| {
        let letters =
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
        letters.collect::<String>().split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    };
    let parts = [&case.family, &case.name, &case.cluster, &case.cni, &case.topology];
    format!("{}.json", parts.map(|part| word(part)).join("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        Case {
            name: "DNS allowed to nobody!".into(),
            family: "policy".into(),
            cni: "calico".into(),
            topology: "per-namespace".into(),
            cluster: "embedded".into(),
        }
    }

    #[test]
    fn the_file_is_complete_after_every_entry() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path(), case(), "names resolve", &["004"]).unwrap();
        let file =
            directory.path().join("policy--dns-allowed-to-nobody--embedded--calico--per-namespace.json");
        let read = || serde_json::from_str::<Record>(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(read().verdict, None);
        journal.enter(Phase::Healthy);
        journal.append(Event::Step { what: "looked".into() }).unwrap();
        assert_eq!(read().entries.len(), 1);
        assert_eq!(read().entries[0].phase, Phase::Healthy);
        let record = journal.close(Verdict::Failed, Some("it did not".into())).unwrap();
        assert_eq!(read(), record);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Journal::open(&file.join("records"), case(), "", &[]).unwrap_err().to_string();
        assert!(error.contains("--records"), "{error}");
    }
}
