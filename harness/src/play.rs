//! A cluster to play with: the same boot and installation as a case has, without a case.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clusters::{
    Cache, Cluster, ClusterRequest, ClusterTranscript, GivenCluster, HostPorts, KubernetesCluster,
    KubernetesPrograms, KubernetesRequest, Onlooker, ProgramImage, Programs, UpstreamMode, rehearse_embedded,
    rehearse_kubernetes,
};
use netmodel::Profile;
use pace::Pace;
use reports::Journal;
use serde_json::json;

use crate::images;
use crate::mesh::{Mesh, OwnImages, Rehearsal, Setting};
use crate::model::iris;
use crate::namespaces::Namespaces;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::run::case_id;
use crate::seldon::{Reached, Seldon};
use crate::world::{K3S_NAME_SERVER, Parts, Topology, World};

/// NodePort under which the mesh is reached from the host.
pub const MESH_PORT: u16 = 30080;
const TENANT: &str = "seldon-mesh";

/// What to play with.
#[derive(Debug, Clone)]
pub struct Play {
    /// Provisioned programs.
    pub programs: Programs,
    /// What is made of them.
    pub kind: PlayKind,
    /// What is installed.
    pub seldon: Seldon,
    /// The network.
    pub profile: Profile,
    /// The mesh's layout; `None` for an empty cluster.
    pub topology: Option<Topology>,
    /// Factor for long timers.
    pub pace: Pace,
    /// Upper ends of waits.
    pub patience: Patience,
    /// Loopback address of the host.
    pub host_address: Ipv4Addr,
    /// Port of the API server there; 0 for any.
    pub api_port: u16,
    /// What else listens on the host.
    pub host_ports: HostPorts,
    /// Where the record and the supervisor's log go.
    pub directory: PathBuf,
    /// Name of the Model that the mesh serves.
    pub model: &'static str,
}

/// Which kind of cluster.
#[derive(Debug, Clone)]
pub enum PlayKind {
    /// An embedded one.
    Embedded,
    /// A real Kubernetes.
    Kubernetes {
        /// Its programs.
        programs: Box<KubernetesPrograms>,
        /// Where its state is.
        cache: Cache,
        /// The executable of our own images; this one when absent.
        own: Option<PathBuf>,
    },
}

/// A cluster that is up.
#[derive(Debug)]
pub struct Playground {
    world: World,
    request: Option<String>,
}

impl Playground {
    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        self.world.cluster()
    }

    /// A command that asks the mesh for a prediction from the host.
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// Ends it.
    ///
    /// # Errors
    /// The cluster's.
    pub async fn end(self) -> anyhow::Result<()> {
        let (cluster, _) = self.world.into_cluster_and_journal();
        Ok(cluster.stop().await?)
    }
}

/// Brings it up; returns when the mesh, if one is wanted, answers 200.
///
/// # Errors
/// The cluster's, or what did not become Ready.
pub async fn play(wanted: &Play) -> anyhow::Result<Playground> {
    let cluster = start(wanted).await?;
    let topology = wanted.topology.unwrap_or(Topology::PerNamespace);
    let case = case_id("play", "a cluster to play with", wanted.profile, topology, wanted.kind.word());
    let world = World::new(Parts {
        client: cluster.client().await?,
        cluster,
        foothold: None,
        namespaces: Namespaces::plain(),
        name_server: K3S_NAME_SERVER.into(),
        profile: wanted.profile,
        topology,
        pace: wanted.pace,
        patience: wanted.patience,
        journal: Journal::open(&wanted.directory, case, "", &[])?,
        progress: Progress::silent(),
        seldon: wanted.seldon.clone(),
    });
    if wanted.topology.is_none() {
        return Ok(Playground { world, request: None });
    }
    let mesh = world.install(Mesh::new(topology, TENANT)).await?;
    world.apply_all(&[host_service()]).await?;
    let model = world.apply(&mesh, iris(wanted.model)).await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer(wanted.model).answers_200()).await?;
    let body = crate::mesh::body();
    let request = format!(
        "curl http://{}:{MESH_PORT}/v2/models/{}/infer -H 'content-type: application/json' -d '{body}'",
        wanted.host_address, wanted.model
    );
    Ok(Playground { world, request: Some(request) })
}

