//! `real`: the commands that show the suite's agreement with a real Kubernetes, and what else needs root: a real Docker
//! engine. On a machine that has never run them they take ten minutes of building.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use regex::Regex;
use serde::Serialize;

use crate::conformance::{Conformance, Run, Subject};
use crate::docker_engine;
use crate::host::{self, Snapshot};
use crate::leaks::ensure_nothing_left;
use crate::machine::Machine;
use crate::record;
use crate::step::{Step, quoted};

/// The cluster of which everything is known but that it is ours.
const NAME: &str = "ci-real";
/// Where it listens.
const ADDRESS: &str = "127.0.0.62";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Keep what was seen in ci/bench.
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    subject: Subject,
}

/// What was run, and how it ended.
#[derive(Debug, Serialize)]
struct Shown {
    command: String,
    seconds: f64,
    code: Option<i32>,
    /// Cases by verdict; of a check that has none, itself.
    verdicts: BTreeMap<String, u32>,
    /// The last line that was said: what a comparison found.
    said: String,
}

impl Shown {
    /// `command`, which ended like this.
    fn of(
        command: &str,
        began: Instant,
        code: Option<i32>,
        verdicts: BTreeMap<String, u32>,
        said: String,
    ) -> Shown {
        let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        Shown { command: command.to_owned(), seconds, code, verdicts, said }
    }

    /// # Errors
    /// When it did not end as it should.
    fn must_be_green(&self) -> anyhow::Result<()> {
        ensure!(self.code == Some(0), "`{}` ended with {:?}: {}", self.command, self.code, self.said);
        ensure!(self.verdicts.contains_key("passed"), "`{}` passed no case", self.command);
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct Report {
    command: &'static str,
    build: String,
    machine: Machine,
    shown: Vec<Shown>,
    /// What the machine is like after all of them.
    afterwards: String,
}

/// Runs them all; the machine must be as before at the end.
///
/// # Errors
/// Naming the command that did not end as it should.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    host::adopt_orphans()?;
    let conformance = options.subject.program(root)?;
    let scratch = tempfile::tempdir()?;
    let machine = Machine::this();
    let before = Snapshot::take();
    let mut report = Report {
        command: "cargo run -p ci -- real",
        build: options.subject.name(),
        machine,
        shown: vec![show(&conformance, &["--cluster", "embedded,kubernetes", "--compare"])?],
        afterwards: String::new(),
    };
    report.shown.push(on_somebody_elses(&conformance)?);
    report.shown.push(with_charts(&conformance, root, scratch.path())?);
    report.shown.push(through_the_front_door(root)?);
    report.shown.push(on_a_docker_engine(&conformance));
    let left = ensure_nothing_left(&before, scratch.path());
    report.afterwards = left.as_ref().map_or_else(|error| format!("{error:#}"), |()| "as before".into());
    record::publish(root, "real", &report, options.write)?;
    left?;
    report.shown.iter().try_for_each(Shown::must_be_green)
}

/// One run with `arguments`.
fn show(conformance: &Conformance, arguments: &[&str]) -> anyhow::Result<Shown> {
    let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
    let command = format!("seldon-conformance run {}", words.join(" "));
    eprintln!("$ {command}");
    let began = Instant::now();
    let Run { code, output, summary } = conformance.run(arguments)?;
    let mut verdicts: BTreeMap<String, u32> = BTreeMap::new();
    for case in summary.iter().flat_map(|summary| &summary.cases) {
        *verdicts.entry(case.verdict.clone()).or_default() += 1;
    }
    eprintln!("{output}");
    let telling = output.lines().rev().find(|line| line.contains("compared") || line.contains("passed"));
    let said = telling.unwrap_or_default().trim().to_owned();
    Ok(Shown::of(&command, began, code, verdicts, said))
}

/// The tests that a usual run leaves out, as they want a real Kubernetes.
fn through_the_front_door(root: &Path) -> anyhow::Result<Shown> {
    let tests =
        Step::cargo(&["test", "--test", "doors", "kubernetes::", "--", "--ignored", "--test-threads", "1"]);
    eprintln!("$ {tests}");
    let began = Instant::now();
    let Output { status, stdout, stderr } = tests.command(root).output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&stdout);
    eprintln!("{}{said}", String::from_utf8_lossy(&stderr));
    let (verdicts, last) = results(&said)?;
    Ok(Shown::of(&tests.to_string(), began, status.code(), verdicts, last))
}

