//! The summary that GitHub shows on a run's page. Pure.

use std::fmt::Write;

use crate::cell::CellReport;
use crate::conformance::{Agreement, Case, Row};

/// A table of the jobs, and below it everything that differs between two kinds of clusters, and that is not green.
pub(super) fn summary(reports: &[CellReport]) -> String {
    let mut text = String::from(
        "| ran on | passed | failed | inconclusive | skipped | differs from embedded |\n|---|---|---|---|---|---|\n",
    );
    for report in reports {
        let _ = match report.own() {
            None => writeln!(text, "| {} | **left no report** |||||", report.cell),
            Some(cases) => {
                let count = |verdict: &[&str]| {
                    cases.iter().filter(|it| verdict.contains(&it.verdict.as_str())).count()
                };
                writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} |",
                    report.cell,
                    count(&["passed", "known_gap"]),
                    count(&["failed"]),
                    count(&["inconclusive"]),
                    count(&["skipped"]),
                    report.comparison.as_deref().map_or("not compared".into(), differing)
                )
            }
        };
    }
    list(&mut text, "Differs", reports.iter().flat_map(differences));
    list(&mut text, "Not green", reports.iter().flat_map(failures));
    text
}

fn list(text: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    for (index, line) in lines.enumerate() {
        if index == 0 {
            let _ = write!(text, "\n### {heading}\n\n");
        }
        // A list has one line an item.
        let _ = writeln!(text, "- {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

/// `1 of 4`; with what is explained, `1 of 4, 2 more explained`.
fn differing(rows: &[Row]) -> String {
    let count = |wanted: fn(&Agreement) -> bool| rows.iter().filter(|row| wanted(&row.agreement)).count();
    let compared = count(|agreement| *agreement != Agreement::NotCompared);
    let mut words = format!("{} of {compared}", count(|agreement| *agreement == Agreement::Differs));
    match count(|agreement| matches!(agreement, Agreement::Explained(_))) {
        0 => {}
        explained => words.push_str(&format!(", {explained} more explained")),
    }
    words
}

fn differences(report: &CellReport) -> impl Iterator<Item = String> {
    report.comparison.iter().flatten().filter_map(|row| {
        let what = format!("{}, on {}: {}", row.case, report.cell, row.endings());
        match &row.agreement {
            Agreement::Differs => Some(format!("**unexplained** {what}")),
            Agreement::Explained(reason) => Some(format!("explained {what}; {reason}")),
            Agreement::Same | Agreement::NotCompared => None,
        }
    })
}

fn failures(report: &CellReport) -> impl Iterator<Item = String> {
    let cases = report.cases.iter().flatten().filter(|case| !case.is_green());
    cases.map(|case| format!("**{}** {}, on {}: {}", case.verdict, case.title(), report.cell, why(case)))
}

fn why(case: &Case) -> &str {
    case.message.as_deref().unwrap_or("it does not say why")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::news::tests::{cell, compared, report};

    #[test]
    fn a_night_reads_as_a_table_and_lists() {
        let calico = report(cell("calico", "1/2"), &[("a", "passed"), ("b", "failed"), ("c", "skipped")]);
        let calico = compared(calico, &[("a", "explained"), ("b", "differs"), ("c", "not_compared")]);
        let flannel = CellReport { cell: cell("flannel", "1/2"), cases: None, comparison: None };
        assert_eq!(
            summary(&[calico, flannel, report(cell("flannel", "2/2"), &[("a", "passed")])]),
            "| ran on | passed | failed | inconclusive | skipped | differs from embedded |\n|---|---|---|---|---|---|\n\
             | k3s v1.33.1-k3s1, calico, cluster-wide, Seldon 2.9.1, shard 1/2 | 1 | 1 | 0 | 1 | 1 of 2, 1 more explained |\n\
             | k3s v1.33.1-k3s1, flannel, cluster-wide, Seldon 2.9.1, shard 1/2 | **left no report** |||||\n\
             | k3s v1.33.1-k3s1, flannel, cluster-wide, Seldon 2.9.1, shard 2/2 | 1 | 0 | 0 | 0 | not compared |\n\
             \n### Differs\n\n\
             - explained policy: a [calico cluster-wide], on k3s v1.33.1-k3s1, calico, cluster-wide, Seldon 2.9.1, \
             shard 1/2: embedded passed (x), k3d passed (no cause named); for a reason\n\
             - **unexplained** policy: b [calico cluster-wide], on k3s v1.33.1-k3s1, calico, cluster-wide, Seldon \
             2.9.1, shard 1/2: embedded passed (x), k3d failed (no cause named)\n\
             \n### Not green\n\n\
             - **failed** policy: b [k3d calico cluster-wide], on k3s v1.33.1-k3s1, calico, cluster-wide, Seldon 2.9.1, \
             shard 1/2: it was not so\n"
        );
    }
}
