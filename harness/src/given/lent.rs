//! A mesh that somebody runs and lends: cases put objects into its namespace for a while instead of installing a mesh.

use anyhow::Context;
use clusters::GivenCluster;
use kube::Client;
use serde_json::Value;

use super::diagnose::controller_of;
use super::{peculiarities, refusals};
use crate::look::{PodQuery, Seen};
use crate::mesh::{InstalledMesh, is_ready};
use crate::model::condition;
use crate::object::{self, Kind, ObjectRef};
use crate::world::Topology;

/// A mesh of somebody else's that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LentMesh {
    namespace: String,
    /// The controller's namespace.
    home: String,
}

impl LentMesh {
    /// The mesh in `namespace`. Changes nothing.
    ///
    /// # Errors
    /// What it lacks: what is broken already shows nothing when it is broken once more.
    pub async fn find(cluster: &GivenCluster, namespace: &str) -> anyhow::Result<LentMesh> {
        let found = LentMesh::try_find(cluster, namespace).await;
        found.map_err(|error| refusals::explain(cluster, &refusals::of_lent(namespace), error))
    }

    async fn try_find(cluster: &GivenCluster, namespace: &str) -> anyhow::Result<LentMesh> {
        let client = cluster.client()?;
        if let Some(why) = peculiarities::of_network(&client).await {
            anyhow::bail!("{why}");
        }
        // What may not be seen of the network keeps no run from its work.
        cluster.take_refusals();
        let found = ObjectRef::new(Kind::Namespace, "", namespace).read(&client).await;
        let found = found.with_context(|| format!("cannot look at namespace {namespace}"))?;
        let found = found.with_context(|| format!("there is no namespace {namespace}"))?;
        anyhow::ensure!(
            found["metadata"]["deletionTimestamp"].is_null(),
            "namespace {namespace} is being deleted: there is nothing in it to break any more"
        );
        let home = controller_of(&client, namespace).await?;
        let mut lacks = Vec::new();
        match &home {
            Some(home) => {
                let mesh = InstalledMesh::of_others(home, namespace);
                for pod in [mesh.controller(), mesh.scheduler(), mesh.agent(), mesh.envoy()] {
                    lacks.extend(missing(&client, &pod).await?);
                }
            }
            None => lacks.push("a Seldon controller that watches it".into()),
        }
        let models = object::list(&client, Kind::Model, namespace, "").await;
        lacks.extend(not_ready(&models.context("cannot look at its Models")?));
        anyhow::ensure!(
            lacks.is_empty(),
            "namespace {namespace} has no mesh to break, for it lacks {}; `seldon-conformance diagnose --context {} \
             --namespace {namespace}` says more",
            lacks.join(", "),
            cluster.context()
        );
        Ok(LentMesh { namespace: namespace.into(), home: home.unwrap_or_default() })
    }

    /// Its tenant's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its controller's namespace.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// How controller and tenant are laid out.
    pub fn topology(&self) -> Topology {
        if self.home == self.namespace { Topology::PerNamespace } else { Topology::ClusterWide }
    }

    /// As scenarios handle it.
    pub(crate) fn mesh(&self) -> InstalledMesh {
        InstalledMesh::of_others(&self.home, &self.namespace)
    }
}

async fn missing(client: &Client, pod: &PodQuery) -> anyhow::Result<Option<String>> {
    let PodQuery { namespace, labels, name, .. } = pod;
    let pods = object::list(client, Kind::Pod, namespace, labels).await;
    let pods = pods.with_context(|| format!("cannot look at the pods of {namespace}"))?;
    let there = is_ready(pod).holds(&Seen::Objects(pods));
    Ok((!there).then(|| format!("{name} (no pod {labels} is Ready in {namespace})")))
}

