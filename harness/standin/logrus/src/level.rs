//! Levels of importance.

use std::fmt;

/// How much a line matters, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `panic`
    Panic,
    /// `fatal`
    Fatal,
    /// `error`
    Error,
    /// `warning`
    Warning,
    /// `info`
    Info,
    /// `debug`
    Debug,
    /// `trace`
    Trace,
}

impl Level {
    /// The level of that name, as `--log-level` takes it; case does not matter.
    ///
    /// # Errors
    /// logrus's words for a name it does not know.
    pub fn parse(name: &str) -> Result<Level, String> {
        match name.to_ascii_lowercase().as_str() {
            "panic" => Ok(Level::Panic),
            "fatal" => Ok(Level::Fatal),
            "error" => Ok(Level::Error),
            "warn" | "warning" => Ok(Level::Warning),
            "info" => Ok(Level::Info),
            "debug" => Ok(Level::Debug),
            "trace" => Ok(Level::Trace),
            _ => Err(format!("not a valid logrus Level: \"{name}\"")),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Panic => "panic",
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        })
    }
}
