//! Lines of the program's log, as CoreDNS writes them.

use std::sync::{Arc, Mutex};

/// Where log lines go: the standard output of the program, or a list for whoever asks later.
#[derive(Debug, Clone)]
pub enum Journal {
    /// Standard output, a line at a time.
    Printed,
    /// Kept in memory.
    Kept(Arc<Mutex<Vec<String>>>),
}

impl Journal {
    /// An empty journal in memory.
    #[must_use]
    pub fn kept() -> Journal {
        Journal::Kept(Arc::default())
    }

    /// The lines so far; always empty for [`Journal::Printed`].
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Journal::Printed => Vec::new(),
            Journal::Kept(lines) => lines.lock().map(|lines| lines.clone()).unwrap_or_default(),
        }
    }

    pub(crate) fn line(&self, line: impl Into<String>) {
        let line = line.into();
        match self {
            Journal::Printed => {
                use std::io::Write;
                let _ = writeln!(std::io::stdout().lock(), "{line}");
            }
            Journal::Kept(lines) => {
                if let Ok(mut lines) = lines.lock() {
                    lines.push(line);
                }
            }
        }
    }

    pub(crate) fn info(&self, text: impl AsRef<str>) {
        self.line(format!("[INFO] {}", text.as_ref()));
    }

    pub(crate) fn warning(&self, text: impl AsRef<str>) {
        self.line(format!("[WARNING] {}", text.as_ref()));
    }

    pub(crate) fn error(&self, text: impl AsRef<str>) {
        self.line(format!("[ERROR] {}", text.as_ref()));
    }
}
