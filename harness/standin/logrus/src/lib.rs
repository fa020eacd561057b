//! Log lines in the text format of logrus, as Seldon 2.9.1's Go programs print them when not on a terminal:
//! `time="2026-11-21T07:12:30Z" level=info msg="Subscribed to scheduler" Name=AgentServiceManager func=waitReady`.

use std::fmt;

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

/// One line, without the line feed; fields are sorted by name.
#[must_use]
pub fn line(time: Timestamp, level: Level, message: &str, fields: &[(&str, &str)]) -> String {
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    let mut line =
        format!("time=\"{}\" level={level} msg={}", time.strftime("%Y-%m-%dT%H:%M:%SZ"), value(message));
    for (name, text) in fields {
        line.push_str(&format!(" {name}={}", value(text)));
    }
    line
}

/// A value: bare when it has only harmless characters, else quoted as Go's `%q` does.
fn value(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::sentence(
        Level::Info, "Scheduler is ready", &[],
        r#"level=info msg="Scheduler is ready""#)]
    #[case::fields_are_sorted(
        Level::Debug, "Schedule model", &[("func", "scheduleToServer"), ("model", "iris"), ("Name", "SimpleScheduler")],
        r#"level=debug msg="Schedule model" Name=SimpleScheduler func=scheduleToServer model=iris"#)]
    #[case::quotes(
        Level::Warning, "x", &[("error", "a \"b\"\n\\")],
        r#"level=warning msg=x error="a \"b\"\n\\""#)]
    #[case::a_bare_message(
        Level::Info, "Stopping", &[("func", "StartControlLoop"), ("Name", "AgentServiceManager")],
        "level=info msg=Stopping Name=AgentServiceManager func=StartControlLoop")]
    #[case::an_empty_value(
        Level::Info, "Sent agent model event to scheduler", &[("modelEventResponse", ""), ("Name", "A")],
        r#"level=info msg="Sent agent model event to scheduler" Name=A modelEventResponse="#)]
    #[case::quotes_within(
        Level::Info, "will copy model artifacts",
        &[("func", "Copy"), ("source_uri", ":http,url=\"http://s:1\":m"), ("destination_uri", "/mnt/agent/rclone/1")],
        r#"level=info msg="will copy model artifacts" destination_uri=/mnt/agent/rclone/1 func=Copy source_uri=":http,url=\"http://s:1\":m""#)]
    fn writes_as_logrus(
        #[case] level: Level,
        #[case] message: &str,
        #[case] fields: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let time: Timestamp = "2026-11-21T07:12:40.9Z".parse().unwrap();
        assert_eq!(line(time, level, message, fields), format!("time=\"2026-11-21T07:12:40Z\" {expected}"));
    }

    #[test]
    fn refuses_an_unknown_level() {
        assert_eq!(Level::parse("WARN"), Ok(Level::Warning));
        assert_eq!(Level::parse("loud"), Err("not a valid logrus Level: \"loud\"".to_owned()));
    }
}