/// Tests by verdict, and the line that tells of them.
fn results(said: &str) -> anyhow::Result<(BTreeMap<String, u32>, String)> {
    let form = Regex::new(r"test result: \w+\. (\d+) passed; (\d+) failed")?;
    let mut verdicts = BTreeMap::new();
    let mut last = String::new();
    for found in said.lines().filter_map(|line| form.captures(line)) {
        for (index, verdict) in [(1, "passed"), (2, "failed")] {
            let count: u32 = found[index].parse()?;
            if count > 0 {
                *verdicts.entry(verdict.to_owned()).or_default() += count;
            }
        }
        last = found[0].to_owned();
    }
    Ok((verdicts, last))
}

/// k3s in a container, as far as that goes here.
fn on_a_docker_engine(conformance: &Conformance) -> Shown {
    let began = Instant::now();
    let (code, verdict, said) = match docker_engine::check(conformance) {
        Ok(reached) => (0, "passed", reached.to_string()),
        Err(error) => (1, "failed", format!("{error:#}")),
    };
    let verdicts = BTreeMap::from([(verdict.to_owned(), 1)]);
    Shown::of("cargo run -p ci -- docker-engine", began, Some(code), verdicts, said)
}

/// Charts of Seldon's shape, hooks and all, by the real helm.
fn with_charts(conformance: &Conformance, root: &Path, scratch: &Path) -> anyhow::Result<Shown> {
    let charts = scratch.join("charts");
    copy(&root.join("scenarios/tests/charts-of-stand-ins"), &charts)?;
    let definitions = root.join("harness/crds/src/definitions");
    copy(&definitions, &charts.join("seldon-core-v2-crds/templates"))?;
    let seldon = format!("charts:{}", charts.display());
    let chosen = ["ready model", "--cluster", "kubernetes", "--cni", "calico", "--seldon", &seldon];
    let mut shown = show(conformance, &chosen)?;
    shown.command = shown.command.replace(&seldon, "charts:DIR");
    fs::remove_dir_all(&charts).context("cannot remove the charts")?;
    Ok(shown)
}

/// A directory with all that is in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let (source, target) = (entry?.path(), to.to_owned());
        let target = target.join(source.file_name().unwrap_or_default());
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// A real cluster that the run knows nothing of but its kubeconfig; all its objects are there afterwards, and no others.
fn on_somebody_elses(conformance: &Conformance) -> anyhow::Result<Shown> {
    let up = ["cluster", "up", NAME, "--cluster", "kubernetes", "--cni", "calico", "--mesh", "none"];
    let said = conformance.say(&[&up[..], &["--host-address", ADDRESS]].concat())?;
    let _down = Down(conformance);
    let file = said.lines().find_map(|line| line.trim().strip_prefix("export KUBECONFIG="));
    let kubeconfig = file.with_context(|| format!("no kubeconfig in: {said}"))?;
    let given = ["--cluster", "given", "--kubeconfig", kubeconfig, "--context", NAME, "--cni", "calico"];
    let mut shown = show(conformance, &[&given[..], &["--allow-cluster-scope"]].concat())?;
    shown.command = shown.command.replace(kubeconfig, "FILE");
    let undone = conformance.say(&["undo", "--kubeconfig", kubeconfig, "--context", NAME])?;
    ensure!(undone.trim() == "nothing to undo", "after the run there was something to undo: {undone}");
    Ok(shown)
}

/// Ends the cluster, whatever happens.
struct Down<'a>(&'a Conformance);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.say(&["cluster", "down", NAME]) {
            eprintln!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(said: &str, code: i32) -> Shown {
        let (verdicts, said) = results(said).unwrap();
        Shown::of("cargo test", Instant::now(), Some(code), verdicts, said)
    }

    #[test]
    fn tests_are_counted_as_cases_are() {
        let shown =
            tests("x\ntest result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out\n", 0);
        assert_eq!(shown.verdicts, BTreeMap::from([("passed".to_owned(), 4)]));
        assert_eq!(shown.said, "test result: ok. 4 passed; 0 failed");
        shown.must_be_green().unwrap();
    }

    #[test]
    fn what_failed_or_never_ran_is_not_green() {
        let red = tests("test result: FAILED. 1 passed; 2 failed; 0 ignored\n", 101);
        assert_eq!(red.verdicts, BTreeMap::from([("failed".to_owned(), 2), ("passed".to_owned(), 1)]));
        let said = "`cargo test` ended with Some(101): test result: FAILED. 1 passed; 2 failed";
        assert_eq!(red.must_be_green().unwrap_err().to_string(), said);
        let none = tests("test result: ok. 0 passed; 0 failed; 0 ignored; 13 filtered out\n", 0);
        assert_eq!(none.must_be_green().unwrap_err().to_string(), "`cargo test` passed no case");
    }
}
