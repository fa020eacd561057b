//! Working on a mesh that somebody lends, instead of installing one.

use anyhow::Context;
use reports::Phase;
use toolbox::{DnsStyle, Probe};

use super::InstalledMesh;
use crate::claim::Claim;
use crate::given::{LentMesh, RUN_LABEL};
use crate::look::{Look, PodQuery, Seen};
use crate::model::{AppliedModel, condition};
use crate::object::{self, Kind, ObjectRef};
use crate::run::Unjudgeable;
use crate::undo::Undo;
use crate::world::World;

impl World {
    /// The mesh that was lent, once more found to be whole.
    ///
    /// # Errors
    /// That none was, or what it lacks by now.
    pub async fn adopt(&self) -> anyhow::Result<InstalledMesh> {
        let foothold = self.foothold().context("only a mesh on a given cluster is lent")?;
        let lent = foothold.lent().context("no mesh was lent")?;
        let lent = LentMesh::find(foothold.cluster(), lent.namespace()).await?;
        let mesh = lent.mesh();
        self.step(format!(
            "adopt the mesh in {}, whose controller is in {}",
            mesh.tenant(),
            mesh.controller_namespace()
        ))?;
        self.remember(&mesh);
        self.eventually(mesh.owners_models_are_ready()).await?;
        self.enter(Phase::Healthy);
        Ok(mesh)
    }

    /// Probes can be run in a pod.
    ///
    /// # Errors
    /// [`Unjudgeable`]: they cannot, so that nothing of what it sees of the network can be told.
    pub async fn can_look_from(&self, pod: &PodQuery) -> anyhow::Result<()> {
        let probe = Probe::Dns { style: DnsStyle::Go, name: "kubernetes.default".into() };
        let tried = self.probe(pod, &probe).await;
        tried.map(drop).map_err(|error| {
            let name = &pod.name;
            Unjudgeable::because(format!(
                "what {name} sees of the network cannot be told, as its image has no program that probes: {error:#}"
            ))
        })
    }

    /// Takes away a Model that this case has put into a lent mesh, and waits until it is gone.
    ///
    /// # Errors
    /// The API server's, or that it does not go.
    pub async fn take_away(&self, model: &AppliedModel) -> anyhow::Result<()> {
        let object = model.object().clone();
        self.step(format!("delete {object}"))?;
        Undo::Delete(object.clone()).run(self).await?;
        let gone = Claim::new(format!("{object} is gone"), Look::Object(object), |seen| {
            matches!(seen, Seen::Absent)
        });
        self.repaired_by_manifest("the Model is deleted", gone).await
    }
}

impl InstalledMesh {
    /// There are Models of the mesh's owner, and all of them are Ready.
    pub fn owners_models_are_ready(&self) -> Claim {
        let look = Look::Objects {
            kind: Kind::Model,
            namespace: self.tenant.clone(),
            labels: format!("!{RUN_LABEL}"),
        };
        Claim::new("the owner's Models are Ready", look, |seen| {
            let Seen::Objects(models) = seen else { return false };
            let ready = |model: &serde_json::Value| {
                let object = ObjectRef::new(Kind::Model, "", object::name(model));
                condition(&object, "Ready", "True").holds(&Seen::Object(model.clone()))
            };
            !models.is_empty() && models.iter().all(ready)
        })
    }
}
