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
/// What it calls itself: without this it is `v5-dev`, which is no version, and fetches the latest helpers.
const K3D_SAYS: &str = "-X github.com/k3d-io/k3d/v5/version.Version=v5.8.3";

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
        preparation: &[Preparation::Setting(&NAMESPACES_FOR_EVERYBODY)],
        reports: "target/push",
    };
    job.run(root, &options.job)
}

/// One cell of the nightly matrix: k3d, held against embedded.
///
/// # Errors
/// When it is not green, or cannot be run.
pub(crate) fn nightly(root: &Path, options: &NightlyOptions) -> anyhow::Result<()> {
    let job = Job {
        cell: Cell::K3d(options.cell.clone()),
        arguments: arguments(&options.cell),
        preparation: &[
            Preparation::Setting(&NAMESPACES_FOR_EVERYBODY),
            Preparation::Program(&["go", "install", "-ldflags", K3D_SAYS, K3D]),
        ],
        reports: "target/nightly",
    };
    job.run(root, &options.job)
}

/// What of the command line is about the clusters.
fn arguments(cell: &K3dCell) -> Vec<String> {
    let K3dCell { k3s, cni, topology, seldon, shard } = cell;
    // Seldon's own programs have no other pace.
    let pace = if seldon == "standin" { "fast" } else { "real" };
    // An embedded cluster has no images of other releases.
    let clusters: &[&str] = match seldon.as_str() {
        "standin" | "2.9.1" => &["--cluster", "embedded,k3d", "--compare"],
        _ => &["--cluster", "k3d"],
    };
    let words = ["--k3s-version", k3s, "--seldon", seldon, "--cni", cni, "--topology", topology];
    let words = clusters.iter().copied().chain(words).chain(["--shard", shard, "--pace", pace]);
    words.map(str::to_owned).collect()
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

/// A command that makes a fresh runner fit.
#[derive(Debug, Clone, Copy)]
enum Preparation<'a> {
    /// Changes how the machine is set.
    Setting(&'a [&'a str]),
    /// Has Go build a program.
    Program(&'a [&'a str]),
}

struct Job<'a> {
    cell: Cell,
    arguments: Vec<String>,
    preparation: &'a [Preparation<'a>],
    /// Where the report goes unless somebody says otherwise.
    reports: &'a str,
}

/// Where Go puts programs: what it takes by itself is not on a runner's PATH.
const PROGRAMS: &str = "target/programs-of-jobs";

impl Preparation<'_> {
    /// Does `with` to the command, by which programs go to `directory`.
    fn step(
        &self,
        directory: &str,
        with: impl FnOnce(&Step<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (environment, words): (&[(&str, &str)], _) = match self {
            Preparation::Setting(words) => (&[], words),
            Preparation::Program(words) => (&[("GOBIN", directory)], words),
        };
        let (program, arguments) = words.split_first().context("a preparation is a command")?;
        with(&Step { environment, program, arguments })
    }
}

