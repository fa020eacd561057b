//! The world of one case: a cluster, what was installed, what must be undone, and the record of it all.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clusters::{Cluster, UpstreamMode};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, ListParams, LogParams};
use kube::{Api, Client};
use netmodel::Profile;
use pace::Pace;
use reports::{Event, Journal, Phase};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use toolbox::{Observation, Probe};

use crate::given::Foothold;
use crate::images::PROBES;
use crate::look::{Look, PodQuery, Seen};
use crate::mesh::InstalledMesh;
use crate::namespaces::Namespaces;
use crate::object;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::seldon::{Removal, Seldon};
use crate::table;
use crate::undo::{Undo, UndoList};

/// Address of the cluster's name server, where k3s has it.
pub(crate) const K3S_NAME_SERVER: &str = "10.43.0.10";

/// Everything a scenario works with.
pub struct World {
    client: Client,
    cluster: Cluster,
    foothold: Option<Arc<Foothold>>,
    namespaces: Namespaces,
    name_server: String,
    profile: Profile,
    topology: Topology,
    pace: Pace,
    patience: Patience,
    journal: Mutex<Journal>,
    pub(crate) undo: UndoList,
    progress: Progress,
    seldon: Seldon,
    removals: Mutex<Vec<Vec<Removal>>>,
    last_mesh: Mutex<Option<InstalledMesh>>,
}

/// How controller and tenants are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topology {
    /// A controller in each tenant's namespace.
    PerNamespace,
    /// One controller that watches all namespaces.
    ClusterWide,
}

impl Topology {
    /// Both.
    pub const ALL: [Topology; 2] = [Topology::PerNamespace, Topology::ClusterWide];
}

impl std::fmt::Display for Topology {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Topology::PerNamespace => "per-namespace",
            Topology::ClusterWide => "cluster-wide",
        })
    }
}

