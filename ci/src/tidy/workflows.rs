//! Workflows: each job runs one command, `cargo run -p ci -- …`, that this program takes.

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Parser;
use regex::Regex;
use serde::Deserialize;

use super::Violation;
use super::tree::{File, Tree};

const PREFIX: &str = "cargo run -p ci -- ";
const REMEDY: &str = "a job runs one command that a person can type: cargo run -p ci -- …";

#[derive(Debug, Deserialize)]
struct Workflow {
    jobs: BTreeMap<String, Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    #[serde(default)]
    strategy: Strategy,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
struct Strategy {
    #[serde(default)]
    matrix: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Step {
    run: Option<String>,
    uses: Option<String>,
}

/// Every violation in `.github/workflows`.
///
/// # Errors
/// When a workflow is no YAML.
pub(super) fn check(tree: &Tree) -> anyhow::Result<Vec<Violation>> {
    let ours = |file: &&File| file.path.starts_with(".github/workflows/");
    let mut found = Vec::new();
    for file in tree.files.iter().filter(ours) {
        let workflow: Workflow = serde_saphyr::from_str(&file.text).with_context(|| file.path.clone())?;
        for (name, job) in &workflow.jobs {
            let line = line_of(file, &format!("{name}:"));
            let complaints = complaints(job).into_iter();
            found
                .extend(complaints.map(|text| {
                    Violation::new(&file.path, line, "workflows", format!("job {name}: {text}"))
                }));
        }
    }
    Ok(found)
}

fn line_of(file: &File, head: &str) -> usize {
    file.text.lines().position(|line| line.trim() == head).map_or(1, |line| line + 1)
}

fn complaints(job: &Job) -> Vec<String> {
    let runs: Vec<&str> = job.steps.iter().filter_map(|step| step.run.as_deref()).collect();
    let [only] = runs.as_slice() else {
        return vec![format!("it runs {} commands; {REMEDY}", runs.len())];
    };
    let mut found: Vec<String> =
        commands(only.trim(), &job.strategy.matrix).into_iter().filter_map(|line| refused(&line)).collect();
    let pinned = Regex::new("@[0-9a-f]{40}$").ok();
    let actions = job.steps.iter().filter_map(|step| step.uses.as_deref());
    let loose = actions.filter(|action| pinned.as_ref().is_some_and(|pinned| !pinned.is_match(action)));
    found.extend(loose.map(|action| format!("{action} is not pinned by the hash of a commit")));
    found
}

/// The command with every value of the matrix, one after the other.
fn commands(line: &str, matrix: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let longest = matrix.values().map(Vec::len).max().unwrap_or(1).max(1);
    let with = |turn: usize| {
        matrix.iter().fold(line.to_owned(), |line, (name, values)| {
            let value = values.get(turn.min(values.len().saturating_sub(1))).map_or("", String::as_str);
            line.replace(&format!("${{{{ matrix.{name} }}}}"), value)
        })
    };
    let mut all: Vec<String> = (0..longest).map(with).collect();
    all.dedup();
    all
}

/// Why the command is none of this program's.
fn refused(line: &str) -> Option<String> {
    let Some(rest) = line.strip_prefix(PREFIX) else {
        return Some(format!("it runs `{line}`; {REMEDY}"));
    };
    let words = std::iter::once("ci").chain(rest.split_whitespace());
    let error = crate::Options::try_parse_from(words).err()?;
    let first = error.to_string().lines().next().unwrap_or_default().to_owned();
    Some(format!("this program does not take `{rest}`: {first}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn told(steps: &str) -> Vec<String> {
        let text = format!(
            "on: push\njobs:\n  one:\n    strategy:\n      matrix:\n        cni: [flannel, calico]\n    steps:\n{steps}"
        );
        let found = check(&Tree::of(&[(".github/workflows/a.yml", &text)])).unwrap();
        found.into_iter().map(|violation| format!("{}: {}", violation.line, violation.text)).collect()
    }

    const NIGHTLY: &str = "nightly --k3s v1 --topology cluster-wide --seldon 2.9.1 --shard 1/2";

    #[test]
    fn a_job_that_a_person_can_type_is_fine() {
        assert_eq!(told("      - run: cargo run -p ci -- check\n"), [""; 0]);
        let matrix = format!("      - run: cargo run -p ci -- {NIGHTLY} --cni ${{{{ matrix.cni }}}}\n");
        assert_eq!(told(&matrix), [""; 0]);
    }

    #[rstest]
    #[case::something_else("      - run: make test\n", "it runs `make test`")]
    #[case::nothing("      - uses: a/b@0123456789012345678901234567890123456789\n", "it runs 0 commands")]
    #[case::two(
        "      - run: cargo run -p ci -- check\n      - run: cargo run -p ci -- tidy\n",
        "it runs 2 commands"
    )]
    #[case::unknown(
        "      - run: cargo run -p ci -- chek\n",
        "does not take `chek`: error: unrecognized subcommand"
    )]
    #[case::wrong_option("      - run: cargo run -p ci -- check --fast\n", "does not take `check --fast`")]
    #[case::loose(
        "      - uses: actions/checkout@v4\n      - run: cargo run -p ci -- check\n",
        "actions/checkout@v4 is not pinned"
    )]
    fn what_is_not_is_named(#[case] steps: &str, #[case] expected: &str) {
        let found = told(steps);
        assert!(
            found.len() == 1 && found[0].starts_with("3: job one: ") && found[0].contains(expected),
            "{found:?}"
        );
    }

    #[test]
    fn every_value_of_the_matrix_is_tried() {
        let wrong = format!("      - run: cargo run -p ci -- {NIGHTLY} --cni ${{{{ matrix.cni }}}}x\n");
        let found = told(&wrong);
        assert!(found.len() == 2 && found[1].contains("--cni calicox"), "{found:?}");
    }

    #[test]
    fn this_repository_has_workflows() {
        let tree = Tree::read(&crate::root()).unwrap();
        let count = tree.files.iter().filter(|file| file.path.starts_with(".github/workflows/")).count();
        assert!(count >= 2, "{count}");
    }
}