/// What [`play`] would do, and what is done at the end. Nothing is touched, and no program needs to be there.
///
/// # Errors
/// That this Seldon has no such layout.
pub fn rehearse_play(wanted: &Play) -> anyhow::Result<ClusterTranscript> {
    let (mut cluster, setting) = match &wanted.kind {
        PlayKind::Embedded => {
            (rehearse_embedded(wanted.embedded_request(), &wanted.programs)?, Setting::Alone)
        }
        PlayKind::Kubernetes { programs, cache, own } => {
            let images = images::table(&wanted.programs, wanted.pace, wanted.seldon.model_server());
            let logs = wanted.logs();
            let request = wanted.kubernetes_request(programs, own.clone(), &images, &logs);
            (rehearse_kubernetes(&request, cache)?, Setting::AloneWithKubelet)
        }
    };
    let Some(topology) = wanted.topology else { return Ok(cluster) };
    let rehearsal = Rehearsal {
        images: &OwnImages::Imported,
        topology,
        seldon: &wanted.seldon,
        setting,
        reached: &Reached::Ours,
        directory: &wanted.directory.join("CASE.helm"),
        pace: wanted.pace,
        patience: wanted.patience,
    };
    let mesh = rehearsal.transcript()?.up;
    let extras = rehearsal.playing(vec![host_service()], iris(wanted.model).manifest(TENANT));
    cluster.up = format!("{}\n#### its mesh\n\n{mesh}\n{extras}", cluster.up);
    Ok(cluster)
}

async fn start(wanted: &Play) -> anyhow::Result<Cluster> {
    match &wanted.kind {
        PlayKind::Embedded => {
            let log = wanted.directory.join("cluster.log");
            Ok(Cluster::start_embedded(wanted.embedded_request(), &wanted.programs, Some(&log)).await?)
        }
        PlayKind::Kubernetes { programs, cache, own } => {
            let images = images::table(&wanted.programs, wanted.pace, wanted.seldon.model_server());
            let logs = wanted.logs();
            let request = wanted.kubernetes_request(programs, own.clone(), &images, &logs);
            let cluster = KubernetesCluster::start(request, cache, &Onlooker::patient(&|_| {})).await?;
            let reached = GivenCluster::of_access("play", cluster.access()).await?;
            Ok(Cluster::Kubernetes(reached, Arc::new(cluster)))
        }
    }
}

impl Play {
    fn embedded_request(&self) -> ClusterRequest {
        ClusterRequest {
            name: "play".into(),
            profile: self.profile,
            pace: self.pace,
            images: images::table_with_suite(&self.programs, self.pace, self.seldon.model_server()),
            host_address: self.host_address,
            api_port: self.api_port,
            host_ports: self.host_ports,
            upstream: UpstreamMode::honest(),
        }
    }

    fn kubernetes_request<'a>(
        &self,
        programs: &'a KubernetesPrograms,
        own: Option<PathBuf>,
        images: &'a [ProgramImage],
        logs: &'a Path,
    ) -> KubernetesRequest<'a> {
        KubernetesRequest {
            profile: self.profile,
            pace: self.pace,
            programs,
            images,
            own,
            logs,
            host_address: self.host_address,
            api_port: self.api_port,
            host_ports: self.host_ports,
        }
    }

    /// Where the programs of a real Kubernetes log.
    fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }
}

impl PlayKind {
    fn word(&self) -> &'static str {
        match self {
            PlayKind::Embedded => "embedded",
            PlayKind::Kubernetes { .. } => "kubernetes",
        }
    }
}

/// A NodePort Service of our own beside `seldon-mesh`, which the controller would put back.
fn host_service() -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "seldon-mesh-host", "namespace": TENANT},
        "spec": {
            "type": "NodePort",
            "selector": {"app.kubernetes.io/name": "seldon-envoy"},
            "ports": [{"name": "data", "port": 80, "targetPort": "http", "nodePort": MESH_PORT}],
        },
    })
}