/// What a world is made of.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) cluster: Cluster,
    /// What keeps a given cluster as it was; none on a cluster of the case's own.
    pub(crate) foothold: Option<Arc<Foothold>>,
    pub(crate) namespaces: Namespaces,
    /// Address of the cluster's name server.
    pub(crate) name_server: String,
    pub(crate) profile: Profile,
    pub(crate) topology: Topology,
    pub(crate) pace: Pace,
    pub(crate) patience: Patience,
    pub(crate) journal: Journal,
    pub(crate) progress: Progress,
    /// What is installed.
    pub(crate) seldon: Seldon,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let World { profile, topology, .. } = self;
        formatter
            .debug_struct("World")
            .field("profile", profile)
            .field("topology", topology)
            .finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(parts: Parts) -> World {
        World {
            client: parts.client,
            cluster: parts.cluster,
            foothold: parts.foothold,
            namespaces: parts.namespaces,
            name_server: parts.name_server,
            profile: parts.profile,
            topology: parts.topology,
            pace: parts.pace,
            patience: parts.patience,
            journal: Mutex::new(parts.journal),
            undo: UndoList::default(),
            progress: parts.progress,
            seldon: parts.seldon,
            removals: Mutex::default(),
            last_mesh: Mutex::default(),
        }
    }

    /// The network the cluster behaves like.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The layout this case is run on.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// Factor for long timers.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The client for a change. On a given cluster nothing is changed any more by a run that has lost its Lease.
    ///
    /// # Errors
    /// That it is lost.
    pub(crate) fn hand(&self) -> anyhow::Result<&Client> {
        if let Some(foothold) = &self.foothold {
            foothold.must_hold()?;
        }
        Ok(&self.client)
    }

    /// Returns when this run has lost the Lease of a given cluster.
    pub(crate) async fn lost(&self) {
        match &self.foothold {
            Some(foothold) => foothold.lost().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn foothold(&self) -> Option<&Foothold> {
        self.foothold.as_deref()
    }

    /// How this case's namespaces are called.
    pub(crate) fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    pub(crate) fn name_server(&self) -> &str {
        &self.name_server
    }

    pub(crate) fn seldon(&self) -> &Seldon {
        &self.seldon
    }

    /// Registers how to take releases away.
    pub(crate) fn uninstall_later(&self, steps: Vec<Removal>) {
        self.removals.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(steps);
    }

    /// What was registered, last one first; it is not given twice.
    pub(crate) fn pending_removals(&self) -> Vec<Vec<Removal>> {
        let mut all =
            std::mem::take(&mut *self.removals.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        all.reverse();
        all
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// The mesh that was installed last: the one to diagnose.
    pub(crate) fn last_mesh(&self) -> Option<InstalledMesh> {
        self.last_mesh.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) fn remember(&self, mesh: &InstalledMesh) {
        *self.last_mesh.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(mesh.clone());
    }

    /// Gives back what outlives the case.
    pub(crate) fn into_cluster_and_journal(self) -> (Cluster, Journal) {
        (self.cluster, self.journal.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Looks once. What cannot be looked at is [`Seen::Hidden`], not an error: the next look may succeed.
    pub async fn look(&self, look: &Look) -> Seen {
        let hidden = |error: &dyn std::fmt::Display| Seen::Hidden(error.to_string());
        match look {
            Look::Object(object) => match object.read(&self.client).await {
                Ok(Some(value)) => Seen::Object(value),
                Ok(None) => Seen::Absent,
                Err(error) => hidden(&error),
            },
            Look::Objects { kind, namespace, labels } => {
                match object::list(&self.client, *kind, namespace, labels).await {
                    Ok(objects) => Seen::Objects(objects),
                    Err(error) => hidden(&error),
                }
            }
            Look::Table { kind, namespace } => match table::read(&self.client, *kind, namespace).await {
                Ok(rows) => Seen::Table(rows),
                Err(error) => hidden(&error),
            },
            Look::Log(pod) => match self.log(pod).await {
                Ok(text) => Seen::Log(text),
                Err(error) => hidden(&error),
            },
            Look::Probe { from, probe } => match self.probe(from, probe).await {
                Ok(observation) => Seen::Observed(Box::new(observation)),
                Err(error) => hidden(&error),
            },
        }
    }

    /// The newest pod that `query` matches and that is not ending.
    pub(crate) async fn pod(&self, query: &PodQuery) -> anyhow::Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &query.namespace);
        let listed = pods.list(&ListParams::default().labels(&query.labels)).await?;
        let alive = listed.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        alive.max_by_key(|pod| pod.metadata.creation_timestamp.clone()).ok_or_else(|| {
            anyhow::anyhow!("there is no pod {} ({}) in {}", query.name, query.labels, query.namespace)
        })
    }

    /// The address of the pod that `query` matches.
    pub(crate) async fn address_of(&self, query: &PodQuery) -> anyhow::Result<String> {
        let address = self.pod(query).await?.status.and_then(|status| status.pod_ip);
        address.ok_or_else(|| anyhow::anyhow!("the pod of {} has no address yet", query.name))
    }

    async fn log(&self, query: &PodQuery) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &query.namespace);
        let pod = self.pod(query).await?;
        let name = pod.metadata.name.unwrap_or_default();
        let parameters = LogParams { container: Some(query.container.clone()), ..LogParams::default() };
        let previous = LogParams { previous: true, ..parameters.clone() };
        // There is a previous log only after a restart.
        let mut text = pods.logs(&name, &previous).await.unwrap_or_default();
        text.push_str(&pods.logs(&name, &parameters).await?);
        Ok(text)
    }

    /// Runs `probe` in a pod.
    ///
    /// # Errors
    /// When there is no such pod, or the probe could not be run there. What the probe found is never an error.
    pub async fn probe(&self, from: &PodQuery, probe: &Probe) -> anyhow::Result<Observation> {
        let pod = self.pod(from).await?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &from.namespace);
        let name = pod.metadata.name.unwrap_or_default();
        let command = [PROBES.to_owned(), serde_json::to_string(probe)?];
        let parameters = AttachParams::default().container(&from.container).stdout(true).stderr(true);
        let run = async {
            let mut process = pods.exec(&name, command, &parameters).await?;
            let status = process.take_status();
            let (mut text, mut problem) = (String::new(), String::new());
            let (stdout, stderr) = (process.stdout(), process.stderr());
            let read_out = async {
                match stdout {
                    Some(mut stdout) => stdout.read_to_string(&mut text).await,
                    None => Ok(0),
                }
            };
            let read_err = async {
                match stderr {
                    Some(mut stderr) => stderr.read_to_string(&mut problem).await,
                    None => Ok(0),
                }
            };
            let (out, _) = tokio::join!(read_out, read_err);
            out?;
            let ended = match status {
                Some(status) => status.await.and_then(|status| status.message).unwrap_or_default(),
                None => String::new(),
            };
            let joined = process.join().await;
            serde_json::from_str(text.trim()).map_err(|_| {
                let lost = joined.err().map(|error| format!("; {error}")).unwrap_or_default();
                anyhow::anyhow!(
                    "the probe in {name} printed {text:?} and {problem:?}, and ended so: {ended}{lost}"
                )
            })
        };
        tokio::time::timeout(self.patience.probe, run).await.map_err(|_| {
            anyhow::anyhow!("the probe in {name} did not end within {:?}", self.patience.probe)
        })?
    }

    /// Applies manifests in order; the first that the API rejects is the error, in the API's words.
    ///
    /// # Errors
    /// The API server's `Status`.
    pub(crate) async fn apply_all(&self, manifests: &[Value]) -> anyhow::Result<()> {
        for manifest in manifests {
            match &self.foothold {
                Some(foothold) => foothold.apply(&self.client, manifest).await?,
                None => object::apply(&self.client, manifest).await?,
            }
        }
        Ok(())
    }

    /// Changes what the name server outside the cluster answers.
    pub(crate) async fn set_upstream(&self, mode: UpstreamMode) -> anyhow::Result<()> {
        Ok(self.cluster.set_upstream(mode).await?)
    }

    /// Marks the part of the case that follows.
    pub fn enter(&self, phase: Phase) {
        self.with_journal(|journal| journal.enter(phase));
    }

    /// Notes that something is done.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn step(&self, what: impl Into<String>) -> anyhow::Result<()> {
        let what = what.into();
        self.waiting_for(&what);
        self.note(Event::Step { what })
    }

    pub(crate) fn observed(&self, what: &str, seen: &Seen, after: Duration) -> anyhow::Result<()> {
        let mut text = String::new();
        write!(text, "{seen}")?;
        let after_seconds = (after.as_secs_f64() * 1000.0).round() / 1000.0;
        self.note(Event::Observation { what: what.into(), seen: text, after_seconds })
    }

    pub(crate) fn note(&self, event: Event) -> anyhow::Result<()> {
        Ok(self.with_journal(|journal| journal.append(event))?)
    }

    pub(crate) fn with_journal<T>(&self, act: impl FnOnce(&mut Journal) -> T) -> T {
        // A panic while the journal was held leaves it whole: every entry is written as a unit.
        act(&mut self.journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Tells whoever watches what is being waited for.
    pub(crate) fn waiting_for(&self, what: &str) {
        self.progress.waiting_for(what);
    }

    /// Registers how to undo what was just done.
    pub(crate) fn undo_later(&self, undo: Undo) -> usize {
        self.undo.push(undo)
    }

    /// The pause between two looks.
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(self.patience.interval).await;
    }
}
