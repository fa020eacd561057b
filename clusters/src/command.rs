//! Running external programs: printable as shell lines, output captured whole.

mod awaited;

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command as StdCommand, ExitStatus, Stdio};
use std::thread;

/// A program and its arguments. Its [`fmt::Display`] is a line that can be pasted into a shell.
#[derive(Debug, Clone)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
}

/// What a program that ran to its end left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output, lossily decoded.
    pub stdout: String,
    /// Standard error, lossily decoded.
    pub stderr: String,
}

/// Why a program's work cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run `{command}`: {source}")]
    Start {
        /// As it would be pasted into a shell.
        command: String,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("`{command}` failed ({status}): {}", last_lines(.stderr, .stdout))]
    Failed {
        /// As it would be pasted into a shell.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// All it wrote to standard output.
        stdout: String,
        /// All it wrote to standard error.
        stderr: String,
    },
}

/// The telling end of what a failed program said.
fn last_lines(stderr: &str, stdout: &str) -> String {
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

impl Command {
    /// A program found on `PATH`, or by its path.
    pub fn new(program: impl Into<String>) -> Command {
        Command { program: program.into(), arguments: Vec::new(), environment: Vec::new(), directory: None }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Command {
        self.arguments.push(argument.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Command {
        for argument in arguments {
            self = self.arg(argument);
        }
        self
    }

    /// Sets an environment variable for the program.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Command {
        self.environment.push((name.into(), value.as_ref().to_string_lossy().into_owned()));
        self
    }

    /// Sets the directory in which the program runs.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Command {
        self.directory = Some(directory.into());
        self
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// [`CommandError`] when it cannot start or fails; the text names the command and the end of what it said.
    pub fn run(&self) -> Result<Output, CommandError> {
        self.run_with(|_| {})
    }

    /// Runs the program and shows each line of its standard error as it comes, for programs that tell their progress there.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn run_with_errors(&self, line: impl FnMut(&str)) -> Result<Output, CommandError> {
        // A shell joins the two streams; what is said is one text then.
        Command {
            program: "sh".into(),
            arguments: [
                vec!["-c".into(), "exec \"$0\" \"$@\" 2>&1".into(), self.program.clone()],
                self.arguments.clone(),
            ]
            .concat(),
            ..self.clone()
        }
        .run_with(line)
    }

    /// Runs the program and shows each line of its standard output as it comes.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn run_with(&self, mut line: impl FnMut(&str)) -> Result<Output, CommandError> {
        let start = |source| CommandError::Start { command: self.to_string(), source };
        let mut command = StdCommand::new(&self.program);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let mut child = command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let errors = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // What was read before an error is still worth showing.
                let _ = pipe.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        });
        let mut stdout = String::new();
        for text in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let Ok(text) = text else { break };
            line(&text);
            stdout.push_str(&text);
            stdout.push('\n');
        }
        let status = child.wait().map_err(start)?;
        let stderr = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() {
            Ok(Output { stdout, stderr })
        } else {
            Err(CommandError::Failed { command: self.to_string(), status, stdout, stderr })
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(formatter, "cd {} && ", quoted(&directory.to_string_lossy()))?;
        }
        for (name, value) in &self.environment {
            write!(formatter, "{name}={} ", quoted(value))?;
        }
        write!(formatter, "{}", quoted(&self.program))?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {}", quoted(argument)))
    }
}

/// One word of a shell line. A script of many lines is cut: this stands in sentences.
fn quoted(word: &str) -> String {
    if let Some((first, _)) = word.split_once('\n') {
        return format!("{} …", quoted(first));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_a_line_that_can_be_pasted() {
        let command = Command::new("sh").arg("-c").arg("echo it's $X").env("X", "a b").directory("/a dir");
        assert_eq!(command.to_string(), r"cd '/a dir' && X='a b' sh -c 'echo it'\''s $X'");
    }

    #[test]
    fn keeps_both_outputs_and_shows_lines_as_they_come() {
        let mut seen = Vec::new();
        let output = Command::new("sh")
            .arg("-c")
            .arg("echo one; echo two; echo bad >&2")
            .run_with(|l| seen.push(l.to_owned()));
        let output = output.unwrap();
        assert_eq!(seen, ["one", "two"]);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\ntwo\n", "bad\n"));
    }

    #[test]
    fn a_failure_names_command_status_and_reason() {
        let error =
            Command::new("sh").arg("-c").arg("echo no such thing >&2; exit 7").run().unwrap_err().to_string();
        assert!(
            error.contains("exit status: 7") && error.contains("no such thing") && error.contains("sh -c"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Command::new("no-such-program-anywhere").run().unwrap_err().to_string();
        assert!(error.starts_with("cannot run `no-such-program-anywhere`"), "{error}");
    }
}
