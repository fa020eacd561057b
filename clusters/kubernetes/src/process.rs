//! Programs of the node, as children of the supervisor.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use tokio::process::{Child, Command};

use crate::spec::NodePrograms;
use crate::step::Program;

/// The environment of every program over the node's `programs`.
pub(crate) fn environment(programs: &NodePrograms) -> Vec<(&'static str, String)> {
    let listed = |directories: &[PathBuf]| {
        directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
    };
    let mut environment = vec![
        ("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", listed(&programs.path))),
        ("HOME", "/root".to_owned()),
    ];
    if !programs.libraries.is_empty() {
        environment.push(("LD_LIBRARY_PATH", listed(&programs.libraries)));
    }
    environment.extend(programs.xtables.iter().map(|path| ("XTABLES_LIBDIR", path.display().to_string())));
    environment
}

/// How programs are started: where they log, and what they see of the environment.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    logs: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Launcher {
    /// Programs have this environment; they log to files in `logs`.
    pub(crate) fn new(environment: &[(&'static str, String)], logs: &Path) -> Launcher {
        Launcher { logs: logs.to_owned(), environment: environment.to_vec() }
    }

    /// `program` with its environment and no other. A name is looked for where the node's programs are.
    fn command(&self, program: &Program) -> Command {
        let own = self.environment.iter().find(|(name, _)| *name == "PATH").map_or("", |(_, path)| path);
        let found = std::env::split_paths(own)
            .map(|directory| directory.join(&program.program))
            .find(|candidate| candidate.is_file());
        let mut command = Command::new(found.as_deref().unwrap_or(&program.program));
        let variables = self.environment.iter().chain(&program.environment);
        command.env_clear().envs(variables.map(|(name, value)| (name, value))).args(&program.arguments);
        command
    }

    /// Starts `program`, which goes on until the cluster ends; it logs to a file called `name`.
    pub(crate) fn start(&self, name: &'static str, program: &Program) -> anyhow::Result<Running> {
        let log = self.log(name);
        let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = file.try_clone().with_context(|| format!("cannot share {}", log.display()))?;
        let mut command = self.command(program);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::from(file))
            .stderr(Stdio::from(errors))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name} ({:?})", command.as_std().get_program()))?;
        Ok(Running { name, child, log })
    }

    /// Runs `program` to its end; what it printed.
    pub(crate) async fn run(&self, name: &str, program: &Program) -> anyhow::Result<String> {
        let mut command = self.command(program);
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot start {name} ({:?})", command.as_std().get_program()))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        // A log that cannot be written is missed by nobody who has the error.
        let _ = std::fs::write(self.log(name), &said);
        anyhow::ensure!(output.status.success(), "{name} failed ({}): {}", output.status, end_of(&said));
        Ok(said)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

/// A program that goes on.
#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its process, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns when the program has ended, which none of them should: with what it said last.
    pub(crate) async fn ended(&mut self) -> String {
        let how = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        format!("{} ended ({how}): {}", self.name, end_of(&said))
    }
}

/// The last lines of a log, on one line.
fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher(logs: &Path) -> Launcher {
        Launcher::new(&[("PATH", "/usr/bin:/bin".to_owned())], logs)
    }

    #[tokio::test]
    async fn a_program_that_ends_says_why() {
        let logs = tempfile::tempdir().unwrap();
        let launcher = launcher(logs.path());
        let program = Program::new("sh").args(["-c", "echo one; echo; echo two >&2; exit 3"]);
        let mut running = launcher.start("part", &program).unwrap();
        assert_eq!(running.ended().await, "part ended (exit status: 3): one | two");
    }

    #[tokio::test]
    async fn a_run_that_fails_is_named_and_logged() {
        let logs = tempfile::tempdir().unwrap();
        let launcher = launcher(logs.path());
        let program = Program::new("sh").args(["-c", "echo broken; exit 1"]);
        let error = launcher.run("step", &program).await.unwrap_err().to_string();
        assert_eq!(error, "step failed (exit status: 1): broken");
        assert_eq!(std::fs::read_to_string(logs.path().join("step.log")).unwrap(), "broken\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let logs = tempfile::tempdir().unwrap();
        let launcher = launcher(logs.path());
        let error = launcher.start("part", &Program::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("cannot start part (\"no-such-program\")"), "{error}");
    }
}
