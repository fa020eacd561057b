//! Failures as GitHub shows them beside the code: workflow commands, one a line. Pure but for the scenarios' files.

use std::path::Path;

use regex::Regex;

use crate::cell::CellReport;
use crate::conformance::Case;

/// Where every scenario's name stands beside the function that it is.
pub(super) const CATALOGUE: &str = "scenarios/src/catalogue.rs";

/// A line for every case that is not green or ends differently on two kinds of clusters, at its function; a case that the
/// catalogue does not know stands at that.
pub(super) fn annotations(root: &Path, catalogue: &str, reports: &[CellReport]) -> Vec<String> {
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let mut lines = Vec::new();
    for report in reports {
        let cell = report.cell.to_string();
        if report.own().is_none() {
            lines.push(command("error", (CATALOGUE, 1), &cell, "the job left no report"));
        }
        for case in report.cases.iter().flatten().filter(|case| !case.is_green()) {
            let (file, line) = place(case, catalogue, &read);
            let tone = if case.verdict == "failed" { "error" } else { "warning" };
            let title = format!("{} on {cell}", case.title());
            let message = case.message.as_deref().unwrap_or("it does not say why");
            lines.push(command(tone, (&file, line), &title, message));
        }
        for row in report.differing() {
            let case = report.cases.iter().flatten().find(|case| case.place() == row.case);
            let (file, line) = case.map_or((CATALOGUE.into(), 1), |case| place(case, catalogue, &read));
            let title = format!("{} differs on {cell}", row.case);
            lines.push(command("error", (&file, line), &title, &row.endings()));
        }
    }
    lines
}

/// The file and line of the case's function.
fn place(case: &Case, catalogue: &str, read: &dyn Fn(&str) -> String) -> (String, usize) {
    let name = regex::escape(&case.name);
    let pattern = format!(r#"name: "{name}",(?s:.*?)body: \|world\| (\w+)::(\w+)\("#);
    let found = Regex::new(&pattern).ok().and_then(|pattern| pattern.captures(catalogue));
    let Some(found) = found else { return (CATALOGUE.to_owned(), 1) };
    let file = format!("scenarios/src/{}.rs", &found[1]);
    let head = format!("fn {}(", &found[2]);
    let line = read(&file).lines().position(|line| line.contains(&head));
    (file, line.map_or(1, |line| line + 1))
}

fn command(tone: &str, (file, line): (&str, usize), title: &str, message: &str) -> String {
    let (file, title) = (property(file), property(title));
    format!("::{tone} file={file},line={line},title={title}::{}", data(message))
}

/// What may stand after the second pair of colons.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What may stand before it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::report::news::tests::{cell, compared, report};

    const TEXT: &str = "Scenario { family: \"policy\", name: \"other\", body: |world| policy::other(world) },\n\
        Scenario { family: \"policy\", name: \"b\", seeds: &[], body: |world| policy::it_breaks(world).boxed_local() },";

    #[test]
    fn a_failure_stands_at_its_function() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("scenarios/src")).unwrap();
        std::fs::write(
            root.path().join("scenarios/src/policy.rs"),
            "//! x\n\npub async fn it_breaks(world) {}\n",
        )
        .unwrap();
        let night =
            report(cell("calico", "1/2"), &[("a", "passed"), ("b", "failed"), ("new", "inconclusive")]);
        let night = compared(night, &[("a", "same"), ("b", "differs")]);
        let lines = annotations(root.path(), TEXT, &[night]);
        assert_eq!(
            lines,
            [
                "::error file=scenarios/src/policy.rs,line=3,title=policy%3A b [k3d calico cluster-wide] on k3s \
                 v1.33.1-k3s1%2C calico%2C cluster-wide%2C Seldon 2.9.1%2C shard 1/2::it was%0Anot so",
                "::warning file=scenarios/src/catalogue.rs,line=1,title=policy%3A new [k3d calico cluster-wide] on k3s \
                 v1.33.1-k3s1%2C calico%2C cluster-wide%2C Seldon 2.9.1%2C shard 1/2::it was%0Anot so",
                "::error file=scenarios/src/policy.rs,line=3,title=policy%3A b [calico cluster-wide] differs on k3s \
                 v1.33.1-k3s1%2C calico%2C cluster-wide%2C Seldon 2.9.1%2C shard 1/2::embedded passed (x), k3d failed \
                 (no cause named)",
            ]
        );
    }

    #[test]
    fn every_scenario_of_this_repository_has_its_place() {
        let root = crate::root();
        let catalogue = std::fs::read_to_string(root.join(CATALOGUE)).unwrap();
        let names = Regex::new(r#"\bname: "([^"]+)""#).unwrap();
        let names: Vec<&str> =
            names.captures_iter(&catalogue).map(|hit| hit.get(1).unwrap().as_str()).collect();
        assert!(names.len() > 5, "{names:?}");
        for name in names {
            let night = [report(Cell::Embedded, &[(name, "failed")])];
            let line = annotations(&root, &catalogue, &night).remove(0);
            assert!(!line.contains("catalogue.rs") && !line.contains("line=1,"), "{line}");
        }
    }
}
