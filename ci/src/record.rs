//! Figures that are kept: `ci/bench/<date>.json`, one file a day and kind.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Prints `value` as JSON and, if asked, keeps it as `ci/bench/<date>-<kind>.json`.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn publish(root: &Path, kind: &str, value: &impl Serialize, write: bool) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    println!("{text}");
    if write {
        let directory = root.join("ci/bench");
        fs::create_dir_all(&directory)?;
        let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let file = directory.join(format!("{day}-{kind}.json"));
        fs::write(&file, format!("{text}\n")).with_context(|| file.display().to_string())?;
        eprintln!("kept in {}", file.display());
    }
    Ok(())
}
