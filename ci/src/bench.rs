//! `bench`: the figures of the README, each with what it was measured on, and beside it the limit that it is meant to keep.
//! No figure fails anything: a machine may be slow, or busy.

mod cluster;
mod figure;
mod image;
mod suite;

use std::path::{Path, PathBuf};

use clap::Args;
use nix::unistd::Uid;
use serde::Serialize;

use cluster::{Kind, Seen};
use figure::{Figure, On, table};
use image::Made;
use suite::Suite;

use crate::conformance::{Conformance, Subject};
use crate::machine::Machine;
use crate::record;

/// Real clusters that are started where nobody says how many.
const USUAL_KUBERNETES: u32 = 3;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Embedded clusters of each kind, and archives of images.
    #[arg(long, default_value_t = 10)]
    repetitions: u32,
    /// Runs of the whole suite, on embedded clusters and on a given one.
    #[arg(long, default_value_t = 1)]
    suites: u32,
    /// Beside them, so many real Kubernetes clusters; 3 where there is root and the programs are built, when absent.
    #[arg(long)]
    kubernetes: Option<u32>,
    /// Runs of the whole suite there, of some minutes each.
    #[arg(long, default_value_t = 1)]
    kubernetes_suites: u32,
    /// Keep the figures in ci/bench.
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    subject: Subject,
}

#[derive(Debug, Serialize)]
struct Report {
    command: &'static str,
    build: String,
    machine: Machine,
    figures: Vec<Figure>,
}

/// Builds, measures, prints.
///
/// # Errors
/// When a cluster does not come up or the suite does not run.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let machine = Machine::this();
    let conformance = options.subject.program(root)?;
    let figures = Samples::take(&conformance, options)?.figures();
    eprintln!("\n{}", table(&figures));
    let report =
        Report { command: "cargo run -p ci -- bench", build: options.subject.name(), machine, figures };
    record::publish(root, "figures", &report, options.write)
}

/// All that is measured; of a real Kubernetes, why not.
struct Samples {
    empty: Vec<Seen>,
    mesh: Vec<Seen>,
    kubernetes: Result<(Vec<Seen>, Suite), String>,
    images: Made,
    suite: Suite,
    given: Suite,
}

impl Samples {
    fn take(conformance: &Conformance, options: &Options) -> anyhow::Result<Samples> {
        let count = options.repetitions;
        let embedded = |mesh: &str| match count {
            0 => Ok(Vec::new()),
            _ => cluster::measure(conformance, Kind::Embedded, mesh, count),
        };
        let (empty, mesh) = (embedded("none")?, embedded("per-namespace")?);
        let kubernetes = match kubernetes_to_start(conformance, options.kubernetes)? {
            Err(why) => Err(why),
            Ok(count) => {
                let seen = cluster::measure(conformance, Kind::Kubernetes, "per-namespace", count)?;
                let there = ["--cluster", "kubernetes"];
                Ok((seen, suite::measure(conformance, &there, options.kubernetes_suites)?))
            }
        };
        let images = match count {
            0 => Made::default(),
            _ => image::measure(conformance, count)?,
        };
        let suite = suite::measure(conformance, &[], options.suites)?;
        let given = suite::on_given(conformance, options.suites)?;
        Ok(Samples { empty, mesh, kubernetes, images, suite, given })
    }

