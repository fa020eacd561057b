//! `mutants`: one broken line at a time; the suite must notice each, in words that name what was broken.

mod copy;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use regex::Regex;

use crate::conformance::{Build, Conformance, Run};
use table::Mutant;

/// Exit code of a run in which something failed; what could not be judged has not noticed anything.
const FAILED: i32 = 1;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Names of the mutants to try; all when absent.
    name: Vec<String>,
    /// Keep the table in ci/bench.
    #[arg(long)]
    write: bool,
}

/// How one mutant fared.
#[derive(Debug, serde::Serialize)]
struct Row {
    name: String,
    noticed: bool,
    /// Cases that were not green, with their messages; or why the mutant survived.
    said: Vec<String>,
}

/// Tries every mutant in a copy of the repository.
///
/// # Errors
/// When one survives, or its line is not found exactly once.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let mutants = table::read(root)?;
    let unknown = options.name.iter().find(|name| !mutants.iter().any(|mutant| mutant.name == **name));
    let known = || mutants.iter().map(|mutant| mutant.name.as_str()).collect::<Vec<_>>().join(", ");
    ensure!(unknown.is_none(), "no mutant is called {:?}; there are {}", unknown, known());
    let place = copy::Place::beside_target(root)?;
    place.refresh(root)?;
    let mut rows = Vec::new();
    for mutant in mutants.iter().filter(|m| options.name.is_empty() || options.name.contains(&m.name)) {
        eprintln!("{} …", mutant.name);
        let row = tried(&place, mutant).with_context(|| mutant.name.clone())?;
        println!("{:<9} {}", if row.noticed { "noticed" } else { "SURVIVED" }, row.name);
        row.said.iter().for_each(|line| println!("          {line}"));
        rows.push(row);
    }
    let survivors = rows.iter().filter(|row| !row.noticed).count();
    crate::record::publish(root, "mutants", &rows, options.write)?;
    ensure!(survivors == 0, "{survivors} of {} mutants survived", rows.len());
    Ok(())
}

fn tried(place: &copy::Place, mutant: &Mutant) -> anyhow::Result<Row> {
    let file = place.tree().join(&mutant.file);
    let text = fs::read_to_string(&file).with_context(|| mutant.file.clone())?;
    fs::write(&file, mutant.applied(&text)?)?;
    let built = build(place);
    // The copy is whole again before anything is judged.
    fs::write(&file, text)?;
    let mut selection: Vec<&str> = mutant.cases.iter().map(String::as_str).collect();
    selection.extend(["--cni", mutant.cni.as_str()]);
    judged(mutant, &built?.run(&selection)?)
}

/// Intermediate artefacts are shared with the ordinary build, programs are not.
fn build(place: &copy::Place) -> anyhow::Result<Conformance> {
    let environment: [(&str, &Path); 2] =
        [("CARGO_TARGET_DIR", &place.programs()), ("CARGO_BUILD_BUILD_DIR", place.target())];
    Conformance::build(&place.tree(), Build::Debug, &environment)
}

fn judged(mutant: &Mutant, run: &Run) -> anyhow::Result<Row> {
    let pattern = Regex::new(&mutant.expect).context("expect")?;
    let cases = run.summary.iter().flat_map(|summary| &summary.cases);
    let red: Vec<_> = cases.filter(|case| !case.is_green()).collect();
    let message = |case: &&crate::conformance::Case| case.message.clone().unwrap_or_default();
    let noticed = run.code == Some(FAILED) && red.iter().any(|case| pattern.is_match(&message(case)));
    let mut said: Vec<String> =
        red.iter().map(|case| format!("{} {}: {}", case.title(), case.verdict, message(case))).collect();
    if !noticed {
        said.push(format!("exit code {:?}, expected {FAILED} and /{}/", run.code, mutant.expect));
    }
    Ok(Row { name: mutant.name.clone(), noticed, said })
}

/// A path below the target directory.
fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
