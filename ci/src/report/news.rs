//! What is wrong tonight and was not the night before. Pure.

use std::collections::BTreeSet;
use std::fmt;

use crate::cell::{Cell, CellReport};
use crate::conformance::{Case, Row};

/// One thing that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// A case fails.
    Failed {
        /// Where.
        cell: Cell,
        /// Which, and on which of the clusters there.
        case: String,
        /// Why.
        message: String,
    },
    /// A case ends differently on two kinds of clusters.
    Differs {
        /// Where.
        cell: Cell,
        /// Which.
        case: String,
        /// How on each.
        endings: String,
    },
    /// A job left no report of its cluster.
    NoReport(Cell),
}

impl News {
    /// What it is, without why.
    pub(super) fn head(&self) -> String {
        match self {
            News::Failed { cell, case, .. } => format!("{case} fails on {cell}"),
            News::Differs { cell, case, .. } => format!("{case} differs from embedded on {cell}"),
            News::NoReport(cell) => format!("the job on {cell} left no report"),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Failed { message: why, .. } | News::Differs { endings: why, .. } => {
                write!(formatter, "{}: {why}", self.head())
            }
            News::NoReport(_) => formatter.write_str(&self.head()),
        }
    }
}

/// Failures and differences of `tonight` that are none of `before`, and jobs without a report that had one. What could not
/// be judged is no failure, and what failed already is known. Where nothing was before, all is new.
pub(super) fn news(tonight: &[CellReport], before: &[CellReport]) -> Vec<News> {
    let known: BTreeSet<(Cell, String)> =
        failures(before).map(|(report, case)| (report.cell.whole(), case.title())).collect();
    let failed: Vec<(&CellReport, &Case)> = failures(tonight)
        .filter(|(report, case)| !known.contains(&(report.cell.whole(), case.title())))
        .collect();
    let known: BTreeSet<(Cell, String)> =
        differences(before).map(|(report, row)| (report.cell.whole(), row.case.clone())).collect();
    let told = |report: &CellReport, row: &Row| {
        failed.iter().any(|(there, case)| there.cell == report.cell && case.place() == row.case)
    };
    let differing = differences(tonight)
        .filter(|(report, row)| !known.contains(&(report.cell.whole(), row.case.clone())))
        // A failure says itself how it differs.
        .filter(|(report, row)| !told(report, row));
    let mut news: Vec<News> = failed.iter().map(|(report, case)| failure(report, case)).collect();
    news.extend(differing.map(|(report, row)| News::Differs {
        cell: report.cell.clone(),
        case: row.case.clone(),
        endings: row.endings(),
    }));
    let left = |reports: &[CellReport]| -> BTreeSet<Cell> {
        reports.iter().filter(|it| it.own().is_some()).map(|it| it.cell.clone()).collect()
    };
    let (now, then) = (left(tonight), left(before));
    // A job that was silent the night before, too, is known.
    let known = |cell: &Cell| before.iter().any(|it| it.cell == *cell && it.own().is_none());
    let silent = tonight.iter().filter(|it| it.own().is_none() && !known(&it.cell)).map(|it| &it.cell);
    let absent: BTreeSet<&Cell> = then.difference(&now).chain(silent).collect();
    news.extend(absent.into_iter().map(|cell| News::NoReport(cell.clone())));
    news
}

fn failure(report: &CellReport, case: &Case) -> News {
    let mut message = case.message.clone().unwrap_or_else(|| "it does not say why".into());
    if let Some(row) = report.differing().find(|row| row.case == case.place()) {
        message.push_str(&format!(" ({})", row.endings()));
    }
    News::Failed { cell: report.cell.clone(), case: case.title(), message }
}

fn failures(reports: &[CellReport]) -> impl Iterator<Item = (&CellReport, &Case)> {
    reports.iter().flat_map(|report| {
        let failed = report.cases.iter().flatten().filter(|case| case.verdict == "failed");
        failed.map(move |case| (report, case))
    })
}

