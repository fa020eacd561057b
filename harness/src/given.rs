//! Working on a cluster that belongs to somebody else, and leaving it as it was.
//!
//! Everything is made in namespaces of our own. Before anything outside of them is changed, how to undo it is written
//! to a file and into the cluster (the ledger), so that it can be undone after a kill, and from another machine. A Lease
//! keeps two harnesses apart.

mod guard;
mod lease;
mod ledger;
mod survey;
mod sweep;
mod undo;

use std::path::Path;

use anyhow::Context;
use clusters::GivenCluster;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::object::{self, Kind, ObjectRef};
use crate::undo::Undo;
use lease::Held;
use ledger::Ledger;

pub use survey::{Finding, survey};
pub use undo::{Undone, undo_everything};

/// Namespace of the ledgers and of the Lease.
pub const HOME: &str = "seldon-conformance";
/// Label of everything the harness makes outside of its namespaces, and of these; its value is the run.
pub const RUN_LABEL: &str = "seldon-conformance/run";

/// Whether objects without a namespace may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterScope {
    /// Definitions of Seldon's kinds, and roles of a controller that watches several namespaces; also a label of
    /// kube-system.
    Allowed,
    /// None.
    Forbidden,
}

/// A run on a given cluster.
#[derive(Debug)]
pub struct Foothold {
    cluster: GivenCluster,
    seed: u32,
    run: String,
    scope: ClusterScope,
    ledger: Mutex<Ledger>,
    lease: Held,
}

impl Foothold {
    /// Takes the Lease and begins the ledger, below `directory` and in the cluster.
    ///
    /// # Errors
    /// What stands in the way, with the remedy; nothing is left on the cluster then.
    pub async fn take(
        cluster: GivenCluster,
        scope: ClusterScope,
        seed: u32,
        directory: &Path,
    ) -> anyhow::Result<Foothold> {
        let client = cluster.client()?;
        survey::refuse_what_cannot_work(&client, scope).await?;
        let run = run_of(seed);
        let ledger = Ledger::begin(directory, cluster.context(), &cluster.server(), &run)?;
        make_home(&client, &run).await?;
        if let Some(other) = ledger::in_cluster(&client).await?.first() {
            let context = cluster.context();
            anyhow::bail!(
                "run {} works on context {context:?}, or was killed there: wait until it has ended, or undo it with \
                 `seldon-conformance undo --context {context}`",
                other.run
            );
        }
        let lease = Held::take(&cluster, &run).await?;
        Ok(Foothold { cluster, seed, run, scope, ledger: Mutex::new(ledger), lease })
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &GivenCluster {
        &self.cluster
    }

    /// The context's name.
    pub fn context(&self) -> &str {
        self.cluster.context()
    }

    /// From which the names of namespaces come.
    pub fn seed(&self) -> u32 {
        self.seed
    }

    /// Whether objects without a namespace may be made.
    pub fn scope(&self) -> ClusterScope {
        self.scope
    }

    /// Whether another harness has taken the Lease over: then nothing more may be changed.
    pub(crate) fn is_lost(&self) -> bool {
        self.lease.is_lost()
    }

    /// Writes how to undo a change that is about to be made.
    pub(crate) async fn before(&self, client: &Client, undo: Undo) -> anyhow::Result<()> {
        anyhow::ensure!(!self.is_lost(), "another harness has taken over this cluster's Lease");
        self.ledger.lock().await.add(client, undo).await
    }

    /// Removes what the last case made. What all cases share stays: the definitions of Seldon's kinds.
    ///
    /// # Errors
    /// What could not be removed; it stays in the ledger.
    pub(crate) async fn end_case(&self, client: &Client) -> anyhow::Result<()> {
        let mut ledger = self.ledger.lock().await;
        let (shared, own): (Vec<Undo>, Vec<Undo>) = ledger.entries().iter().cloned().partition(
            |undo| matches!(undo, Undo::Delete(object) if object.kind == Kind::CustomResourceDefinition),
        );
        sweep::sweep(client, &self.run, &own).await?;
        ledger.replace(client, shared).await
    }

    /// Removes the rest, the ledger and the Lease.
    ///
    /// # Errors
    /// What could not be removed; it stays in the ledger.
    pub async fn leave(self) -> anyhow::Result<()> {
        let client = self.cluster.client()?;
        let mut ledger = self.ledger.into_inner();
        sweep::sweep(&client, &self.run, ledger.entries()).await?;
        ledger.replace(&client, Vec::new()).await?;
        self.lease.release();
        remove_home(&client).await?;
        ledger.forget()
    }
}

/// The run of a seed.
fn run_of(seed: u32) -> String {
    format!("{seed:08x}")
}

/// Removes what a foothold that was not taken left, unless it is another run's.
///
/// # Errors
/// The API server's.
pub async fn abandon(cluster: &GivenCluster, seed: u32) -> anyhow::Result<()> {
    let client = cluster.client()?;
    let holder = lease::holder(&client).await?;
    if holder.is_none_or(|holder| holder == run_of(seed)) {
        remove_home(&client).await?;
    }
    Ok(())
}

/// The namespace of ledgers and Lease.
async fn make_home(client: &Client, run: &str) -> anyhow::Result<()> {
    let home = ObjectRef::new(Kind::Namespace, "", HOME);
    if let Some(found) = home.read(client).await.context("cannot read namespaces")? {
        anyhow::ensure!(
            !found["metadata"]["labels"][RUN_LABEL].is_null(),
            "namespace {HOME} exists and is not the harness's: it lacks the label {RUN_LABEL}"
        );
        return Ok(());
    }
    let manifest = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": HOME, "labels": {RUN_LABEL: run}},
    });
    object::apply(client, &manifest).await
}

/// Removes that namespace, if it is ours and no ledger is left in it.
async fn remove_home(client: &Client) -> anyhow::Result<()> {
    let home = ObjectRef::new(Kind::Namespace, "", HOME);
    let ours = home.read(client).await?.is_some_and(|found| label(&found).is_some());
    if ours && ledger::in_cluster(client).await?.is_empty() {
        home.delete(client).await?;
        sweep::wait_gone(client, &home).await?;
    }
    Ok(())
}

/// The run that made an object.
fn label(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][RUN_LABEL].as_str()
}
