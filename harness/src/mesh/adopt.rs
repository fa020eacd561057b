//! Working on a mesh that somebody lends, instead of installing one.

use anyhow::Context;
use diagnosis::guards;
use reports::Phase;
use toolbox::{DnsStyle, Probe};

use super::InstalledMesh;
use crate::claim::Claim;
use crate::given::{LentMesh, RUN_LABEL};
use crate::images::PROBES;
use crate::look::{Look, PodQuery, Seen};
use crate::model::{AppliedModel, condition};
use crate::object::{self, Kind, ObjectRef};
use crate::run::{Lacking, Unjudgeable};
use crate::undo::Undo;
use crate::world::World;

/// The scheduler's port for controllers (Seldon 2.9.1).
const SCHEDULER_API: u16 = 9004;

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
    /// [`Lacking`]: its image has no program that probes, as images that are not ours have none; so nothing of what it
    /// sees of the network can be told. [`Unjudgeable`]: one could not be run now.
    pub async fn can_look_from(&self, pod: &PodQuery) -> anyhow::Result<()> {
        let probe = Probe::Dns { style: DnsStyle::Go, name: "kubernetes.default".into() };
        let Err(error) = self.probe(pod, &probe).await else { return Ok(()) };
        let said = format!("{error:#}");
        let unseen = format!("what {} sees of the network cannot be told", pod.name);
        Err(match lacks_program(&said) {
            true => Lacking::because(format!("{unseen}: its image has no {PROBES}")),
            false => Unjudgeable::because(format!("{unseen}: {said}")),
        })
    }

    /// No policy decides yet who reaches the scheduler: beside one that does, a further one can only admit more.
    ///
    /// # Errors
    /// [`Lacking`]: there is one. The API server's.
    pub async fn nobody_guards_the_scheduler(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        let snapshot = self.objects(mesh.controller_namespace()).await?;
        let guards = guards(&snapshot, self.profile(), mesh.tenant(), SCHEDULER_API);
        if guards.is_empty() {
            return Ok(());
        }
        Err(Lacking::because(format!(
            "NetworkPolicy {} decides already who reaches the scheduler, and one more could only admit more",
            guards.join(", ")
        )))
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

/// What a container runtime says of a program that is not there (runc 1.1 by containerd 1.6, seen on Kubernetes 1.33.1).
fn lacks_program(said: &str) -> bool {
    said.contains(PROBES) && said.contains("no such file or directory")
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::missing(
        "the probe in controller printed \"\" and \"\", and ended so: failed to exec in container: OCI runtime exec \
         failed: exec failed: unable to start container process: exec: \"/toolbox\": stat /toolbox: no such file or \
         directory: unknown",
        true
    )]
    #[case::forbidden("pods \"controller\" is forbidden: cannot create resource \"pods/exec\"", false)]
    #[case::another_file("open /etc/resolv.conf: no such file or directory", false)]
    #[case::late("the probe in controller did not end within 20s", false)]
    fn a_missing_program_is_told_from_other_troubles(#[case] said: &str, #[case] missing: bool) {
        assert_eq!(lacks_program(said), missing);
    }
}
