//! Undoing what a killed run left, from any machine that reaches the cluster.

use std::path::Path;

use clusters::GivenCluster;

use super::lease::Held;
use super::{HOME, ledger, remove_home, sweep};
use crate::object::{Kind, ObjectRef};
use crate::undo::Undo;

/// A run that was undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The run.
    pub run: String,
    /// What was done, a sentence each.
    pub steps: Vec<String>,
}

/// Undoes every run that the cluster's ledgers, or those in `directory`, tell of. A run that still lives keeps it from
/// happening.
///
/// # Errors
/// That another run works on the cluster, or what could not be undone; that stays in its ledger.
pub async fn undo_everything(cluster: &GivenCluster, directory: &Path) -> anyhow::Result<Vec<Undone>> {
    let client = cluster.client()?;
    let on_disk = ledger::on_disk(directory, &cluster.server())?;
    if ObjectRef::new(Kind::Namespace, "", HOME).read(&client).await?.is_none() {
        // The namespace goes last, when all is undone: by the run itself, or from another machine.
        on_disk.iter().try_for_each(|(file, _)| ledger::forget_file(file))?;
        return Ok(Vec::new());
    }
    let lease = Held::take(cluster, "undo").await?;
    let mut pages = ledger::in_cluster(&client).await?;
    for (_, page) in &on_disk {
        if !pages.iter().any(|other| other.run == page.run) {
            pages.push(deletions(page));
        }
    }
    let mut undone = Vec::new();
    for page in pages {
        sweep::sweep(&client, &page.run, &page.entries).await?;
        ledger::config_map(&page.run).delete(&client).await?;
        let steps = page.entries.iter().rev().map(ToString::to_string).collect();
        undone.push(Undone { run: page.run, steps });
    }
    lease.release();
    remove_home(&client).await?;
    on_disk.iter().try_for_each(|(file, _)| ledger::forget_file(file))?;
    Ok(undone)
}

/// What may be undone by a file alone: deletions, which look whose an object is. Whether a change of somebody else's
/// object still stands, only the ledger in the cluster knows.
fn deletions(page: &ledger::Page) -> ledger::Page {
    let entries = page.entries.iter().filter(|undo| matches!(undo, Undo::Delete(_))).cloned().collect();
    ledger::Page { entries, ..page.clone() }
}
