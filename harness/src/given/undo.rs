//! Undoing what a killed run left, from any machine that reaches the cluster.

use std::path::{Path, PathBuf};

use clusters::GivenCluster;
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::lease::Held;
use super::sweep::Await;
use super::{HOME, ledger, make_home, refusals, remove_home, sweep};
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
    try_undo(cluster, directory).await.map_err(|error| refusals::explain(cluster, "", error))
}

async fn try_undo(cluster: &GivenCluster, directory: &Path) -> anyhow::Result<Vec<Undone>> {
    let client = cluster.client()?;
    let on_disk = ledger::on_disk(directory, &cluster.server())?;
    let home = ObjectRef::new(Kind::Namespace, "", HOME).read(&client).await?;
    if home.is_none() && pages(&client, &on_disk).await?.is_empty() {
        // All was undone: by the run itself, or from another machine.
        on_disk.iter().try_for_each(|(file, _)| ledger::forget_file(file))?;
        return Ok(Vec::new());
    }
    make_home(&client, "undo").await?;
    let lease = Held::take(cluster, "undo", &CancellationToken::new()).await?;
    // Only now: a run that was dying may have written to its ledger until its Lease had lapsed.
    let pages = pages(&client, &on_disk).await?;
    let (mut undone, mut errors) = (Vec::new(), Vec::new());
    for page in pages {
        let left = sweep::sweep(&client, &page.run, &page.entries, Await::All).await;
        match left.nothing() {
            Ok(()) => ledger::config_map(&page.run).delete(&client).await?,
            Err(error) => errors.push(format!("run {}: {error:#}", page.run)),
        }
        let steps = page.entries.iter().rev().map(ToString::to_string).collect();
        undone.push(Undone { run: page.run, steps });
    }
    anyhow::ensure!(errors.is_empty(), "{}", errors.join("; "));
    remove_home(&client, &lease).await?;
    on_disk.iter().try_for_each(|(file, _)| ledger::forget_file(file))?;
    Ok(undone)
}

/// The cluster's ledgers, and of those that only this machine has what is left.
async fn pages(client: &Client, on_disk: &[(PathBuf, ledger::Page)]) -> anyhow::Result<Vec<ledger::Page>> {
    let mut pages = ledger::in_cluster(client).await?;
    for (_, page) in on_disk {
        if !pages.iter().any(|other| other.run == page.run) {
            pages.extend(what_is_left(client, page).await?);
        }
    }
    Ok(pages)
}

/// What of a page that only this machine has is still there, by its label. Whether a change of somebody else's object
/// still stands, only the ledger in the cluster knows: without it such a change is not taken back.
async fn what_is_left(client: &Client, page: &ledger::Page) -> anyhow::Result<Option<ledger::Page>> {
    let mut entries = Vec::new();
    for undo in &page.entries {
        if let Undo::Delete(object) = undo
            && sweep::ours(client, &page.run, object).await?.is_some()
        {
            entries.push(undo.clone());
        }
    }
    Ok((!entries.is_empty()).then(|| ledger::Page { entries, ..page.clone() }))
}
