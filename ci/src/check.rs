//! `check`: everything that needs no test run, in the order in which a person wants to hear of it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::step::Step;
use crate::tidy;

/// Runs every step; stops at the first that fails.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    Step::cargo(&["fmt", "--all", "--check"]).run(root)?;
    println!("$ cargo run -q -p ci -- tidy");
    tidy::run(root)?;
    Step::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run(root)?;
    let documentation = Step {
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        program: "cargo",
        arguments: &["doc", "--workspace", "--no-deps", "--document-private-items"],
    };
    documentation.run(root)?;
    workflows(root)?;
    licences(root)
}

/// The workflows, by actionlint, where Go is at hand and can get it. It is never installed for this.
fn workflows(root: &Path) -> anyhow::Result<()> {
    const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";
    let linter = |arguments: &[&str]| {
        let mut command = Command::new("go");
        command.arg("run").arg(ACTIONLINT).args(arguments).current_dir(root).stdin(Stdio::null());
        command
    };
    match linter(&["-version"]).output() {
        Ok(output) if output.status.success() => {
            // Standard input is no file, so that the workflows of the repository are read.
            Step { environment: &[], program: "go", arguments: &["run", ACTIONLINT] }.run(root)
        }
        Ok(output) => {
            let why =
                String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned();
            println!("not checked: the workflows (Go cannot get actionlint: {why})");
            Ok(())
        }
        Err(_) => {
            println!("not checked: the workflows (Go is missing; install it from your distribution)");
            Ok(())
        }
    }
}

/// Licences, bans and duplicates, where cargo-deny is at hand. It is never installed for this.
fn licences(root: &Path) -> anyhow::Result<()> {
    let asked = Command::new("cargo")
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if asked.is_ok_and(|status| status.success()) {
        return Step::cargo(&["deny", "--config", "ci/deny.toml", "check", "bans", "licenses", "sources"])
            .run(root);
    }
    println!(
        "not checked: licences and bans of dependencies (cargo-deny is missing; cargo install cargo-deny)"
    );
    Ok(())
}
