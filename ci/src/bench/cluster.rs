//! One cluster, up and down, and what is seen of it meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use crate::conformance::Conformance;
use crate::process_tree::{self, Process};

/// Which kind of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Embedded,
    /// A real Kubernetes; needs root.
    Kubernetes,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Embedded => "embedded",
            Kind::Kubernetes => "kubernetes",
        }
    }

    /// The supervisor's log, below the cluster's home.
    fn log(self) -> &'static str {
        match self {
            Kind::Embedded => "cluster.log",
            Kind::Kubernetes => "logs/supervisor.log",
        }
    }
}

/// What one cluster showed.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) up_seconds: f64,
    pub(super) boot_seconds: Option<f64>,
    /// From the first manifest to everything of the mesh being Ready.
    pub(super) mesh_seconds: Option<f64>,
    /// From the start of MLServer's container to its being ready.
    pub(super) mlserver_seconds: Option<f64>,
    pub(super) supervisor_mib: Option<f64>,
    pub(super) whole_mib: f64,
}

/// A cluster that is up. Ends it, whatever happens.
pub(super) struct Up<'a> {
    conformance: &'a Conformance,
    name: String,
    /// What was said when it was up.
    said: String,
}

impl Up<'_> {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The directory of its files.
    pub(super) fn home(&self) -> PathBuf {
        home(&self.said).unwrap_or_default()
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.conformance.say(&["cluster", "down", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

/// `count` clusters of a kind with `mesh`, one after the other.
///
/// # Errors
/// When one does not come up.
pub(super) fn measure(
    conformance: &Conformance,
    kind: Kind,
    mesh: &str,
    count: u32,
) -> anyhow::Result<Vec<Seen>> {
    // The first one warms caches and is not counted.
    (0..=count).map(|_| once(conformance, kind, mesh)).skip(1).collect()
}

/// Starts a cluster.
///
/// # Errors
/// When it does not come up.
pub(super) fn up<'a>(conformance: &'a Conformance, kind: Kind, mesh: &str) -> anyhow::Result<Up<'a>> {
    let name = format!("bench-{}", std::process::id());
    let said = conformance.say(&["cluster", "up", &name, "--cluster", kind.word(), "--mesh", mesh])?;
    Ok(Up { conformance, name, said })
}

fn once(conformance: &Conformance, kind: Kind, mesh: &str) -> anyhow::Result<Seen> {
    let began = Instant::now();
    let up = up(conformance, kind, mesh)?;
    let up_seconds = began.elapsed().as_secs_f64();
    let holder = holder(&up.said).with_context(|| format!("no process in: {}", up.said))?;
    let mut whole = process_tree::below(holder);
    whole.extend(Process::find(holder));
    let home = up.home();
    let log = fs::read_to_string(home.join(kind.log())).unwrap_or_default();
    let seen = Seen {
        up_seconds,
        boot_seconds: boot(&log).map(|milliseconds| milliseconds / 1000.0),
        mesh_seconds: installed(&record(&home)),
        mlserver_seconds: readying(&log, "mlserver"),
        supervisor_mib: supervisor(holder, &whole).map(|process| mib(process.memory_kib())),
        whole_mib: mib(whole.iter().map(Process::memory_kib).sum()),
    };
    drop(up);
    eprintln!("{} {mesh}: {:.2} s, {:.0} MiB", kind.word(), seen.up_seconds, seen.whole_mib);
    Ok(seen)
}

/// KiB as MiB; figures are far below what a float holds exactly.
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// The innermost of the three processes that a cluster consists of, before its pods.
fn supervisor(holder: i32, all: &[Process]) -> Option<Process> {
    let child = |parent: i32| all.iter().find(|process| process.parent == parent);
    child(child(child(holder)?.pid)?.pid).cloned()
}

/// `cluster x is up (flannel, process 4711)`.
fn holder(said: &str) -> Option<i32> {
    said.split_once("process ")?.1.split_once(')')?.0.parse().ok()
}

/// `export KUBECONFIG=…/kubeconfig`.
fn home(said: &str) -> Option<PathBuf> {
    let file = said.lines().find_map(|line| line.trim().strip_prefix("export KUBECONFIG="))?;
    PathBuf::from(file).parent().map(PathBuf::from)
}

/// The record of what was installed, which is the one JSON file there that tells of it.
fn record(home: &Path) -> String {
    let files = fs::read_dir(home).into_iter().flatten().flatten();
    let texts = files
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "json"))
        .filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.into_iter().find(|text| text.contains("installed in ")).unwrap_or_default()
}

/// `installed in 2.3 s`.
fn installed(record: &str) -> Option<f64> {
    record.split_once("installed in ")?.1.split_once(" s")?.0.parse().ok()
}

/// `booted in 312 ms`.
fn boot(log: &str) -> Option<f64> {
    log.rsplit_once("booted in ")?.1.split_once(" ms")?.0.parse().ok()
}

/// `2026-… INFO …: started container="mlserver" …`, and later `… ready container="mlserver" …`; first of each.
fn readying(log: &str, container: &str) -> Option<f64> {
    let at = |what: &str| {
        let words = format!(": {what} container=\"{container}\"");
        let line = log.lines().find(|line| line.contains(&words))?;
        line.split_whitespace().next()?.parse::<jiff::Timestamp>().ok()
    };
    (at("ready")? - at("started")?).total(jiff::Unit::Second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_is_understood() {
        let said = "cluster a is up (flannel, process 4711)\n  export KUBECONFIG=/tmp/c/a/kubeconfig\n";
        assert_eq!(holder(said), Some(4711));
        assert_eq!(home(said), Some(PathBuf::from("/tmp/c/a")));
        assert_eq!(boot("x\n… INFO booted in 312 ms\n"), Some(312.0));
        assert_eq!(boot(""), None);
        assert_eq!(installed("x \"installed in 2.3 s\""), Some(2.3));
        let log = "2026-11-21T13:56:10.5Z  INFO node::pod: started container=\"mlserver\" pod=\"m\"\n\
                   2026-11-21T13:56:11Z  INFO node::probes: ready container=\"agent\" pod=\"m\"\n\
                   2026-11-21T13:56:12.75Z  INFO node::probes: ready container=\"mlserver\" pod=\"m\"\n";
        assert_eq!(readying(log, "mlserver"), Some(2.25));
        assert_eq!(readying(log, "agent"), None);
    }
}
