//! Installing a mesh: the objects of Seldon's charts, and waiting until they do what they are for.

use std::time::Instant;

use clusters::Cluster;
use pace::Pace;
use reports::Phase;
use seldon_crds::defaults::{self, Values, controller};
use serde_json::{Value, json};

use super::hasten::hasten;
use super::own_images::{self, Behind, OwnImages};
use super::{InstalledMesh, Mesh, Runtime, Servers, other_tooling, store};
use crate::claim::Claim;
use crate::look::{Look, PodQuery, Seen};
use crate::object::{ObjectRef, manifest};
use crate::seldon::{Chart, Charts, Layout, ModelServer, Seldon};
use crate::world::{Topology, World};
use crate::{images, model, obstacles};

impl World {
    /// Installs `mesh` and returns when everything it was asked for is Ready.
    ///
    /// # Errors
    /// The API server's answer to a manifest, or what was not Ready in time and how it looked last.
    pub async fn install(&self, mesh: Mesh) -> anyhow::Result<InstalledMesh> {
        let began = Instant::now();
        let mesh = mesh.placed(self.namespaces());
        self.step(format!("install {mesh}"))?;
        if self.seldon().model_server() == ModelServer::StandIn {
            self.step("models are served by a stand-in for MLServer, which runs none".to_owned())?;
        }
        for making in makings(&mesh, self.seldon(), self.kubelet())? {
            match making {
                Making::Apply(objects) => self.apply_of(objects).await?,
                Making::Charts(source, charts, layout) => {
                    self.install_charts(source, &charts, &layout).await?;
                }
            }
        }
        let installed = installed(&mesh);
        self.remember(&installed);
        if let Err(error) = self.comes_up(&mesh, &installed).await {
            let ours = [mesh.tenant.as_str(), mesh.home.as_str(), mesh.store.as_str()];
            let why = obstacles::in_the_way(self.client(), &ours).await;
            return Err(if why.is_empty() { error } else { error.context(why.join("; ")) });
        }
        self.step(format!("installed in {:.1} s", began.elapsed().as_secs_f64()))?;
        self.enter(Phase::Healthy);
        Ok(installed)
    }

    fn kubelet(&self) -> Kubelet {
        match self.cluster() {
            Cluster::Embedded(_) => Kubelet::Ours,
            Cluster::Given(_) | Cluster::Kubernetes(..) => Kubelet::Real,
        }
    }

    /// Waits until everything that `mesh` was asked for is Ready.
    async fn comes_up(&self, mesh: &Mesh, installed: &InstalledMesh) -> anyhow::Result<()> {
        for part in parts(mesh, installed, self.seldon(), self.kubelet()) {
            let ready = match &part {
                Part::Late(objects) => {
                    self.apply_all(objects).await?;
                    continue;
                }
                Part::Pod(query) => is_ready(query),
                Part::Server(server) => model::condition(server, "Ready", "True"),
            };
            self.wait_for(ready, self.patience().mesh).await?;
        }
        Ok(())
    }

    /// Where nodes have our images from.
    pub(crate) fn own_images(&self) -> &OwnImages {
        self.foothold().map_or(&OwnImages::Imported, |foothold| foothold.own_images())
    }

    /// Lets an object of ours run from our own images, where others decide what a name stands for.
    pub(crate) fn name_own_images(&self, object: &mut Value) {
        own_images::name(object, Behind::Seldons, self.own_images());
    }

    /// Applies what is ours of `mesh`. Where the kubelet is not ours, what its pods wait for is shrunk before, and they run
    /// from images under our own names.
    async fn apply_of(&self, mut objects: Vec<Value>) -> anyhow::Result<()> {
        if self.kubelet() == Kubelet::Real {
            let (pace, seldon, images) = (self.pace(), self.seldon(), self.own_images());
            objects.iter_mut().for_each(|object| adapt(object, pace, seldon, images));
        }
        self.apply_all(&objects).await
    }

    /// Applies Server `mlserver` in `mesh`'s tenant.
    ///
    /// # Errors
    /// The API server's.
    pub async fn apply_server(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step(format!("apply Server {}/mlserver", mesh.tenant))?;
        self.apply_all(&[server(&mesh.tenant)]).await
    }

