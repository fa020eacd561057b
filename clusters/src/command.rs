//! Running external programs: printable as shell lines, output captured whole, bounded in time.

mod awaited;
mod bounded;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command as StdCommand, ExitStatus, Stdio};
use std::time::Duration;

use bounded::Attendance;
use nix::sys::signal::Signal;

use crate::onlooker::Onlooker;

/// How long a program may take to answer a question, such as which version it is.
pub(crate) const QUESTION: Duration = Duration::from_secs(15);
/// How long something of the network may take to arrive.
pub const FETCH: Duration = Duration::from_secs(10 * 60);
/// How long something may take to be built or installed, with all that is fetched for it; and the longest that any program
/// is given of which nothing else is said.
pub const BUILD: Duration = Duration::from_secs(30 * 60);

/// A program and its arguments. Its [`fmt::Display`] is a line that can be pasted into a shell.
#[derive(Debug, Clone)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
    input: Option<String>,
    limit: Option<Duration>,
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
    /// It took too long and was killed, with everything it had started.
    #[error("`{command}` did not end within {} s and was killed{}", .limit.as_secs_f32(), said_before(.stderr, .stdout))]
    Expired {
        /// As it would be pasted into a shell.
        command: String,
        /// How long it was given.
        limit: Duration,
        /// All it wrote to standard output.
        stdout: String,
        /// All it wrote to standard error.
        stderr: String,
    },
    /// Somebody asked for its end before it was there.
    #[error("`{command}` was interrupted")]
    Interrupted {
        /// As it would be pasted into a shell.
        command: String,
    },
}

impl CommandError {
    /// What it wrote to standard error before it failed.
    pub fn stderr(&self) -> &str {
        match self {
            CommandError::Failed { stderr, .. } | CommandError::Expired { stderr, .. } => stderr,
            CommandError::Start { .. } | CommandError::Interrupted { .. } => "",
        }
    }
}

fn said_before(stderr: &str, stdout: &str) -> String {
    match last_lines(stderr, stdout).as_str() {
        "" => String::new(),
        said => format!("; it had said: {said}"),
    }
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
        Command {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            input: None,
            limit: None,
        }
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

    /// Sets what the program reads from standard input.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Command {
        self.input = Some(text.into());
        self
    }

    /// Sets how long the program may run.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Command {
        self.limit = Some(limit);
        self
    }

    /// Runs the program to its end, or to the end of its time; with this process it is killed.
    ///
    /// # Errors
    /// [`CommandError`] when it cannot start, fails or takes too long; the text names the command and the end of what it
    /// said.
    pub fn run(&self) -> Result<Output, CommandError> {
        self.run_bounded(None, &|| false)
    }

    /// The same, and it is killed when whoever waits for it wants that.
    ///
    /// # Errors
    /// As [`Command::run`], and that it was interrupted.
    pub fn run_for(&self, onlooker: &Onlooker<'_>) -> Result<Output, CommandError> {
        self.run_bounded(None, onlooker.stop())
    }

    /// The same; `line` is given each line of both outputs as it comes.
    ///
    /// # Errors
    /// As [`Command::run_for`].
    pub fn run_with(
        &self,
        onlooker: &Onlooker<'_>,
        mut line: impl FnMut(&str),
    ) -> Result<Output, CommandError> {
        bounded::run(self, Attendance { held: None, stop: onlooker.stop(), line: &mut line })
    }

    /// Runs the program in a process group of its own, which is killed when its time is over or `stop` says so.
    /// `held` is open for as long as the program or what it started runs: its lock then says so to others, and a kill of this
    /// process is no end of it.
    ///
    /// # Errors
    /// As [`Command::run_for`].
    pub fn run_bounded(&self, held: Option<&File>, stop: &dyn Fn() -> bool) -> Result<Output, CommandError> {
        bounded::run(self, Attendance { held, stop, line: &mut |_| {} })
    }

    /// Begins the program in a process group of its own and lets it go on; both outputs go to `log`.
    pub(crate) fn begin(&self, log: &File) -> Result<std::process::Child, CommandError> {
        let copy = || log.try_clone().map(Stdio::from).map_err(|error| self.cannot_start(error));
        let mut command = self.prepared();
        command.stdin(Stdio::null()).stdout(copy()?).stderr(copy()?);
        command.spawn().map_err(|error| self.cannot_start(error))
    }

    /// With both outputs captured and a process group of its own, before it is spawned.
    fn prepared(&self) -> StdCommand {
        let mut command = StdCommand::new(&self.program);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    /// How long it is let run.
    fn time(&self) -> Duration {
        self.limit.unwrap_or(BUILD)
    }

    fn cannot_start(&self, source: io::Error) -> CommandError {
        CommandError::Start { command: self.to_string(), source }
    }

    fn judged(&self, status: ExitStatus, stdout: String, stderr: String) -> Result<Output, CommandError> {
        if status.success() {
            Ok(Output { stdout, stderr })
        } else {
            Err(CommandError::Failed { command: self.to_string(), status, stdout, stderr })
        }
    }
}

impl Command {
    /// As a line that is bounded in time as the command is.
    pub(crate) fn bounded_line(&self) -> String {
        let timeout = self.limit.map(|limit| format!("timeout {} ", limit.as_secs()));
        self.line(&timeout.unwrap_or_default())
    }

    fn line(&self, before_program: &str) -> String {
        let mut line = String::new();
        if let Some(directory) = &self.directory {
            line.push_str(&format!("cd {} && ", quoted(&directory.to_string_lossy())));
        }
        for (name, value) in &self.environment {
            line.push_str(&format!("{name}={} ", quoted(value)));
        }
        line.push_str(before_program);
        line.push_str(&quoted(&self.program));
        for argument in &self.arguments {
            line.push_str(&format!(" {}", quoted(argument)));
        }
        if let Some(text) = &self.input {
            line.push_str(&format!(" <<'EOF'\n{}\nEOF", text.trim_end_matches('\n')));
        }
        line
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.line(""))
    }
}

/// The kernel kills the program when the thread that starts it is gone, which a kill of this process is, too.
#[expect(
    unsafe_code,
    reason = "a closure between fork and exec; it makes one system call and allocates nothing"
)]
fn die_with_us(command: &mut StdCommand) {
    let ask = || nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from);
    // SAFETY: prctl is safe to call there, and an errno becomes an error without allocation.
    unsafe { command.pre_exec(ask) };
}

/// One word of a shell line. A script of many lines is cut: this stands in sentences.
pub(crate) fn quoted(word: &str) -> String {
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
            .arg("echo one; echo bad >&2; printf two")
            .run_with(&Onlooker::patient(&|_| {}), |l| seen.push(l.to_owned()));
        let output = output.unwrap();
        // Two streams have no order among them.
        seen.retain(|line| line != "bad");
        assert_eq!(seen, ["one", "two"]);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\ntwo", "bad\n"));
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