    /// What they are called, and what they may be at most.
    fn figures(&self) -> Vec<Figure> {
        let of = |seen: &[Seen], what: fn(&Seen) -> Option<f64>| Ok(seen.iter().filter_map(what).collect());
        let real = |what: fn(&Seen) -> Option<f64>| {
            let seen = self.kubernetes.as_ref().map_err(String::clone);
            seen.and_then(|(seen, _)| of(seen, what))
        };
        let suite_there = self.kubernetes.as_ref().map_err(String::clone);
        let (empty, mesh) = (&self.empty, &self.mesh);
        let s = |what, limit, values| Figure::new(what, "s", limit, values);
        let boot = "cluster boot, to API, node and DNS ready";
        let ready = "mesh Ready, from its first manifest";
        let first = "first 200, from nothing";
        vec![
            s((boot, On::Embedded), Some(0.4), of(empty, |run| run.boot_seconds)),
            s((boot, On::Kubernetes), Some(12.0), real(|run| run.boot_seconds)),
            s((ready, On::Embedded), None, of(mesh, |run| run.mesh_seconds)),
            s((ready, On::Kubernetes), None, real(|run| run.mesh_seconds)),
            s((first, On::Embedded), Some(6.0), of(mesh, |run| Some(run.up_seconds))),
            s((first, On::Kubernetes), None, real(|run| Some(run.up_seconds))),
            s(
                ("of it without MLServer's start", On::Embedded),
                Some(1.5),
                of(mesh, |run| Some(run.up_seconds - run.mlserver_seconds?)),
            ),
            s(("`cluster up --mesh none`", On::Embedded), None, of(empty, |run| Some(run.up_seconds))),
            s(("the suite", On::Embedded), Some(90.0), self.suite.seconds()),
            // Twelve of them in six minutes.
            s(
                ("the suite, a case", On::Kubernetes),
                Some(30.0),
                suite_there.and_then(|(_, suite)| suite.seconds_a_case()),
            ),
            s(
                ("the suite, on an embedded cluster as a given one", On::Embedded),
                Some(120.0),
                self.given.seconds(),
            ),
            Figure::new(
                ("memory of a cluster's supervisor", On::Embedded),
                "MiB",
                Some(120.0),
                of(empty, |run| run.supervisor_mib),
            ),
            Figure::new(
                ("memory of a whole mesh with MLServer", On::Embedded),
                "MiB",
                Some(700.0),
                of(mesh, |run| Some(run.whole_mib)),
            ),
            Figure::new(
                ("our own static image", On::Machine),
                "MB",
                Some(25.0),
                Ok(self.images.megabytes.clone()),
            ),
            s(
                ("all images without MLServer's, made", On::Machine),
                Some(3.0),
                Ok(self.images.seconds.clone()),
            ),
            s(
                ("what we add to k3d's own time, a cluster", On::Machine),
                Some(2.0),
                Err("nothing here measures it".into()),
            ),
        ]
    }
}

/// How many real clusters, or why none.
///
/// # Errors
/// When it cannot be found out.
fn kubernetes_to_start(conformance: &Conformance, asked: Option<u32>) -> anyhow::Result<Result<u32, String>> {
    match asked {
        Some(0) => return Ok(Err("--kubernetes 0 asks for none".into())),
        _ if !Uid::effective().is_root() => return Ok(Err("a real Kubernetes needs root".into())),
        Some(count) => return Ok(Ok(count)),
        None => {}
    }
    let transcript = conformance.say(&["run", "--cluster", "kubernetes", "--cni", "flannel", "--dry-run"])?;
    let missing = made_by(&transcript).find(|path| !path.exists());
    Ok(match missing {
        None => Ok(USUAL_KUBERNETES),
        Some(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(format!("{name} is not built yet (--kubernetes {USUAL_KUBERNETES} builds it, in minutes)"))
        }
    })
}

/// What a dry run says would be made where it is not there; what depends on the Python that is found is not named.
fn made_by(transcript: &str) -> impl Iterator<Item = PathBuf> {
    let lines = transcript
        .lines()
        .filter_map(|line| line.strip_prefix("# fetch or make ")?.strip_suffix(", unless it is there"));
    lines.filter(|path| !path.contains("PYTHON")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(kubernetes: Result<(Vec<Seen>, Suite), String>) -> Samples {
        Samples {
            empty: Vec::new(),
            mesh: Vec::new(),
            kubernetes,
            images: Made::default(),
            suite: Suite::default(),
            given: Suite::default(),
        }
    }

    #[test]
    fn every_figure_of_a_cluster_that_is_not_there_is_left_out_by_name() {
        let shown = table(&samples(Err("a real Kubernetes needs root".into())).figures());
        let line = shown.lines().find(|line| line.contains("needs root")).unwrap();
        assert_eq!(
            line,
            "left out, as a real Kubernetes needs root: cluster boot, to API, node and DNS ready; mesh Ready, from its \
             first manifest; first 200, from nothing; the suite, a case"
        );
    }

    #[test]
    fn programs_that_are_built_are_told_by_what_a_dry_run_would_make() {
        let transcript = "# fetch or make /c/envoy-PYTHON, unless it is there\nx\n\
            # fetch or make /c/kube-1.33.1-d64a5fc0, unless it is there\n# fetch nft, unless the machine has it\n";
        let made: Vec<PathBuf> = made_by(transcript).collect();
        assert_eq!(made, [PathBuf::from("/c/kube-1.33.1-d64a5fc0")]);
    }
}
