//! zap's development console: `time⇥LEVEL⇥logger⇥message⇥{"key": "value"}`, stack lines below errors.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Fields of one line, in their order. Keys may repeat, as zap lets them.
pub(crate) type Fields<'a> = &'a [(&'a str, Value)];

/// A function and the source line of 2.9.1 in which it was, as recorded stack traces name them.
pub(crate) type Frame = (&'static str, &'static str);

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// zap's level names in any case; an unknown one means `debug`.
    pub(crate) fn parse(text: &str) -> Level {
        match text.to_lowercase().as_str() {
            "info" | "" => Level::Info,
            "warn" => Level::Warn,
            "error" | "dpanic" | "panic" | "fatal" => Level::Error,
            _ => Level::Debug,
        }
    }
}

/// Where lines go.
#[derive(Clone)]
enum Sink {
    Stderr,
    #[cfg(test)]
    Memory(tokio::sync::watch::Sender<Vec<String>>),
}

/// A logger with a name and fields.
#[derive(Clone)]
pub(crate) struct Journal {
    level: Level,
    name: String,
    fields: Vec<(String, Value)>,
    sink: Arc<Mutex<Sink>>,
}

impl Journal {
    /// A nameless logger to standard error.
    pub(crate) fn stderr(level: Level) -> Journal {
        Journal { level, name: String::new(), fields: Vec::new(), sink: Arc::new(Mutex::new(Sink::Stderr)) }
    }

    /// A nameless logger to memory.
    #[cfg(test)]
    pub(crate) fn memory(level: Level) -> (Journal, tokio::sync::watch::Receiver<Vec<String>>) {
        let (sender, lines) = tokio::sync::watch::channel(Vec::new());
        let sink = Arc::new(Mutex::new(Sink::Memory(sender)));
        (Journal { level, name: String::new(), fields: Vec::new(), sink }, lines)
    }

    /// The logger below this one.
    pub(crate) fn named(&self, name: &str) -> Journal {
        let name = if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) };
        Journal { name, ..self.clone() }
    }

    /// This logger with one more field on every line.
    pub(crate) fn with(&self, key: &str, value: Value) -> Journal {
        let mut journal = self.clone();
        journal.fields.push((key.to_owned(), value));
        journal
    }

    /// One `INFO` line.
    pub(crate) fn info(&self, message: &str, fields: Fields) {
        self.line(Level::Info, message, fields, &[]);
    }

    /// One `ERROR` line, the error as last field, with the stack frames that a reader knows from the real program.
    pub(crate) fn error(
        &self,
        error: Option<&dyn std::fmt::Display>,
        message: &str,
        fields: Fields,
        stack: &[Frame],
    ) {
        let mut fields = fields.to_vec();
        if let Some(error) = error {
            fields.push(("error", Value::String(error.to_string())));
        }
        self.line(Level::Error, message, &fields, stack);
    }

    fn line(&self, level: Level, message: &str, fields: Fields, stack: &[Frame]) {
        if level < self.level {
            return;
        }
        let mut text = console_line(&timestamp(jiff::Timestamp::now()), level, &self.name, message);
        let own = self.fields.iter().map(|(key, value)| (key.as_str(), value));
        let all: Vec<(&str, &Value)> = own.chain(fields.iter().map(|(key, value)| (*key, value))).collect();
        append_fields(&mut text, &all);
        for (function, place) in stack {
            let _ = write!(text, "\n{function}\n\t{place}");
        }
        self.raw(&text);
    }

    /// A line as it is: for those that do not come from zap.
    pub(crate) fn raw(&self, text: &str) {
        let Ok(sink) = self.sink.lock() else { return };
        match &*sink {
            // Nobody can be told when standard error is gone.
            Sink::Stderr => {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
            #[cfg(test)]
            Sink::Memory(lines) => lines.send_modify(|lines| lines.push(text.to_owned())),
        }
    }
}

/// `2026-11-21T07:12:06.387Z`.
fn timestamp(now: jiff::Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn console_line(time: &str, level: Level, name: &str, message: &str) -> String {
    let level = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    if name.is_empty() {
        format!("{time}\t{level}\t{message}")
    } else {
        format!("{time}\t{level}\t{name}\t{message}")
    }
}

/// zap puts a space after each comma and colon of its own, none inside a field's value.
fn append_fields(text: &mut String, fields: &[(&str, &Value)]) {
    if fields.is_empty() {
        return;
    }
    let written: Vec<String> =
        fields.iter().map(|(key, value)| format!("{}: {value}", Value::from(*key))).collect();
    let _ = write!(text, "\t{{{}}}", written.join(", "));
}

/// klog's header, which client-go's leader election uses: `I1121 07:12:06.391671       1 leaderelection.go:257] `.
pub(crate) fn klog(journal: &Journal, severity: char, place: &str, message: &str) {
    let time = jiff::Timestamp::now().strftime("%m%d %H:%M:%S.%6f");
    journal.raw(&format!("{severity}{time} {:>7} {place}] {message}", std::process::id()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_those_of_zaps_console() {
        let (journal, lines) = Journal::memory(Level::Info);
        let journal = journal.named("schedulerClient").named("LoadModel");
        journal.info("Load", &[("model name", json!("iris"))]);
        journal.with("controller", json!("model")).error(
            Some(&"boom \"x\""),
            "Reconciler error",
            &[("Model", json!({"name": "iris", "namespace": "a"}))],
            &[("main.f", "main.go:1")],
        );
        let lines = lines.borrow();
        let without_time: Vec<&str> =
            lines.iter().map(|line| &line["2026-11-21T07:12:06.387Z".len()..]).collect();
        assert_eq!(
            without_time,
            [
                "\tINFO\tschedulerClient.LoadModel\tLoad\t{\"model name\": \"iris\"}",
                "\tERROR\tschedulerClient.LoadModel\tReconciler error\t{\"controller\": \"model\", \
             \"Model\": {\"name\":\"iris\",\"namespace\":\"a\"}, \"error\": \"boom \\\"x\\\"\"}\nmain.f\n\tmain.go:1",
            ]
        );
        let time: jiff::Timestamp = lines[0].split('\t').next().unwrap().parse().unwrap();
        assert_eq!(timestamp(time), lines[0].split('\t').next().unwrap());
    }

    #[test]
    fn a_higher_level_hides_lower_ones() {
        let (journal, lines) = Journal::memory(Level::Error);
        journal.info("hidden", &[]);
        assert!(lines.borrow().is_empty());
    }
}
