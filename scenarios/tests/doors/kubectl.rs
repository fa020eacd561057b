//! The real `kubectl` against a cluster that is up.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::door::{Answer, required};

/// Whether there is one; says why not. `CONFORMANCE_REQUIRE=kubectl` makes that a failure.
pub(crate) fn is_there() -> bool {
    let there =
        Command::new("kubectl").args(["version", "--client"]).output().is_ok_and(|it| it.status.success());
    if !there {
        assert!(!required("kubectl"), "there is no kubectl on PATH");
        eprintln!("skipped: there is no kubectl on PATH");
    }
    there
}

/// `kubectl` with a kubeconfig and nothing else of its user's.
pub(crate) struct Kubectl<'a> {
    /// The file that `cluster up` named.
    pub(crate) config: &'a Path,
    /// For kubectl's own cache.
    pub(crate) home: &'a Path,
}

impl Kubectl<'_> {
    /// A command that is not started yet.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.args(line.split_whitespace()).env("KUBECONFIG", self.config).env("HOME", self.home);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, line: &str) -> Answer {
        Answer::of(&mut self.command(line))
    }

    /// Runs it and demands success; what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let answer = self.run(line);
        assert_eq!(answer.code, Some(0), "kubectl {line}\n{}{}", answer.out, answer.err);
        answer.out
    }

    /// Runs it with a manifest on standard input.
    pub(crate) fn feed(&self, line: &str, manifest: &str) -> Answer {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }
}
