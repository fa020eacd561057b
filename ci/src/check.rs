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
    licences(root)
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
