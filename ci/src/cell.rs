//! What a job of a workflow ran on, and the report that it left.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::conformance::{Agreement, Case, Row, Summary};

/// The files of a report, in a directory of its own.
const CELL: &str = "cell.json";
const SUMMARY: &str = "summary.json";

/// What a job ran on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "cluster", rename_all = "lowercase")]
pub(crate) enum Cell {
    /// Embedded clusters with stand-ins.
    Embedded,
    /// A k3d cluster.
    K3d(K3dCell),
}

/// One of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::Args)]
pub(crate) struct K3dCell {
    /// Tag of the k3s image, such as v1.33.1-k3s1.
    #[arg(long)]
    pub(crate) k3s: String,
    /// The network plugin.
    #[arg(long, value_parser = ["flannel", "calico"])]
    pub(crate) cni: String,
    /// The layout of the mesh.
    #[arg(long, value_parser = ["per-namespace", "cluster-wide"])]
    pub(crate) topology: String,
    /// Release of Seldon, or standin.
    #[arg(long)]
    pub(crate) seldon: String,
    /// The part of the cases, such as 1/2.
    #[arg(long)]
    pub(crate) shard: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Embedded => formatter.write_str("embedded"),
            Cell::K3d(K3dCell { k3s, cni, topology, seldon, shard }) => {
                write!(formatter, "k3s {k3s}, {cni}, {topology}, Seldon {seldon}, shard {shard}")
            }
        }
    }
}

impl Cell {
    /// As cases call its cluster.
    fn cluster(&self) -> &'static str {
        match self {
            Cell::Embedded => "embedded",
            Cell::K3d(_) => "k3d",
        }
    }

    /// The same for every shard: a case may be in another one tomorrow.
    pub(crate) fn whole(&self) -> Cell {
        match self {
            Cell::Embedded => Cell::Embedded,
            Cell::K3d(cell) => Cell::K3d(K3dCell { shard: "1/1".into(), ..cell.clone() }),
        }
    }
}

/// What a job left.
#[derive(Debug, Clone)]
pub(crate) struct CellReport {
    pub(crate) cell: Cell,
    /// `None` when it ended before it could write any.
    pub(crate) cases: Option<Vec<Case>>,
    /// How they ended on two kinds of clusters; `None` when one alone was asked for.
    pub(crate) comparison: Option<Vec<Row>>,
}

impl CellReport {
    /// The cases of the cluster that the job was for; `None` when none of them was run there, whatever else was.
    pub(crate) fn own(&self) -> Option<Vec<&Case>> {
        let cluster = self.cell.cluster();
        let own: Vec<&Case> = self.cases.iter().flatten().filter(|case| case.cluster == cluster).collect();
        (!own.is_empty()).then_some(own)
    }

    /// What ended differently, and nobody has explained it.
    pub(crate) fn differing(&self) -> impl Iterator<Item = &Row> {
        self.comparison.iter().flatten().filter(|row| row.agreement == Agreement::Differs)
    }
}

/// Where a run is to leave its report.
#[derive(Debug)]
pub(crate) struct ReportPlace {
    directory: PathBuf,
}

impl ReportPlace {
    /// Makes `directory` and says in it what will be run on: a job that is killed is missed by that.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(directory: &Path, cell: &Cell) -> anyhow::Result<ReportPlace> {
        let words = || format!("cannot write to {}", directory.display());
        fs::create_dir_all(directory).with_context(words)?;
        // A report of an earlier run is none of this one.
        let _ = fs::remove_file(directory.join(SUMMARY));
        fs::write(directory.join(CELL), serde_json::to_string_pretty(cell)?).with_context(words)?;
        Ok(ReportPlace { directory: directory.to_owned() })
    }

    /// The same without making anything.
    pub(crate) fn shown(directory: &Path) -> ReportPlace {
        ReportPlace { directory: directory.to_owned() }
    }

    /// The options of `run` that write it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let file = |name: &str| self.directory.join(name).display().to_string();
        [("--json", SUMMARY), ("--junit", "junit.xml"), ("--records", "records")]
            .into_iter()
            .flat_map(|(option, name)| [option.to_owned(), file(name)])
            .collect()
    }
}

/// Every report below `directory`, by what it was run on.
///
/// # Errors
/// When a file cannot be read, naming it.
pub(crate) fn read_reports(directory: &Path) -> anyhow::Result<Vec<CellReport>> {
    let mut reports = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(place) = pending.pop() {
        let entries = fs::read_dir(&place).with_context(|| format!("cannot read {}", place.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.file_name().is_some_and(|name| name == CELL) {
                reports.push(read(&path)?);
            }
        }
    }
    reports.sort_by(|one, other| one.cell.cmp(&other.cell));
    Ok(reports)
}

fn read(cell: &Path) -> anyhow::Result<CellReport> {
    let parse = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
    let summary = cell.with_file_name(SUMMARY);
    let (cases, comparison) = match summary.exists() {
        true => {
            let read: Summary = serde_json::from_str(&parse(&summary)?)
                .with_context(|| format!("{} is no summary", summary.display()))?;
            (Some(read.cases), read.comparison)
        }
        false => (None, None),
    };
    let cell =
        serde_json::from_str(&parse(cell)?).with_context(|| format!("{} is no cell", cell.display()))?;
    Ok(CellReport { cell, cases, comparison })
}
