//! The summary that GitHub shows on a run's page. Pure.

use std::fmt::Write;

use crate::cell::CellReport;
use crate::conformance::Case;

/// A table of the jobs, and below it everything that is not green.
pub(super) fn summary(reports: &[CellReport]) -> String {
    let mut text =
        String::from("| ran on | passed | failed | inconclusive | skipped |\n|---|---|---|---|---|\n");
    for report in reports {
        let _ = match &report.cases {
            None => writeln!(text, "| {} | **left no report** ||||", report.cell),
            Some(cases) => {
                let count = |verdict: &[&str]| {
                    cases.iter().filter(|it| verdict.contains(&it.verdict.as_str())).count()
                };
                writeln!(
                    text,
                    "| {} | {} | {} | {} | {} |",
                    report.cell,
                    count(&["passed", "known_gap"]),
                    count(&["failed"]),
                    count(&["inconclusive"]),
                    count(&["skipped"])
                )
            }
        };
    }
    let red = reports.iter().flat_map(|report| {
        let cases = report.cases.iter().flatten().filter(|case| !case.is_green());
        cases.map(move |case| (report, case))
    });
    for (index, (report, case)) in red.enumerate() {
        if index == 0 {
            text.push_str("\n### Not green\n\n");
        }
        let _ = writeln!(text, "- **{}** {}, on {}: {}", case.verdict, case.title(), report.cell, why(case));
    }
    text
}

fn why(case: &Case) -> String {
    let message = case.message.as_deref().unwrap_or("it does not say why");
    // A list has one line an item.
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::news::tests::{cell, report};

    #[test]
    fn a_night_reads_as_a_table_and_a_list() {
        let calico = report(cell("calico", "1/2"), &[("a", "passed"), ("b", "failed"), ("c", "skipped")]);
        let flannel = CellReport { cell: cell("flannel", "1/2"), cases: None };
        assert_eq!(
            summary(&[calico, flannel]),
            "| ran on | passed | failed | inconclusive | skipped |\n|---|---|---|---|---|\n\
             | k3s v1.33.1-k3s1, calico, cluster-wide, Seldon 2.9.1, shard 1/2 | 1 | 1 | 0 | 1 |\n\
             | k3s v1.33.1-k3s1, flannel, cluster-wide, Seldon 2.9.1, shard 1/2 | **left no report** ||||\n\
             \n### Not green\n\n\
             - **failed** policy: b [calico cluster-wide], on k3s v1.33.1-k3s1, calico, cluster-wide, Seldon 2.9.1, \
             shard 1/2: it was not so\n"
        );
    }
}
