//! Where log lines go: standard error, or memory.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
pub use logrus::Level;

#[derive(Debug, Clone)]
enum Sink {
    Stderr,
    Memory(Arc<Mutex<Vec<String>>>),
}

/// Where log lines go, and which of them.
#[derive(Debug, Clone)]
pub struct Journal {
    level: Level,
    sink: Sink,
}

impl Journal {
    /// Lines go to standard error.
    #[must_use]
    pub fn stderr(level: Level) -> Journal {
        Journal { level, sink: Sink::Stderr }
    }

    /// Lines are kept; [`Journal::kept`] returns them. Clones share what is kept.
    #[must_use]
    pub fn memory(level: Level) -> Journal {
        Journal { level, sink: Sink::Memory(Arc::default()) }
    }

    /// The same place with another threshold.
    #[must_use]
    pub fn at(&self, level: Level) -> Journal {
        Journal { level, sink: self.sink.clone() }
    }

    /// The lines kept so far; none when lines go elsewhere.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        match &self.sink {
            Sink::Stderr => Vec::new(),
            Sink::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Writes one line, unless it matters less than the threshold. Fields are sorted by name.
    pub fn line(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if level > self.level {
            return;
        }
        let text = logrus::line(Timestamp::now(), level, message, fields);
        match &self.sink {
            // Standard error gone is no reason to stop scheduling.
            Sink::Stderr => drop(writeln!(std::io::stderr().lock(), "{text}")),
            Sink::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).push(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_what_matters_enough() {
        let journal = Journal::memory(Level::Info);
        journal.line(Level::Debug, "no", &[]);
        journal.line(Level::Info, "yes", &[]);
        assert_eq!(journal.kept().len(), 1);
    }
}
