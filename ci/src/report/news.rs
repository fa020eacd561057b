//! What fails tonight and did not the night before. Pure.

use std::collections::BTreeSet;
use std::fmt;

use crate::cell::{Cell, CellReport};

/// One thing that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// A case fails.
    Failed {
        /// Where.
        cell: Cell,
        /// Which.
        case: String,
        /// Why.
        message: String,
    },
    /// A job left no report.
    NoReport(Cell),
}

impl News {
    /// What it is, without why.
    pub(super) fn head(&self) -> String {
        match self {
            News::Failed { cell, case, .. } => format!("{case} fails on {cell}"),
            News::NoReport(cell) => format!("the job on {cell} left no report"),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Failed { message, .. } => write!(formatter, "{}: {message}", self.head()),
            News::NoReport(_) => formatter.write_str(&self.head()),
        }
    }
}

/// Failures of `tonight` that are none of `before`, and jobs without a report that had one. What could not be judged is
/// no failure, and what failed already is known. Where nothing was before, all is new.
pub(super) fn news(tonight: &[CellReport], before: &[CellReport]) -> Vec<News> {
    let known: BTreeSet<(Cell, String)> =
        failures(before).map(|(cell, case, _)| (cell.whole(), case)).collect();
    let new = failures(tonight).filter(|(cell, case, _)| !known.contains(&(cell.whole(), case.clone())));
    let mut news: Vec<News> =
        new.map(|(cell, case, message)| News::Failed { cell: cell.clone(), case, message }).collect();
    let left = |reports: &[CellReport]| -> BTreeSet<Cell> {
        reports.iter().filter(|it| it.cases.is_some()).map(|it| it.cell.clone()).collect()
    };
    let (now, then) = (left(tonight), left(before));
    // A job that was silent the night before, too, is known.
    let known = |cell: &Cell| before.iter().any(|it| it.cell == *cell && it.cases.is_none());
    let silent = tonight.iter().filter(|it| it.cases.is_none() && !known(&it.cell)).map(|it| &it.cell);
    let absent: BTreeSet<&Cell> = then.difference(&now).chain(silent).collect();
    news.extend(absent.into_iter().map(|cell| News::NoReport(cell.clone())));
    news
}

fn failures(reports: &[CellReport]) -> impl Iterator<Item = (&Cell, String, String)> {
    reports.iter().flat_map(|report| {
        let failed = report.cases.iter().flatten().filter(|case| case.verdict == "failed");
        failed.map(|case| {
            let message = case.message.clone().unwrap_or_else(|| "it does not say why".into());
            (&report.cell, case.title(), message)
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cell::K3dCell;
    use crate::conformance::Case;

    pub(crate) fn cell(cni: &str, shard: &str) -> Cell {
        Cell::K3d(K3dCell {
            k3s: "v1.33.1-k3s1".into(),
            cni: cni.into(),
            topology: "cluster-wide".into(),
            seldon: "2.9.1".into(),
            shard: shard.into(),
        })
    }

    pub(crate) fn report(cell: Cell, cases: &[(&str, &str)]) -> CellReport {
        let cni = match &cell {
            Cell::Embedded => "flannel".to_owned(),
            Cell::K3d(cell) => cell.cni.clone(),
        };
        let case = |(name, verdict): &(&str, &str)| Case {
            family: "policy".into(),
            name: (*name).into(),
            cni: cni.clone(),
            topology: "cluster-wide".into(),
            verdict: (*verdict).into(),
            message: (*verdict != "passed").then(|| "it was\nnot so".into()),
        };
        CellReport { cell, cases: Some(cases.iter().map(case).collect()) }
    }

    fn told(tonight: &[CellReport], before: &[CellReport]) -> Vec<String> {
        let short = |news: &News| match news {
            News::Failed { cell: Cell::K3d(cell), case, .. } => format!("{case} {}", cell.shard),
            News::Failed { case, .. } => case.clone(),
            News::NoReport(Cell::K3d(cell)) => format!("nothing from {} {}", cell.cni, cell.shard),
            News::NoReport(Cell::Embedded) => "nothing from embedded".into(),
        };
        news(tonight, before).iter().map(short).collect()
    }

    const A: &str = "policy: a [calico cluster-wide]";

    #[test]
    fn only_what_did_not_fail_before_is_new() {
        let red = || report(cell("calico", "1/2"), &[("a", "failed"), ("b", "passed")]);
        let green = || report(cell("calico", "1/2"), &[("a", "passed"), ("b", "passed")]);
        assert_eq!(told(&[red()], &[green()]), [format!("{A} 1/2")]);
        assert_eq!(told(&[red()], &[red()]), [""; 0]);
        assert_eq!(told(&[green()], &[red()]), [""; 0]);
        assert_eq!(told(&[red()], &[]), [format!("{A} 1/2")], "the first night everything is new");
        let moved = report(cell("calico", "2/2"), &[("a", "failed")]);
        assert_eq!(told(&[moved, green()], &[red(), report(cell("calico", "2/2"), &[])]), [""; 0]);
        let elsewhere = report(cell("flannel", "1/2"), &[("a", "failed")]);
        assert_eq!(told(&[elsewhere], &[red()]).len(), 2, "on another network, and nothing from this one");
    }

    #[test]
    fn what_could_not_be_judged_is_no_failure() {
        let unsure = report(cell("calico", "1/2"), &[("a", "inconclusive"), ("b", "skipped")]);
        assert_eq!(told(&[unsure], &[]), [""; 0]);
    }

    #[test]
    fn a_job_without_a_report_is_missed_once() {
        let there = || report(cell("calico", "1/2"), &[("a", "passed")]);
        let silent = || CellReport { cell: cell("calico", "1/2"), cases: None };
        let other = || report(cell("calico", "2/2"), &[]);
        assert_eq!(told(&[silent(), other()], &[there(), other()]), ["nothing from calico 1/2"]);
        assert_eq!(told(&[other()], &[there(), other()]), ["nothing from calico 1/2"]);
        assert_eq!(told(&[silent(), other()], &[silent(), other()]), [""; 0]);
        assert_eq!(told(&[silent()], &[]), ["nothing from calico 1/2"]);
        assert_eq!(told(&[silent(), other()], &[other()]), ["nothing from calico 1/2"], "new in the matrix");
    }
}