    /// Applies SeldonRuntime `seldon` in `mesh`'s tenant.
    ///
    /// # Errors
    /// The API server's.
    pub async fn apply_runtime(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step(format!("apply SeldonRuntime {}/seldon", mesh.tenant))?;
        self.apply_all(&[manifest(&defaults::seldon_runtime(&mesh.tenant))?]).await
    }
}

/// What `mesh` will be once it is installed.
pub(super) fn installed(mesh: &Mesh) -> InstalledMesh {
    InstalledMesh {
        controller_namespace: mesh.home.clone(),
        tenant: mesh.tenant.clone(),
        visitors: mesh.tenant.clone(),
        store: mesh.store.clone(),
        namespaces: mesh.namespaces.clone(),
    }
}

/// Whose kubelet runs a mesh's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kubelet {
    /// An embedded cluster's.
    Ours,
    /// Kubernetes' own.
    Real,
}

/// Whether the Server is applied when the scheduler is Ready. Containers of a real kubelet take seconds to start, while
/// name servers remember for five that a name has no address, and the controller waits longer and longer: a Server
/// that comes first has it try again ten seconds after there was a scheduler.
fn server_comes_last(seldon: &Seldon, kubelet: Kubelet) -> bool {
    matches!(seldon, Seldon::StandIn(_)) && kubelet == Kubelet::Real
}

/// One thing that is made to install a mesh.
pub(super) enum Making<'a> {
    /// Objects of ours.
    Apply(Vec<Value>),
    /// Charts.
    Charts(&'a Charts, Vec<Chart>, Layout),
}

/// Everything that is made to install `mesh`, in order.
pub(super) fn makings<'a>(
    mesh: &Mesh,
    seldon: &'a Seldon,
    kubelet: Kubelet,
) -> anyhow::Result<Vec<Making<'a>>> {
    let mut all = vec![Making::Apply(surroundings(mesh))];
    match seldon {
        Seldon::StandIn(server) => {
            let mut objects = stand_ins(mesh, *server)?;
            if server_comes_last(seldon, kubelet) {
                objects.retain(|object| object["kind"] != "Server");
            }
            all.push(Making::Apply(objects));
        }
        Seldon::Charts(source) => {
            let (home, tenant) = (mesh.home.clone(), mesh.tenant.clone());
            let values = Values { tag: source.tag().into(), ..Values::testable(&home) };
            let layout = Layout { home, tenant, reach: reach(mesh) };
            all.push(Making::Charts(source, charts(mesh), layout));
            all.push(Making::Apply(runtime_by_hand(mesh, &values)?));
        }
    }
    Ok(all)
}

/// A part of a mesh that becomes Ready, or is applied when those before it are.
pub(super) enum Part {
    /// A pod.
    Pod(PodQuery),
    /// A Server.
    Server(ObjectRef),
    /// Objects that come late.
    Late(Vec<Value>),
}

/// The parts of `mesh`, in the order in which they are waited for.
pub(super) fn parts(mesh: &Mesh, installed: &InstalledMesh, seldon: &Seldon, kubelet: Kubelet) -> Vec<Part> {
    let mut parts = vec![Part::Pod(installed.controller()), Part::Pod(installed.visitor())];
    if mesh.runtime != Runtime::Absent {
        parts.push(Part::Pod(installed.scheduler()));
    }
    if mesh.servers == Servers::One {
        if server_comes_last(seldon, kubelet) {
            parts.push(Part::Late(vec![server(&mesh.tenant)]));
        }
        parts.push(Part::Server(installed.server()));
        parts.extend([Part::Pod(installed.agent()), Part::Pod(installed.envoy())]);
    }
    parts
}

/// Makes of an object of ours what is applied where the kubelet is a real one: what its pods wait for shrinks with the
/// pace, and they run from images under our own names.
pub(super) fn adapt(object: &mut Value, pace: Pace, seldon: &Seldon, images: &OwnImages) {
    let behind = match seldon {
        Seldon::StandIn(_) => Behind::StandIns,
        Seldon::Charts(_) => Behind::Seldons,
    };
    hasten(object, pace);
    own_images::name(object, behind, images);
}