/// What a mesh lacks whose Models are not all of use.
fn not_ready(models: &[Value]) -> Vec<String> {
    if models.is_empty() {
        return vec!["a Model whose readiness shows what goes on and what does not".into()];
    }
    let ill = models.iter().filter(|model| {
        let object = ObjectRef::new(Kind::Model, "", object::name(model));
        !condition(&object, "Ready", "True").holds(&Seen::Object((*model).clone()))
    });
    ill.map(|model| format!("readiness of Model {}", object::name(model))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::tests::lab::Lab;
    use crate::given::{RUN_LABEL, undo_everything};
    use crate::undo::Undo;
    use rstest::rstest;
    use seldon_crds::defaults::controller::{Controller, Reach, manifests};
    use serde_json::json;

    const NAMESPACE: &str = "theirs";

    fn policy(name: &str) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        })
    }

    fn place() -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    }

    fn lent() -> LentMesh {
        LentMesh { namespace: NAMESPACE.into(), home: "seldon-system".into() }
    }

    #[rstest]
    #[case::none(json!([]), &["a Model whose readiness shows what goes on and what does not"])]
    #[case::ill(json!([{"metadata": {"name": "ill"}}]), &["readiness of Model ill"])]
    #[case::well(json!([{"metadata": {"name": "well"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]), &[])]
    fn models_that_are_of_no_use_are_named(#[case] models: Value, #[case] said: &[&str]) {
        assert_eq!(not_ready(models.as_array().unwrap()), said);
    }

    #[tokio::test]
    async fn what_a_namespace_lacks_is_said_before_anything_is_done() {
        let lab = Lab::new().await;
        let find = async || LentMesh::find(&lab.cluster, NAMESPACE).await.unwrap_err().to_string();
        assert_eq!(find().await, "there is no namespace theirs");
        object::apply(&lab.client(), &place()).await.unwrap();
        let said = find().await;
        assert!(
            said.starts_with(
                "namespace theirs has no mesh to break, for it lacks a Seldon controller that watches it, "
            ),
            "{said}"
        );
        assert!(
            said.ends_with("`seldon-conformance diagnose --context lab --namespace theirs` says more"),
            "{said}"
        );
        for manifest in manifests(&Controller::new(NAMESPACE, Reach::OwnNamespace)) {
            object::apply(&lab.client(), &manifest).await.unwrap();
        }
        let said = find().await;
        assert!(
            said.contains(
                "the scheduler (no pod app.kubernetes.io/name=seldon-scheduler is Ready in theirs), "
            ),
            "{said}"
        );
    }

    #[tokio::test]
    async fn into_a_lent_namespace_goes_what_faults_are_made_of_and_nothing_of_its_owner_changes() {
        let lab = Lab::new().await;
        let client = lab.client();
        object::apply(&client, &place()).await.unwrap();
        object::apply(&client, &policy("owners")).await.unwrap();
        let before = lab.everything_in(NAMESPACE).await;
        let foothold = lab.foothold(7).await.on_lent_mesh(lent());
        let taken = foothold.apply(&client, &policy("owners")).await.unwrap_err().to_string();
        assert_eq!(taken, "NetworkPolicy theirs/owners exists and is not this run's; nothing was changed");
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": NAMESPACE}});
        let refused = foothold.apply(&client, &map).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "ConfigMap theirs/c is nothing that is put into a mesh of somebody's; nothing was changed"
        );
        let elsewhere = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}});
        assert!(foothold.apply(&client, &elsewhere).await.is_err());
        assert_eq!(lab.everything_in(NAMESPACE).await, before);

        foothold.apply(&client, &policy("fault")).await.unwrap();
        let fault = ObjectRef::new(Kind::NetworkPolicy, NAMESPACE, "fault");
        let found = fault.read(&client).await.unwrap().unwrap();
        assert_eq!(found["metadata"]["labels"][RUN_LABEL], "00000007");
        foothold.take_away(&client, &ObjectRef::new(Kind::NetworkPolicy, NAMESPACE, "owners")).await.unwrap();
        assert!(lab.everything_in(NAMESPACE).await.len() > before.len(), "the owner's is the owner's");
        foothold.take_away(&client, &fault).await.unwrap();
        assert_eq!(lab.everything_in(NAMESPACE).await, before);
        foothold.leave().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_left_in_a_lent_namespace_is_undone_by_the_ledger_alone() {
        let lab = Lab::new().await;
        let client = lab.client();
        object::apply(&client, &place()).await.unwrap();
        let before = lab.everything_in(NAMESPACE).await;
        let foothold = lab.foothold(7).await.on_lent_mesh(lent());
        foothold.apply(&client, &policy("fault")).await.unwrap();
        // Its name was in the ledger, somebody else's object took its place.
        let replaced = ObjectRef::new(Kind::NetworkPolicy, NAMESPACE, "replaced");
        foothold.before(&client, Undo::Delete(replaced.clone())).await.unwrap();
        object::apply(&client, &policy("replaced")).await.unwrap();
        drop(foothold);
        let nowhere = tempfile::tempdir().unwrap();
        let undone = undo_everything(&lab.cluster, nowhere.path()).await.unwrap();
        assert_eq!(
            undone[0].steps,
            ["delete NetworkPolicy theirs/replaced", "delete NetworkPolicy theirs/fault"]
        );
        assert!(replaced.read(&client).await.unwrap().is_some());
        replaced.delete(&client).await.unwrap();
        assert_eq!(lab.everything_in(NAMESPACE).await, before);
    }
}