fn differences(reports: &[CellReport]) -> impl Iterator<Item = (&CellReport, &Row)> {
    reports.iter().flat_map(|report| report.differing().map(move |row| (report, row)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cell::K3dCell;

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
        let (cni, cluster) = match &cell {
            Cell::Embedded => ("flannel".to_owned(), "embedded"),
            Cell::K3d(cell) => (cell.cni.clone(), "k3d"),
        };
        let case = |(name, verdict): &(&str, &str)| Case {
            family: "policy".into(),
            name: (*name).into(),
            cni: cni.clone(),
            topology: "cluster-wide".into(),
            cluster: cluster.into(),
            verdict: (*verdict).into(),
            message: (*verdict != "passed").then(|| "it was\nnot so".into()),
        };
        CellReport { cell, cases: Some(cases.iter().map(case).collect()), comparison: None }
    }

    /// Held against an embedded cluster on which all of them passed: what is said of each.
    pub(crate) fn compared(report: CellReport, said: &[(&str, &str)]) -> CellReport {
        let cases = report.cases.unwrap();
        let rows: Vec<serde_json::Value> = said
            .iter()
            .map(|(name, is)| {
                let case = cases.iter().find(|case| case.name == *name).unwrap();
                serde_json::json!({
                    "case": case.place(),
                    "endings": [
                        {"cluster": "embedded", "verdict": "passed", "mode": ["x"]},
                        {"cluster": "k3d", "verdict": case.verdict, "mode": []},
                    ],
                    "agreement": match *is {
                        "explained" => serde_json::json!({"is": is, "reason": "for a reason"}),
                        _ => serde_json::json!({"is": is}),
                    },
                })
            })
            .collect();
        let rows = serde_json::from_value(rows.into()).unwrap();
        CellReport { cases: Some(cases), comparison: Some(rows), ..report }
    }

    fn told(tonight: &[CellReport], before: &[CellReport]) -> Vec<String> {
        let short = |news: &News| match news {
            News::Failed { cell: Cell::K3d(cell), case, .. } => format!("{case} {}", cell.shard),
            News::Failed { case, .. } => case.clone(),
            News::Differs { case, endings, .. } => format!("{case}: {endings}"),
            News::NoReport(Cell::K3d(cell)) => format!("nothing from {} {}", cell.cni, cell.shard),
            News::NoReport(Cell::Embedded) => "nothing from embedded".into(),
        };
        news(tonight, before).iter().map(short).collect()
    }

    const A: &str = "policy: a [k3d calico cluster-wide]";

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
        let silent = || CellReport { cell: cell("calico", "1/2"), cases: None, comparison: None };
        let other = || report(cell("calico", "2/2"), &[]);
        assert_eq!(told(&[silent(), other()], &[there(), other()]), ["nothing from calico 1/2"]);
        assert_eq!(told(&[other()], &[there(), other()]), ["nothing from calico 1/2"]);
        assert_eq!(told(&[silent(), other()], &[silent(), other()]), [""; 0]);
        assert_eq!(told(&[silent()], &[]), ["nothing from calico 1/2"]);
        assert_eq!(told(&[silent(), other()], &[other()]), ["nothing from calico 1/2"], "new in the matrix");
    }

    #[test]
    fn both_halves_of_a_comparison_are_told_apart() {
        let halves = |ours: &str, theirs: &str| {
            let mut report = report(cell("calico", "1/2"), &[("a", theirs)]);
            let embedded = Case { cluster: "embedded".into(), ..report.cases.as_ref().unwrap()[0].clone() };
            report.cases.as_mut().unwrap().insert(0, Case { verdict: ours.into(), ..embedded });
            report
        };
        let embedded = "policy: a [embedded calico cluster-wide] 1/2";
        assert_eq!(told(&[halves("failed", "passed")], &[halves("passed", "failed")]), [embedded]);
        assert_eq!(told(&[halves("failed", "failed")], &[]).len(), 2);
        let mut half = halves("passed", "passed");
        half.cases.as_mut().unwrap().truncate(1);
        let whole = halves("passed", "passed");
        assert_eq!(told(&[half], &[whole]), ["nothing from calico 1/2"], "the k3d cluster did not come up");
    }

    #[test]
    fn what_begins_to_differ_from_embedded_is_new() {
        let night = |is: &str| compared(report(cell("calico", "1/2"), &[("a", "passed")]), &[("a", is)]);
        let differs = "policy: a [calico cluster-wide]: embedded passed (x), k3d passed (no cause named)";
        assert_eq!(told(&[night("differs")], &[night("same")]), [differs]);
        assert_eq!(told(&[night("differs")], &[]), [differs]);
        assert_eq!(told(&[night("differs")], &[night("differs")]), [""; 0]);
        for fine in ["same", "explained", "not_compared"] {
            assert_eq!(told(&[night(fine)], &[night("same")]), [""; 0], "{fine}");
        }
    }

    #[test]
    fn a_failure_that_is_a_difference_is_told_once() {
        let red = || compared(report(cell("calico", "1/2"), &[("a", "failed")]), &[("a", "differs")]);
        let [News::Failed { message, .. }] = &news(&[red()], &[])[..] else { panic!("not one failure") };
        assert_eq!(message, "it was\nnot so (embedded passed (x), k3d failed (no cause named))");
        let known = report(cell("calico", "1/2"), &[("a", "failed")]);
        assert_eq!(told(&[red()], &[known]).len(), 1, "the failure is known, the difference is not");
    }
}
