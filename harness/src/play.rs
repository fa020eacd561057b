//! A cluster to play with: the same boot and installation as a case has, without a case.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clusters::{Cluster, ClusterRequest, HostPorts, Programs, UpstreamMode};
use netmodel::Profile;
use pace::Pace;
use reports::Journal;
use serde_json::json;

use crate::images;
use crate::mesh::Mesh;
use crate::model::iris;
use crate::namespaces::Namespaces;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::run::case_id;
use crate::world::{K3S_NAME_SERVER, Parts, Topology, World};

/// NodePort under which the mesh is reached from the host.
pub const MESH_PORT: u16 = 30080;
const TENANT: &str = "seldon-mesh";

/// What to play with.
#[derive(Debug, Clone)]
pub struct Play {
    /// Provisioned programs.
    pub programs: Programs,
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
    let request = ClusterRequest {
        name: "play".into(),
        profile: wanted.profile,
        pace: wanted.pace,
        images: images::table(&wanted.programs, wanted.pace),
        host_address: wanted.host_address,
        api_port: wanted.api_port,
        host_ports: wanted.host_ports,
        upstream: UpstreamMode::honest(),
    };
    let log = wanted.directory.join("cluster.log");
    let cluster = Cluster::start_embedded(request, &wanted.programs, Some(&log)).await?;
    let topology = wanted.topology.unwrap_or(Topology::PerNamespace);
    let case = case_id("play", "a cluster to play with", wanted.profile, topology, "embedded");
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
