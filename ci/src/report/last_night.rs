//! What is asked of GitHub, with `gh`: the reports of the run before, and an issue.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use super::news::News;
use crate::step::Step;

/// The workflow whose runs are held against each other.
const WORKFLOW: &str = "nightly.yml";

/// Downloads the reports of the last run that has ended into `directory`; none where there was no run, or where its
/// reports are gone by now.
///
/// # Errors
/// When `gh` cannot be asked.
pub(super) fn fetch(root: &Path, directory: &Path, dry_run: bool) -> anyhow::Result<()> {
    let list = Step {
        environment: &[],
        program: "gh",
        arguments: &[
            "run",
            "list",
            "--workflow",
            WORKFLOW,
            "--status",
            "completed",
            "--limit",
            "1",
            "--json",
            "databaseId",
            "--jq",
            ".[].databaseId",
        ],
    };
    let to = directory.display().to_string();
    if dry_run {
        println!("$ {list}");
        println!("$ {}", Step { environment: &[], program: "gh", arguments: &download("RUN", &to) });
        return Ok(());
    }
    println!("$ {list}");
    let asked = list.command(root).output().context("cannot start gh")?;
    let said = String::from_utf8_lossy(&asked.stderr).trim().to_owned();
    ensure!(asked.status.success(), "gh cannot list the runs of {WORKFLOW}: {said}");
    let run = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    if run.is_empty() {
        println!("there was no run before");
        return Ok(());
    }
    let words = download(&run, &to);
    let download = Step { environment: &[], program: "gh", arguments: &words };
    println!("$ {download}");
    let got = download.command(root).output().context("cannot start gh")?;
    if !got.status.success() {
        println!("run {run} has no reports any more: {}", String::from_utf8_lossy(&got.stderr).trim());
    }
    Ok(())
}

fn download<'a>(run: &'a str, to: &'a str) -> [&'a str; 5] {
    ["run", "download", run, "--dir", to]
}

/// Opens an issue that says what is new.
///
/// # Errors
/// When `gh` cannot.
pub(super) fn open_issue(root: &Path, news: &[News], dry_run: bool) -> anyhow::Result<()> {
    let (title, body) = issue(news, std::env::var("GITHUB_RUN_ID").ok().as_deref());
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("issue.md");
    fs::write(&file, &body).context("cannot write the issue's text")?;
    let shown = file.display().to_string();
    let step = Step {
        environment: &[],
        program: "gh",
        arguments: &["issue", "create", "--title", &title, "--body-file", &shown],
    };
    if dry_run {
        println!("$ {step}\n{body}");
        return Ok(());
    }
    step.run(root)
}

/// Title and text of the issue.
fn issue(news: &[News], run: Option<&str>) -> (String, String) {
    let title = match news {
        [one] => format!("Nightly: {}", one.head()),
        many => format!("Nightly: {} new failures and differences", many.len()),
    };
    let mut body = String::from("These are new since the night before:\n\n");
    for line in news {
        body.push_str(&format!("- {}\n", line.to_string().split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    if let Some(run) = run {
        body.push_str(&format!("\nThe reports are artefacts of run {run}: `gh run download {run}`.\n"));
    }
    (title, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::news::news;
    use crate::report::news::tests::{cell, report};

    #[test]
    fn an_issue_names_what_is_new() {
        let one = news(&[report(cell("calico", "1/2"), &[("a", "failed")])], &[]);
        let (title, body) = issue(&one, Some("7"));
        assert_eq!(
            title,
            "Nightly: policy: a [k3d calico cluster-wide] fails on k3s v1.33.1-k3s1, calico, cluster-wide, Seldon 2.9.1, \
             shard 1/2"
        );
        assert_eq!(
            body,
            "These are new since the night before:\n\n- policy: a [k3d calico cluster-wide] fails on k3s v1.33.1-k3s1, \
             calico, cluster-wide, Seldon 2.9.1, shard 1/2: it was not so\n\nThe reports are artefacts of run 7: \
             `gh run download 7`.\n"
        );
        let two = news(&[report(cell("calico", "1/2"), &[("a", "failed"), ("b", "failed")])], &[]);
        assert_eq!(issue(&two, None).0, "Nightly: 2 new failures and differences");
    }
}
