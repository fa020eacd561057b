//! Installing a mesh: the objects of Seldon's charts, and waiting until they do what they are for.

use std::time::Instant;

use clusters::Cluster;
use pace::Pace;
use reports::Phase;
use seldon_crds::defaults::{self, Values, controller};
use serde_json::{Value, json};

use super::hasten::hasten;
use super::{InstalledMesh, Mesh, Runtime, Servers, other_tooling, store};
use crate::claim::Claim;
use crate::look::{Look, PodQuery, Seen};
use crate::object::manifest;
use crate::world::{Topology, World};
use crate::{images, model};

impl World {
    /// Installs `mesh` and returns when everything it was asked for is Ready.
    ///
    /// # Errors
    /// The API server's answer to a manifest, or what was not Ready in time and how it looked last.
    pub async fn install(&self, mesh: Mesh) -> anyhow::Result<InstalledMesh> {
        let began = Instant::now();
        let mesh = mesh.placed(self.namespaces());
        self.step(format!("install {mesh}"))?;
        let objects = match self.cluster() {
            Cluster::Embedded(_) => manifests(&mesh)?,
            _ => hastened(&mesh, self.pace())?,
        };
        self.apply_all(&objects).await?;
        let installed = installed(&mesh);
        self.remember(&installed);
        let patience = self.patience().mesh;
        self.wait_for(is_ready(&installed.controller()), patience).await?;
        self.wait_for(is_ready(&installed.visitor()), patience).await?;
        if mesh.runtime != Runtime::Absent {
            self.wait_for(is_ready(&installed.scheduler()), patience).await?;
        }
        if mesh.servers == Servers::One {
            self.wait_for(model::condition(&installed.server(), "Ready", "True"), patience).await?;
            self.wait_for(is_ready(&installed.agent()), patience).await?;
            self.wait_for(is_ready(&installed.envoy()), patience).await?;
        }
        self.step(format!("installed in {:.1} s", began.elapsed().as_secs_f64()))?;
        self.enter(Phase::Healthy);
        Ok(installed)
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

/// With probes that shrink with the pace, where no kubelet of ours shrinks them.
pub(super) fn hastened(mesh: &Mesh, pace: Pace) -> anyhow::Result<Vec<Value>> {
    let mut objects = manifests(mesh)?;
    objects.iter_mut().for_each(|object| hasten(object, pace));
    Ok(objects)
}

fn manifests(mesh: &Mesh) -> anyhow::Result<Vec<Value>> {
    let (tenant, home) = (mesh.tenant.as_str(), mesh.home.as_str());
    let values = Values::testable(home);
    let mut objects = vec![namespace(tenant)];
    if home != tenant {
        objects.push(namespace(home));
    }
    for definition in seldon_crds::definitions::all() {
        objects.push(manifest(&definition)?);
    }
    objects.extend(store::manifests(&mesh.store));
    for neighbour in &mesh.neighbours {
        objects.extend([namespace(neighbour), store::secret(neighbour, &mesh.store), visitor(neighbour)]);
    }
    objects.push(manifest(&defaults::seldon_config(&values))?);
    objects.push(manifest(&defaults::server_config(&values))?);
    objects.push(manifest(&defaults::rclone_gs_public(tenant))?);
    objects.push(store::secret(tenant, &mesh.store));
    objects.push(visitor(tenant));
    match mesh.runtime {
        Runtime::Controller => objects.push(manifest(&defaults::seldon_runtime(tenant))?),
        Runtime::OtherTooling => objects.extend(other_tooling::manifests(tenant, &values)?),
        Runtime::Absent => {}
    }
    if mesh.servers == Servers::One {
        objects.push(server(tenant));
    }
    objects.extend(controller::manifests(&controller::Controller::new(home, reach(mesh))));
    Ok(objects)
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
