//! `bench`: the figures of the README, each with what it was measured on.

mod cluster;

use std::path::Path;

use clap::Args;
use serde::Serialize;

use cluster::Kind;

use crate::conformance::Subject;
use crate::machine::Machine;
use crate::record;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Clusters of each kind.
    #[arg(long, default_value_t = 10)]
    repetitions: u32,
    /// Runs of the whole suite.
    #[arg(long, default_value_t = 1)]
    suites: u32,
    /// Beside them, so many real Kubernetes clusters of each kind; needs root.
    #[arg(long, default_value_t = 0)]
    kubernetes: u32,
    /// Keep the figures in ci/bench.
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    subject: Subject,
}

/// A sample's middle and ends, in the figure's unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Spread {
    unit: &'static str,
    median: f64,
    min: f64,
    max: f64,
    runs: usize,
}

impl Spread {
    /// None of an empty sample.
    fn of(unit: &'static str, mut sample: Vec<f64>) -> Option<Spread> {
        sample.sort_by(f64::total_cmp);
        let (first, last) = (*sample.first()?, *sample.last()?);
        let middle = (sample[(sample.len() - 1) / 2] + sample[sample.len() / 2]) / 2.0;
        let round = |value: f64| (value * 100.0).round() / 100.0;
        Some(Spread { unit, median: round(middle), min: round(first), max: round(last), runs: sample.len() })
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    command: &'static str,
    build: String,
    machine: Machine,
    /// From the supervisor's start to API, node and DNS ready, as its log says.
    boot: Option<Spread>,
    /// `cluster up --mesh none`, start to end of the command.
    empty_cluster_up: Option<Spread>,
    /// `cluster up --mesh per-namespace`: returns at the first 200.
    first_200: Option<Spread>,
    /// The same without the time from the start of MLServer's container to its being ready.
    first_200_without_mlserver: Option<Spread>,
    /// From the first manifest of a mesh to its being Ready.
    mesh_ready: Option<Spread>,
    /// The same three of a real Kubernetes: boot, mesh, first 200.
    kubernetes_boot: Option<Spread>,
    kubernetes_mesh_ready: Option<Spread>,
    kubernetes_first_200: Option<Spread>,
    /// Resident memory of an idle cluster's supervisor.
    supervisor_memory: Option<Spread>,
    /// Everything below the process that holds a cluster with a serving mesh, and itself.
    mesh_memory: Option<Spread>,
    /// The default suite, as its summary says.
    suite: Option<Spread>,
    /// Green cases and all cases of the suite's runs.
    suite_cases: (usize, usize),
}

/// Builds, measures, prints.
///
/// # Errors
/// When a cluster does not come up or the suite does not run.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let machine = Machine::this();
    let conformance = options.subject.program(root)?;
    let empty = cluster::measure(&conformance, Kind::Embedded, "none", options.repetitions)?;
    let mesh = cluster::measure(&conformance, Kind::Embedded, "per-namespace", options.repetitions)?;
    let real = match options.kubernetes {
        0 => Vec::new(),
        count => cluster::measure(&conformance, Kind::Kubernetes, "per-namespace", count)?,
    };
    let (mut seconds, mut green, mut all) = (Vec::new(), 0, 0);
    for _ in 0..options.suites {
        if let Some(summary) = conformance.run(&[])?.summary {
            seconds.push(summary.seconds);
            all += summary.cases.len();
            green += summary.cases.iter().filter(|case| case.is_green()).count();
        }
    }
    let figures = Figures {
        command: "cargo run -p ci -- bench",
        build: options.subject.name(),
        machine,
        boot: Spread::of("ms", empty.iter().filter_map(|run| run.boot_ms).collect()),
        empty_cluster_up: Spread::of("s", empty.iter().map(|run| run.up_seconds).collect()),
        first_200: Spread::of("s", mesh.iter().map(|run| run.up_seconds).collect()),
        first_200_without_mlserver: Spread::of(
            "s",
            mesh.iter().filter_map(|run| Some(run.up_seconds - run.mlserver_seconds?)).collect(),
        ),
        mesh_ready: Spread::of("s", mesh.iter().filter_map(|run| run.mesh_seconds).collect()),
        kubernetes_boot: Spread::of("ms", real.iter().filter_map(|run| run.boot_ms).collect()),
        kubernetes_mesh_ready: Spread::of("s", real.iter().filter_map(|run| run.mesh_seconds).collect()),
        kubernetes_first_200: Spread::of("s", real.iter().map(|run| run.up_seconds).collect()),
        supervisor_memory: Spread::of("MiB", empty.iter().filter_map(|run| run.supervisor_mib).collect()),
        mesh_memory: Spread::of("MiB", mesh.iter().map(|run| run.whole_mib).collect()),
        suite: Spread::of("s", seconds),
        suite_cases: (green, all),
    };
    record::publish(root, "figures", &figures, options.write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let spread = |sample: &[f64]| {
            Spread::of("s", sample.to_vec()).map(|spread| (spread.min, spread.median, spread.max))
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some((1.0, 2.5, 4.0)));
        assert_eq!(spread(&[]), None);
    }
}
