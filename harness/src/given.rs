//! Working on a cluster that belongs to somebody else, and leaving it as it was.
//!
//! Everything is made in namespaces of our own. Before anything outside of them is changed, how to undo it is written
//! to a file and into the cluster (the ledger), so that it can be undone after a kill, and from another machine. A Lease
//! keeps two harnesses apart.

mod admission;
mod diagnose;
mod guard;
mod lease;
mod ledger;
mod lent;
mod peculiarities;
mod refusals;
mod rehearsal;
mod rights;
mod stock;
mod survey;
mod sweep;
mod undo;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clusters::GivenCluster;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::mesh::OwnImages;
use crate::object::{self, Kind, ObjectRef};
use crate::patience::given::look_again;
use crate::undo::Undo;
use lease::Held;
use ledger::Ledger;
use sweep::Await;

pub use diagnose::{Answer, Probes, Question, diagnose};
pub use lent::LentMesh;
pub use peculiarities::refuse_other_network;
pub(crate) use rehearsal::{emptying, end_of_case, labelled_for_run, rehearsed_run};
pub use rehearsal::{rehearse_leaving, rehearse_looking, rehearse_taking};
pub use rights::Rights;
pub use survey::{Finding, survey, survey_lent};
pub(crate) use sweep::empty;
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
    /// None, and nothing of Seldon's: all that is made is a namespace with pods.
    PodsAlone,
}

/// A run on a given cluster.
#[derive(Debug)]
pub struct Foothold {
    cluster: GivenCluster,
    seed: u32,
    run: String,
    scope: ClusterScope,
    ledger: Mutex<Ledger>,
    /// Namespaces of the last case, which are deleted and may not be gone yet.
    going: Mutex<Vec<ObjectRef>>,
    lease: Held,
    spoiled: AtomicBool,
    /// Why no pod of ours can start here.
    lack: OnceLock<String>,
    images: OwnImages,
    /// What is broken instead of meshes of its own.
    lent: Option<LentMesh>,
}

impl Foothold {
    /// Takes the Lease and begins the ledger, below `directory` and in the cluster; `stop` ends the waiting for it.
    ///
    /// # Errors
    /// What stands in the way, with the remedy; nothing of this run is left on the cluster then.
    pub async fn take(
        cluster: GivenCluster,
        scope: ClusterScope,
        seed: u32,
        directory: &Path,
        stop: &CancellationToken,
    ) -> anyhow::Result<Foothold> {
        let taken = Foothold::try_take(cluster.clone(), scope, seed, directory, stop).await;
        taken.map_err(|error| refusals::explain(&cluster, &refusals::of_scope(scope), error))
    }

    async fn try_take(
        cluster: GivenCluster,
        scope: ClusterScope,
        seed: u32,
        directory: &Path,
        stop: &CancellationToken,
    ) -> anyhow::Result<Foothold> {
        anyhow::ensure!(!stop.is_cancelled(), "interrupted");
        let client = cluster.client()?;
        survey::refuse_what_cannot_work(&client, scope).await?;
        // What a survey may not see keeps no run from its work.
        cluster.take_refusals();
        let run = format!("{seed:08x}");
        let ledger = Ledger::begin(directory, cluster.context(), &cluster.server(), &run)?;
        make_home(&client, &run).await?;
        // Before the Lease of a living run is waited for, and again when it has lapsed.
        refuse_ledgers(&client, cluster.context()).await?;
        let lease = Held::take(&cluster, &run, stop).await?;
        let begun = async {
            refuse_ledgers(&client, cluster.context()).await?;
            if scope != ClusterScope::PodsAlone {
                admission::must_take_pods(&client, HOME).await?;
            }
            ledger.write(&client).await
        };
        if let Err(error) = begun.await {
            remove_home(&client, &lease).await?;
            return Err(error);
        }
        let (spoiled, lack) = (AtomicBool::new(false), OnceLock::new());
        let (ledger, going) = (Mutex::new(ledger), Mutex::default());
        let images = OwnImages::default();
        Ok(Foothold { cluster, seed, run, scope, ledger, going, lease, spoiled, lack, images, lent: None })
    }

    /// The same run where nodes have our images from elsewhere.
    #[must_use]
    pub fn with_images(self, images: OwnImages) -> Foothold {
        Foothold { images, ..self }
    }

    /// Where nodes have our images from.
    pub(crate) fn own_images(&self) -> &OwnImages {
        &self.images
    }

    /// The same run for cases that break a mesh of somebody's.
    #[must_use]
    pub fn on_lent_mesh(self, mesh: LentMesh) -> Foothold {
        Foothold { lent: Some(mesh), ..self }
    }