impl Job<'_> {
    fn run(&self, root: &Path, options: &JobOptions) -> anyhow::Result<()> {
        let reports = options.reports.as_deref().unwrap_or(Path::new(self.reports));
        let how = How::of(options);
        let programs = root.join(PROGRAMS);
        if how == How::Shown {
            return self.show(&programs, &ReportPlace::shown(reports));
        }
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        if how == How::OnFreshRunner {
            self.prepare(root, &programs)?;
            path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)))?;
        }
        let directory = root.join(reports);
        let place = ReportPlace::open(&directory, &self.cell)?;
        let conformance = options.subject.program(root)?;
        let all = self.all(&place);
        println!("$ {}", line(&all));
        let words: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut suite = conformance.command(&words);
        let status = suite.env("PATH", path).status().context("seldon-conformance")?;
        // Whatever it says, it is said of the cases one by one, too.
        report::publish(root, &read_reports(&directory)?)?;
        ensure!(status.success(), "{}: the suite ended with {status}", self.cell);
        Ok(())
    }

    fn show(&self, programs: &Path, place: &ReportPlace) -> anyhow::Result<()> {
        let directory = programs.display().to_string();
        let mut path = String::new();
        for preparation in self.preparation {
            if let Preparation::Program(_) = preparation {
                path = format!("PATH={}:\"$PATH\" ", quoted(&directory));
            }
            preparation.step(&directory, |step| {
                println!("$ {step}");
                Ok(())
            })?;
        }
        println!("$ {path}{}", line(&self.all(place)));
        Ok(())
    }

    fn prepare(&self, root: &Path, programs: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(programs).with_context(|| format!("cannot make {}", programs.display()))?;
        let directory = programs.display().to_string();
        self.preparation.iter().try_for_each(|it| it.step(&directory, |step| step.run(root)))
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
    use rstest::rstest;

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
            "seldon-conformance run --cluster embedded,k3d --compare --k3s-version v1.33.1-k3s1 --seldon 2.9.1 --cni \
             calico --topology cluster-wide --shard 2/2 --pace real --json target/nightly/summary.json --junit \
             target/nightly/junit.xml --records target/nightly/records"
        );
    }

    #[test]
    fn k3d_is_told_which_one_it_is() {
        let (_, built) = K3D.rsplit_once('@').unwrap();
        let (_, said) = K3D_SAYS.rsplit_once('=').unwrap();
        assert_eq!(built, said);
    }

    #[rstest]
    #[case::stand_ins("standin", "--cluster embedded,k3d --compare", "--pace fast")]
    #[case::stood_in("2.9.1", "--cluster embedded,k3d --compare", "--pace real")]
    #[case::unknown_to_embedded("2.9.0", "--cluster k3d", "--pace real")]
    fn what_an_embedded_cluster_can_run_is_held_against_it(
        #[case] seldon: &str,
        #[case] begins: &str,
        #[case] ends: &str,
    ) {
        let (k3s, shard) = ("v1.33.1-k3s1".into(), "1/1".into());
        let (cni, topology) = ("flannel".into(), "cluster-wide".into());
        let words = arguments(&K3dCell { k3s, cni, topology, seldon: seldon.into(), shard }).join(" ");
        assert!(words.starts_with(&format!("{begins} --k3s-version ")) && words.ends_with(ends), "{words}");
    }

    fn write_program(file: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Stands in for Go: what it installs can be found under a name that no machine has.
    const A_GO: &str = "#!/bin/sh\n\
        [ \"$1\" = install ] || exit 2\n\
        echo '#!/bin/sh' > \"$GOBIN/k3d-of-the-pretended-go\" && chmod 755 \"$GOBIN/k3d-of-the-pretended-go\"\n";

    /// Stands in for the suite: needs what that installed, and writes a summary.
    const A_SUITE_THAT_NEEDS_IT: &str = "#!/bin/sh\n\
        k3d-of-the-pretended-go || exit 3\n\
        while [ $# -gt 1 ]; do [ \"$1\" = --json ] && out=$2; shift; done\n\
        echo '{\"seconds\":1,\"cases\":[]}' > \"$out\"\n";

    #[test]
    fn what_is_installed_for_a_job_is_found_by_its_suite() {
        let place = tempfile::tempdir().unwrap();
        let (go, suite) = (place.path().join("go"), place.path().join("suite"));
        write_program(&go, A_GO);
        write_program(&suite, A_SUITE_THAT_NEEDS_IT);
        let run = |more: &[&str]| {
            let words = [&["ci", "push", "--program", suite.to_str().unwrap()][..], more].concat();
            let options = <crate::Options as clap::Parser>::try_parse_from(words).unwrap();
            let crate::Command::Push(options) = options.command else { panic!("no push") };
            let job = Job {
                cell: Cell::Embedded,
                arguments: Vec::new(),
                preparation: &[
                    Preparation::Setting(&["test", "-d", PROGRAMS]),
                    Preparation::Program(&[go.to_str().unwrap(), "install", K3D]),
                ],
                reports: "reports",
            };
            job.run(place.path(), &options.job)
        };
        run(&["--dry-run"]).unwrap();
        assert!(!place.path().join(PROGRAMS).exists(), "a dry run touches nothing");
        let error = run(&[]).unwrap_err().to_string();
        assert_eq!(error, "embedded: the suite ended with exit status: 3", "nobody has installed it");
        run(&["--prepare-runner"]).unwrap();
    }

    /// Stands in for the suite: writes the summary that it is told to, and ends with 1.
    const A_SUITE_THAT_FAILS: &str = "#!/bin/sh\n\
        while [ $# -gt 1 ]; do [ \"$1\" = --json ] && out=$2; shift; done\n\
        echo '{\"seconds\":1,\"cases\":[{\"family\":\"policy\",\"name\":\"a\",\"cni\":\"c\",\"topology\":\"t\",\
        \"cluster\":\"embedded\",\"verdict\":\"failed\",\"message\":null}]}' > \"$out\"\nexit 1\n";

    #[test]
    fn a_suite_that_fails_fails_its_job_and_leaves_its_report() {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("a-suite-that-fails");
        write_program(&program, A_SUITE_THAT_FAILS);
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
