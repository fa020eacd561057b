//! `real`: the commands that show the suite's agreement with a real Kubernetes. They need root, and on a machine that has
//! never run them ten minutes of building.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use crate::conformance::{Conformance, Run, Subject};
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
    /// Cases by verdict.
    verdicts: BTreeMap<String, u32>,
    /// The last line that was said: what a comparison found.
    said: String,
}

#[derive(Debug, Serialize)]
struct Report {
    command: &'static str,
    build: String,
    machine: Machine,
    shown: Vec<Shown>,
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
    };
    report.shown.push(on_somebody_elses(&conformance)?);
    report.shown.push(with_charts(&conformance, root, scratch.path())?);
    record::publish(root, "real", &report, options.write)?;
    Step::cargo(&["test", "--test", "doors", "kubernetes::", "--", "--ignored", "--test-threads", "1"])
        .run(root)?;
    ensure_nothing_left(&before, scratch.path())?;
    for shown in &report.shown {
        ensure!(shown.code == Some(0), "`{}` ended with {:?}: {}", shown.command, shown.code, shown.said);
        ensure!(shown.verdicts.contains_key("passed"), "`{}` passed no case", shown.command);
    }
    Ok(())
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
    Ok(Shown {
        command,
        seconds: (began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        code,
        verdicts,
        said,
    })
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
