//! The agent's logger: logrus lines on standard error, with fields that stay.

use std::fmt::Display;
use std::io::Write;

use jiff::Timestamp;
use logrus::Level;

/// A logger with its fields, printing to standard error.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    level: Level,
    fields: Vec<(&'static str, String)>,
}

impl Log {
    /// A logger without fields.
    pub(crate) fn new(level: Level) -> Log {
        Log { level, fields: Vec::new() }
    }

    /// This logger with one more field; a field of the same name is replaced.
    #[must_use]
    pub(crate) fn with(&self, key: &'static str, value: impl Display) -> Log {
        let mut fields = self.fields.clone();
        fields.retain(|(existing, _)| *existing != key);
        fields.push((key, value.to_string()));
        Log { level: self.level, fields }
    }

    /// This logger with the field `error`.
    #[must_use]
    pub(crate) fn error_field(&self, error: &dyn Display) -> Log {
        self.with("error", error)
    }

    /// Prints an info line.
    pub(crate) fn info(&self, message: impl Display) {
        self.print(Level::Info, &message);
    }

    /// Prints a warning.
    pub(crate) fn warn(&self, message: impl Display) {
        self.print(Level::Warning, &message);
    }

    /// Prints an error line.
    pub(crate) fn error(&self, message: impl Display) {
        self.print(Level::Error, &message);
    }

    /// Prints a fatal line; the caller ends the program with status 1.
    pub(crate) fn fatal(&self, message: impl Display) {
        self.print(Level::Fatal, &message);
    }

    fn print(&self, level: Level, message: &dyn Display) {
        if level > self.level {
            return;
        }
        let fields: Vec<_> = self.fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let line = logrus::line(Timestamp::now(), level, &message.to_string(), &fields);
        // A log that cannot be written must not stop the program.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}
