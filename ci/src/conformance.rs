//! The program under measurement, as a person has it: built by cargo, run as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Build {
    /// As `cargo conformance` builds it.
    Debug,
    /// Optimised.
    Release,
}

/// Which program is looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Subject {
    /// How it is built.
    #[arg(long, value_enum, default_value = "debug")]
    build: Build,
    /// A program that is built already.
    #[arg(long, value_name = "FILE", conflicts_with = "build")]
    program: Option<PathBuf>,
}

impl Subject {
    /// The program, built if need be.
    ///
    /// # Errors
    /// With the compiler's output.
    pub(crate) fn program(&self, root: &Path) -> anyhow::Result<Conformance> {
        match &self.program {
            Some(executable) => Ok(Conformance { executable: std::path::absolute(executable)? }),
            None => Conformance::build(root, self.build, &[]),
        }
    }

    /// In a word, for a record of figures: a path would tell of this machine and of nothing else.
    pub(crate) fn name(&self) -> String {
        match (&self.program, self.build) {
            (Some(_), _) => "built before".into(),
            (None, Build::Debug) => "debug".into(),
            (None, Build::Release) => "release".into(),
        }
    }
}

/// A built `seldon-conformance`.
#[derive(Debug, Clone)]
pub(crate) struct Conformance {
    executable: PathBuf,
}

/// What `--json` writes, as far as it is needed here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Summary {
    pub(crate) seconds: f64,
    pub(crate) cases: Vec<Case>,
    /// Where two kinds of clusters were compared.
    pub(crate) comparison: Option<Vec<Row>>,
}

/// One case of a [`Summary`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) family: String,
    pub(crate) name: String,
    pub(crate) cni: String,
    pub(crate) topology: String,
    pub(crate) cluster: String,
    pub(crate) verdict: String,
    pub(crate) message: Option<String>,
}

/// A case on two kinds of clusters.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    /// [`Case::place`].
    pub(crate) case: String,
    endings: Vec<Ending>,
    pub(crate) agreement: Agreement,
}

#[derive(Debug, Clone, Deserialize)]
struct Ending {
    cluster: String,
    verdict: String,
    mode: Vec<String>,
}

/// What is said of a [`Row`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "is", content = "reason", rename_all = "snake_case")]
pub(crate) enum Agreement {
    Same,
    /// It ended differently, for this reason.
    Explained(String),
    Differs,
    NotCompared,
}

impl Row {
    /// `embedded passed (policy-denies), k3d failed (no cause named)`.
    pub(crate) fn endings(&self) -> String {
        let ending = |it: &Ending| {
            let mode = if it.mode.is_empty() { "no cause named".into() } else { it.mode.join(", ") };
            format!("{} {} ({mode})", it.cluster, it.verdict)
        };
        self.endings.iter().map(ending).collect::<Vec<_>>().join(", ")
    }
}

impl Case {
    /// `policy: … [k3d flannel cluster-wide]`.
    pub(crate) fn title(&self) -> String {
        format!("{}: {} [{} {} {}]", self.family, self.name, self.cluster, self.cni, self.topology)
    }

    /// `policy: … [flannel cluster-wide]`, on whatever cluster.
    pub(crate) fn place(&self) -> String {
        format!("{}: {} [{} {}]", self.family, self.name, self.cni, self.topology)
    }

    /// Neither failed nor unjudged.
    pub(crate) fn is_green(&self) -> bool {
        matches!(self.verdict.as_str(), "passed" | "skipped" | "known_gap")
    }
}

/// How one run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) summary: Option<Summary>,
}

impl Conformance {
    /// Builds it in the workspace at `root`, with `environment` on top.
    ///
    /// # Errors
    /// With the compiler's output.
    pub(crate) fn build(
        root: &Path,
        build: Build,
        environment: &[(&str, &Path)],
    ) -> anyhow::Result<Conformance> {
        let mut cargo = Command::new("cargo");
        // Of the whole workspace, as the alias: with one package's features alone everything would be built anew.
        cargo.args(["build", "--bin", "seldon-conformance", "--message-format", "json-render-diagnostics"]);
        if build == Build::Release {
            cargo.arg("--release");
        }
        cargo.current_dir(root).envs(environment.iter().copied()).stdin(Stdio::null());
        let output = cargo.output().context("cargo")?;
        let messages = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "cargo build ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let executable = messages.lines().filter_map(executable_of).next_back();
        Ok(Conformance { executable: executable.context("cargo built no seldon-conformance")? })
    }

    /// The program with `arguments`, without standard input.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub(crate) fn say(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(arguments).output().context("seldon-conformance")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "seldon-conformance {} ended with {}:\n{said}{}",
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(said)
    }

    /// Runs the cases that `selection` names; the records go to a directory that is gone afterwards.
    ///
    /// # Errors
    /// When it cannot be started. How it ended is in the answer.
    pub(crate) fn run(&self, selection: &[&str]) -> anyhow::Result<Run> {
        let records = tempfile::tempdir()?;
        let json = records.path().join("summary.json");
        let mut command = self.command(&["run"]);
        command.args(selection).arg("--json").arg(&json).arg("--records").arg(records.path().join("records"));
        let output = command.output().context("seldon-conformance run")?;
        let summary = std::fs::read_to_string(&json).ok().and_then(|text| serde_json::from_str(&text).ok());
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Run { code: output.status.code(), output: said, summary })
    }
}

/// The program's path, in one line of cargo's messages.
fn executable_of(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let own = message["target"]["name"] == "seldon-conformance";
    message["executable"].as_str().filter(|_| own).map(PathBuf::from)
}
