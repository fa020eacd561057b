//! Log lines in the text format of logrus, as Seldon 2.9.1's Go programs print them when not on a terminal:
//! `time="2026-11-21T07:12:30Z" level=info msg="Subscribed to scheduler" Name=AgentServiceManager func=waitReady`.

mod level;

use jiff::Timestamp;

pub use level::Level;

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