/// What stands around a mesh: namespaces, the artefact store and how it is reached, visitors.
fn surroundings(mesh: &Mesh) -> Vec<Value> {
    let (tenant, home) = (mesh.tenant.as_str(), mesh.home.as_str());
    let mut objects = vec![namespace(tenant)];
    if home != tenant {
        objects.push(namespace(home));
    }
    objects.extend(store::manifests(&mesh.store));
    for neighbour in &mesh.neighbours {
        objects.extend([namespace(neighbour), store::secret(neighbour, &mesh.store), visitor(neighbour)]);
    }
    objects.extend([store::secret(tenant, &mesh.store), visitor(tenant)]);
    objects
}

/// The objects of the charts, for stand-ins that load models into `server`.
fn stand_ins(mesh: &Mesh, server: ModelServer) -> anyhow::Result<Vec<Value>> {
    let (tenant, home) = (mesh.tenant.as_str(), mesh.home.as_str());
    let mut values = Values::testable(home);
    if server == ModelServer::StandIn {
        values.model_server = images::MODEL_SERVER.into();
    }
    let mut objects = Vec::new();
    for definition in seldon_crds::definitions::all() {
        objects.push(manifest(&definition)?);
    }
    objects.push(manifest(&defaults::seldon_config(&values))?);
    objects.push(manifest(&defaults::server_config(&values))?);
    objects.extend(runtime_by_hand(mesh, &values)?);
    if mesh.runtime == Runtime::Controller {
        objects.push(manifest(&defaults::rclone_gs_public(tenant))?);
        objects.push(manifest(&defaults::seldon_runtime(tenant))?);
    }
    if mesh.servers == Servers::One {
        objects.push(self::server(tenant));
    }
    objects.extend(controller::manifests(&controller::Controller::new(home, reach(mesh))));
    Ok(objects)
}

/// What a mesh whose runtime does not come from the runtime chart has instead.
fn runtime_by_hand(mesh: &Mesh, values: &Values) -> anyhow::Result<Vec<Value>> {
    let mut objects = match mesh.runtime {
        Runtime::Controller => return Ok(Vec::new()),
        Runtime::OtherTooling => other_tooling::manifests(&mesh.tenant, values)?,
        Runtime::Absent => Vec::new(),
    };
    objects.insert(0, manifest(&defaults::rclone_gs_public(&mesh.tenant))?);
    Ok(objects)
}

/// The charts that make `mesh`.
fn charts(mesh: &Mesh) -> Vec<Chart> {
    let mut charts = vec![Chart::Crds, Chart::Setup];
    charts.extend((mesh.runtime == Runtime::Controller).then_some(Chart::Runtime));
    charts.extend((mesh.servers == Servers::One).then_some(Chart::Servers));
    charts
}

/// What the mesh's controller watches. On a shared cluster that is never everything.
fn reach(mesh: &Mesh) -> controller::Reach {
    let alone = mesh.neighbours.is_empty() && !mesh.namespaces.are_shared();
    match mesh.topology {
        Topology::PerNamespace => controller::Reach::OwnNamespace,
        Topology::ClusterWide if alone => controller::Reach::Cluster,
        Topology::ClusterWide => {
            controller::Reach::Namespaces([std::slice::from_ref(&mesh.tenant), &mesh.neighbours].concat())
        }
    }
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn server(tenant: &str) -> Value {
    json!({
        "apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server",
        "metadata": {"name": "mlserver", "namespace": tenant},
        "spec": {"serverConfig": "mlserver", "replicas": 1},
    })
}

fn visitor(tenant: &str) -> Value {
    let labels = json!({"app": "visitor"});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "visitor", "namespace": tenant, "labels": labels},
        "spec": {"containers": [{"name": "toolbox", "image": images::TOOLBOX, "args": ["wait"]}]},
    })
}

/// A pod of `query` is Ready.
pub(crate) fn is_ready(query: &PodQuery) -> Claim {
    let look = Look::Objects {
        kind: crate::object::Kind::Pod,
        namespace: query.namespace.clone(),
        labels: query.labels.clone(),
    };
    Claim::new(format!("{} is Ready", query.name), look, |seen| {
        let Seen::Objects(pods) = seen else { return false };
        pods.iter().any(|pod| {
            let conditions = pod["status"]["conditions"].as_array();
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
        })
    })
}