    /// The mesh that was lent, if one was.
    pub(crate) fn lent(&self) -> Option<&LentMesh> {
        self.lent.as_ref()
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &GivenCluster {
        &self.cluster
    }

    /// The context's name.
    pub fn context(&self) -> &str {
        self.cluster.context()
    }

    /// The run, as its label says it.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// From which the names of namespaces come.
    pub fn seed(&self) -> u32 {
        self.seed
    }

    /// Whether objects without a namespace may be made.
    pub fn scope(&self) -> ClusterScope {
        self.scope
    }

    /// Whether the Lease is lost: then nothing more may be changed, and nothing that is seen says anything.
    pub(crate) fn is_lost(&self) -> bool {
        self.lease.is_lost()
    }

    /// Returns when the Lease is lost.
    pub(crate) async fn lost(&self) {
        while !self.is_lost() {
            look_again().await;
        }
    }

    /// # Errors
    /// That the Lease is lost.
    pub(crate) fn must_hold(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.is_lost(), "this run has lost the cluster's Lease");
        Ok(())
    }

    /// Whether an earlier case left something behind.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::Relaxed)
    }

    /// Writes how to undo a change that is about to be made.
    pub(crate) async fn before(&self, client: &Client, undo: Undo) -> anyhow::Result<()> {
        self.must_hold()?;
        self.ledger.lock().await.add(client, undo).await
    }

    /// Removes what the last case made; its namespaces are emptied and deleted, and waited for when the next case ends or
    /// the run leaves. What all cases share stays: the definitions of Seldon's kinds.
    ///
    /// # Errors
    /// What could not be removed; it stays in the ledger, and no further case is run.
    pub(crate) async fn end_case(&self, client: &Client) -> anyhow::Result<()> {
        let ended = self.try_end_case(client).await;
        if ended.is_err() {
            self.spoiled.store(true, Ordering::Relaxed);
        }
        ended
    }

    async fn try_end_case(&self, client: &Client) -> anyhow::Result<()> {
        self.must_hold()?;
        let mut ledger = self.ledger.lock().await;
        let (shared, own): (Vec<Undo>, Vec<Undo>) =
            ledger.entries().iter().cloned().partition(sweep::is_shared);
        let mut going = self.going.lock().await;
        let left = sweep::sweep(client, &self.run, &own, Await::Going(&going)).await;
        ledger.replace(client, [&shared[..], &left.entries].concat()).await?;
        left.nothing()?;
        *going = left.going;
        Ok(())
    }

    /// Removes the rest, the ledger and the Lease.
    ///
    /// # Errors
    /// What could not be removed; it stays in the ledger.
    pub async fn leave(self) -> anyhow::Result<()> {
        let (cluster, asked) = (self.cluster.clone(), self.asked());
        self.try_leave().await.map_err(|error| refusals::explain(&cluster, &asked, error))
    }

    async fn try_leave(self) -> anyhow::Result<()> {
        self.must_hold()?;
        let client = self.cluster.client()?;
        let mut ledger = self.ledger.into_inner();
        let left = sweep::sweep(&client, &self.run, ledger.entries(), Await::All).await;
        ledger.replace(&client, left.entries.clone()).await?;
        left.nothing()?;
        ledger.close(&client).await?;
        remove_home(&client, &self.lease).await
    }
}

async fn refuse_ledgers(client: &Client, context: &str) -> anyhow::Result<()> {
    let Some(other) = ledger::in_cluster(client).await?.into_iter().next() else { return Ok(()) };
    anyhow::bail!(
        "run {} works on context {context:?}, or was killed there: wait until it has ended, or undo it with \
         `seldon-conformance undo --context {context}`",
        other.run
    )
}

/// The namespace of ledgers and Lease.
async fn make_home(client: &Client, run: &str) -> anyhow::Result<()> {
    let home = ObjectRef::new(Kind::Namespace, "", HOME);
    if let Some(found) = home.read(client).await.context("cannot read namespaces")? {
        return must_be_ours(&found);
    }
    object::apply(client, &home_manifest(run)).await
}

fn home_manifest(run: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": HOME, "labels": {RUN_LABEL: run}},
    })
}

fn must_be_ours(home: &Value) -> anyhow::Result<()> {
    if !home["metadata"]["deletionTimestamp"].is_null() {
        let why = sweep::finalizers(home).unwrap_or_else(|| sweep::conditions(home));
        anyhow::bail!("namespace {HOME} is being deleted and has not gone: {why}; it must go first");
    }
    anyhow::ensure!(
        label(home).is_some(),
        "namespace {HOME} exists and is not the harness's: it lacks the label {RUN_LABEL}"
    );
    Ok(())
}

/// Removes that namespace, if it is ours, no ledger is left in it and nobody else has taken its Lease.
async fn remove_home(client: &Client, lease: &Held) -> anyhow::Result<()> {
    let home = ObjectRef::new(Kind::Namespace, "", HOME);
    let ours = home.read(client).await?.is_some_and(|found| label(&found).is_some());
    if ours && ledger::in_cluster(client).await?.is_empty() && lease.is_in_cluster(client).await? {
        home.delete(client).await?;
        sweep::wait_gone(client, &home).await?;
    }
    Ok(())
}

/// The run that made an object.
fn label(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][RUN_LABEL].as_str()
}

#[cfg(test)]
pub(crate) mod tests;
