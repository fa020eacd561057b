//! Log lines as logrus writes them when its output is no terminal: `time="…" level=info msg="…" func=… source=…`.

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

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
        let text = format_line(Timestamp::now(), level, message, fields);
        match &self.sink {
            // Standard error gone is no reason to stop scheduling.
            Sink::Stderr => drop(writeln!(std::io::stderr().lock(), "{text}")),
            Sink::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).push(text),
        }
    }
}

/// One line, without the line feed.
fn format_line(time: Timestamp, level: Level, message: &str, fields: &[(&str, &str)]) -> String {
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    let mut line =
        format!("time=\"{}\" level={level} msg={}", time.strftime("%Y-%m-%dT%H:%M:%SZ"), quoted(message));
    for (name, value) in fields {
        line.push_str(&format!(" {name}={}", quoted(value)));
    }
    line
}

/// The value as logrus prints it: bare when it has only harmless characters, else quoted as Go quotes.
fn quoted(value: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if value.chars().all(harmless) {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::sentence(
        Level::Info, "Scheduler is ready", &[],
        r#"time="2026-11-21T07:12:40Z" level=info msg="Scheduler is ready""#)]
    #[case::fields_are_sorted(
        Level::Debug, "Schedule model", &[("func", "scheduleToServer"), ("model", "iris"), ("Name", "SimpleScheduler")],
        r#"time="2026-11-21T07:12:40Z" level=debug msg="Schedule model" Name=SimpleScheduler func=scheduleToServer model=iris"#)]
    #[case::quotes(
        Level::Warning, "x", &[("error", "a \"b\"\n\\")],
        r#"time="2026-11-21T07:12:40Z" level=warning msg=x error="a \"b\"\n\\""#)]
    fn writes_as_logrus(
        #[case] level: Level,
        #[case] message: &str,
        #[case] fields: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let time: Timestamp = "2026-11-21T07:12:40.9Z".parse().unwrap();
        assert_eq!(format_line(time, level, message, fields), expected);
    }

    #[test]
    fn keeps_only_what_matters_enough() {
        let journal = Journal::memory(Level::Info);
        journal.line(Level::Debug, "no", &[]);
        journal.line(Level::Info, "yes", &[]);
        assert_eq!(journal.kept().len(), 1);
    }

    #[test]
    fn refuses_an_unknown_level() {
        assert_eq!(Level::parse("WARN"), Ok(Level::Warning));
        assert_eq!(Level::parse("loud"), Err("not a valid logrus Level: \"loud\"".to_owned()));
    }
}
