//! Log lines in the text format of logrus, as Seldon 2.9.1's Go programs print them when not on a terminal:
//! `time="2026-11-21T07:12:30Z" level=info msg="Subscribed to scheduler" Name=AgentServiceManager func=waitReady`.

use std::fmt::Display;
use std::io::Write;

use jiff::Timestamp;

/// How grave a line is; a logger prints its own level and what is graver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Fatal lines end the program after they are printed.
    Fatal,
    /// Something failed.
    Error,
    /// Something is odd.
    Warning,
    /// What happens.
    Info,
    /// What happens in detail.
    Debug,
}

impl Level {
    /// The level of a name such as `info`.
    pub(crate) fn parse(name: &str) -> Option<Level> {
        match name.to_lowercase().as_str() {
            "panic" | "fatal" => Some(Level::Fatal),
            "error" => Some(Level::Error),
            "warn" | "warning" => Some(Level::Warning),
            "info" => Some(Level::Info),
            "debug" | "trace" => Some(Level::Debug),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

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
        let line = line(&second(Timestamp::now()), level, &message.to_string(), &self.fields);
        // A log that cannot be written must not stop the program.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn line(time: &str, level: Level, message: &str, fields: &[(&'static str, String)]) -> String {
    let mut line = format!("time=\"{time}\" level={} msg={}", level.name(), value(message));
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    for (key, text) in sorted {
        line.push_str(&format!(" {key}={}", value(text)));
    }
    line.push('\n');
    line
}

/// A value, quoted when it holds more than letters, digits and a few signs.
fn value(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// Go's `%q`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Stopping", vec![("func", "StartControlLoop"), ("Name", "AgentServiceManager")],
        "time=\"T\" level=info msg=Stopping Name=AgentServiceManager func=StartControlLoop\n")]
    #[case("Sent agent model event to scheduler", vec![("modelEventResponse", ""), ("Name", "A")],
        "time=\"T\" level=info msg=\"Sent agent model event to scheduler\" Name=A modelEventResponse=\n")]
    #[case("will copy model artifacts",
        vec![("func", "Copy"), ("source_uri", ":http,url=\"http://s:1\":m"), ("destination_uri", "/mnt/agent/rclone/1")],
        "time=\"T\" level=info msg=\"will copy model artifacts\" destination_uri=/mnt/agent/rclone/1 func=Copy \
         source_uri=\":http,url=\\\"http://s:1\\\":m\"\n")]
    fn lines_are_logruss(
        #[case] message: &str,
        #[case] fields: Vec<(&'static str, &str)>,
        #[case] expected: &str,
    ) {
        let fields: Vec<_> = fields.into_iter().map(|(key, text)| (key, text.to_owned())).collect();
        assert_eq!(line("T", Level::Info, message, &fields), expected);
    }
}
