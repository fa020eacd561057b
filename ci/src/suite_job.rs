//! `push` and `nightly`: the suite as a job of a workflow runs it, and as a person can type it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use crate::cell::{Cell, K3dCell, ReportPlace, read_reports};
use crate::conformance::Subject;
use crate::report;
use crate::step::{Step, quoted};

/// k3d, as Go builds and checks it.
const K3D: &str = "github.com/k3d-io/k3d/v5@v5.8.3";

/// Ubuntu lets nobody but root make the namespaces of which a cluster is made.
pub(crate) const NAMESPACES_FOR_EVERYBODY: [&str; 4] =
    ["sudo", "sysctl", "-w", "kernel.apparmor_restrict_unprivileged_userns=0"];

#[derive(Debug, Args)]
pub(crate) struct JobOptions {
    /// Where the report goes; below target when absent.
    #[arg(long, value_name = "DIRECTORY")]
    reports: Option<PathBuf>,
    /// Change the machine as a fresh hosted runner needs it; asks for sudo.
    #[arg(long)]
    prepare_runner: bool,
    /// Print the commands, and run none.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    subject: Subject,
}

#[derive(Debug, Args)]
pub(crate) struct PushOptions {
    #[command(flatten)]
    job: JobOptions,
}

#[derive(Debug, Args)]
pub(crate) struct NightlyOptions {
    #[command(flatten)]
    cell: K3dCell,
    #[command(flatten)]
    job: JobOptions,
}

/// The embedded suite.
///
/// # Errors
/// When it is not green, or cannot be run.
pub(crate) fn push(root: &Path, options: &PushOptions) -> anyhow::Result<()> {
    let job = Job {
        cell: Cell::Embedded,
        arguments: Vec::new(),
        preparation: &[&NAMESPACES_FOR_EVERYBODY],
        reports: "target/push",
    };
    job.run(root, &options.job)
}

/// One cell of the nightly matrix, on k3d.
///
/// # Errors
/// When it is not green, or cannot be run.
pub(crate) fn nightly(root: &Path, options: &NightlyOptions) -> anyhow::Result<()> {
    let job = Job {
        cell: Cell::K3d(options.cell.clone()),
        arguments: arguments(&options.cell),
        preparation: &[&["go", "install", K3D]],
        reports: "target/nightly",
    };
    job.run(root, &options.job)
}

/// What of the command line is about the cluster.
fn arguments(cell: &K3dCell) -> Vec<String> {
    let K3dCell { k3s, cni, topology, seldon, shard } = cell;
    // Seldon's own programs have no other pace.
    let pace = if seldon == "standin" { "fast" } else { "real" };
    ["--cluster", "k3d", "--k3s-version", k3s, "--seldon", seldon, "--cni", cni, "--topology", topology]
        .into_iter()
        .chain(["--shard", shard, "--pace", pace])
        .map(str::to_owned)
        .collect()
}

/// How much is done.
#[derive(Debug, PartialEq, Eq)]
enum How {
    /// The commands are printed.
    Shown,
    /// They are run, on a machine that is prepared first.
    OnFreshRunner,
    /// They are run on this machine as it is.
    Here,
}

impl How {
    fn of(options: &JobOptions) -> How {
        match (options.dry_run, options.prepare_runner) {
            (true, _) => How::Shown,
            (false, true) => How::OnFreshRunner,
            (false, false) => How::Here,
        }
    }
}

struct Job<'a> {
    cell: Cell,
    arguments: Vec<String>,
    preparation: &'a [&'a [&'a str]],
    /// Where the report goes unless somebody says otherwise.
    reports: &'a str,
}

impl Job<'_> {
    fn run(&self, root: &Path, options: &JobOptions) -> anyhow::Result<()> {
        let reports = options.reports.as_deref().unwrap_or(Path::new(self.reports));
        let how = How::of(options);
        let steps = self.preparation.iter().filter_map(|words| {
            let (program, arguments) = words.split_first()?;
            Some(Step { environment: &[], program, arguments })
        });
        if how == How::Shown {
            steps.for_each(|step| println!("$ {step}"));
            let place = ReportPlace::shown(reports);
            println!("$ {}", line(&self.all(&place)));
            return Ok(());
        }
        if how == How::OnFreshRunner {
            for step in steps {
                step.run(root)?;
            }
        }
        let directory = root.join(reports);
        let place = ReportPlace::open(&directory, &self.cell)?;
        let conformance = options.subject.program(root)?;
        let all = self.all(&place);
        println!("$ {}", line(&all));
        let words: Vec<&str> = all.iter().map(String::as_str).collect();
        let status = conformance.command(&words).status().context("seldon-conformance")?;
        // Whatever it says, it is said of the cases one by one, too.
        report::publish(root, &read_reports(&directory)?)?;
        ensure!(status.success(), "{}: the suite ended with {status}", self.cell);
        Ok(())
    }

    fn all(&self, place: &ReportPlace) -> Vec<String> {
        [vec!["run".to_owned()], self.arguments.clone(), place.arguments()].concat()
    }
}

fn line(arguments: &[String]) -> String {
    let words = arguments.iter().map(|word| quoted(word));
    std::iter::once("seldon-conformance".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_command_line_of_the_suite() {
        let cell = K3dCell {
            k3s: "v1.33.1-k3s1".into(),
            cni: "calico".into(),
            topology: "cluster-wide".into(),
            seldon: "2.9.1".into(),
            shard: "2/2".into(),
        };
        let job = Job {
            arguments: arguments(&cell),
            cell: Cell::K3d(cell),
            preparation: &[],
            reports: "target/nightly",
        };
        let place = ReportPlace::shown(Path::new("target/nightly"));
        assert_eq!(
            line(&job.all(&place)),
            "seldon-conformance run --cluster k3d --k3s-version v1.33.1-k3s1 --seldon 2.9.1 --cni calico \
             --topology cluster-wide --shard 2/2 --pace real --json target/nightly/summary.json --junit \
             target/nightly/junit.xml --records target/nightly/records"
        );
    }

    /// Stands in for the suite: writes the summary that it is told to, and ends with 1.
    const A_SUITE_THAT_FAILS: &str = "#!/bin/sh\n\
        while [ $# -gt 1 ]; do [ \"$1\" = --json ] && out=$2; shift; done\n\
        echo '{\"seconds\":1,\"cases\":[{\"family\":\"policy\",\"name\":\"a\",\"cni\":\"c\",\"topology\":\"t\",\
        \"verdict\":\"failed\",\"message\":null}]}' > \"$out\"\nexit 1\n";

    #[test]
    fn a_suite_that_fails_fails_its_job_and_leaves_its_report() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("a-suite-that-fails");
        std::fs::write(&program, A_SUITE_THAT_FAILS).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let reports = place.path().join("reports");
        let words =
            ["ci", "push", "--program", program.to_str().unwrap(), "--reports", reports.to_str().unwrap()];
        let options = <crate::Options as clap::Parser>::try_parse_from(words).unwrap();
        let crate::Command::Push(options) = options.command else { panic!("{words:?} is no push") };
        let error = push(&crate::root(), &options).unwrap_err().to_string();
        assert_eq!(error, "embedded: the suite ended with exit status: 1");
        let left = read_reports(&reports).unwrap();
        assert_eq!((left.len(), &left[0].cell), (1, &Cell::Embedded));
        assert_eq!(left[0].cases.as_ref().unwrap()[0].verdict, "failed");
    }
}
