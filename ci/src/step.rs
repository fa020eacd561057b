//! A command as a line that can be pasted, with its time and, when it fails, its output.

use std::fmt;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

/// A program with its arguments and what its environment needs on top.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) environment: &'a [(&'a str, &'a str)],
    pub(crate) program: &'a str,
    pub(crate) arguments: &'a [&'a str],
}

impl<'a> Step<'a> {
    /// `cargo` with `arguments`.
    pub(crate) fn cargo(arguments: &'a [&'a str]) -> Step<'a> {
        Step { environment: &[], program: "cargo", arguments }
    }

    /// The command, to be run in `directory`, without standard input.
    pub(crate) fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.arguments).current_dir(directory).stdin(Stdio::null());
        command.envs(self.environment.iter().copied());
        command
    }

    /// Prints the line, runs it in `directory`, prints its time.
    ///
    /// # Errors
    /// With the whole output when it fails.
    pub(crate) fn run(&self, directory: &Path) -> anyhow::Result<()> {
        print!("$ {self}");
        stdout().flush()?;
        let began = Instant::now();
        let output =
            self.command(directory).output().with_context(|| format!("cannot start {}", self.program))?;
        println!("    {:.1} s", began.elapsed().as_secs_f64());
        if !output.status.success() {
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
            println!("{}\n{}", said(&output.stdout), said(&output.stderr));
            bail!("{self} ended with {}", output.status);
        }
        Ok(())
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.environment {
            write!(formatter, "{name}={} ", quoted(value))?;
        }
        formatter.write_str(self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {}", quoted(argument)))
    }
}

/// `word` as a POSIX shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
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
    fn a_step_prints_as_a_line_that_a_shell_runs() {
        let step =
            Step { environment: &[("A", "it's")], program: "printf", arguments: &["%s", "-D warnings"] };
        let line = step.to_string();
        assert_eq!(line, r"A='it'\''s' printf %s '-D warnings'");
        let shell = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(shell.stdout, b"-D warnings");
    }

    #[test]
    fn a_failing_step_says_which() {
        let step = Step { environment: &[], program: "false", arguments: &[] };
        assert_eq!(step.run(Path::new(".")).unwrap_err().to_string(), "false ended with exit status: 1");
    }
}
