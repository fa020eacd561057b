//! Looking at a given cluster before anything is changed: what is missing, what is in the way, what would be touched.

use clusters::GivenCluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::rights::Rights;
use super::{ClusterScope, HOME, LentMesh, admission, peculiarities, stock};
use crate::mesh::OwnImages;
use crate::object::{Kind, ObjectRef};
use crate::seldon::SeldonSource;
use crate::world::Topology;

/// One line of the survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Something the harness would do.
    Touches(String),
    /// Something it needs and that is there.
    Has(String),
    /// Something it needs, or that is in the way.
    Lacks(String),
    /// Something that it does and its user may not.
    MayNot(String),
    /// Something it needs, of which nobody says whether it is there.
    Unsure(String),
}

/// What a run on the mesh in `namespace` would touch, and what stands in its way. Changes nothing.
///
/// # Errors
/// The API server's, when it cannot be asked.
pub async fn survey_lent(cluster: &GivenCluster, namespace: &str) -> anyhow::Result<Vec<Finding>> {
    let client = cluster.client()?;
    let mut findings = vec![
        Finding::Touches(format!("namespace {HOME}: a Lease and the ledger of what was changed")),
        Finding::Touches(format!(
            "namespace {namespace}: a policy on its scheduler and a Model, one after the other, deleted at once"
        )),
    ];
    let mut home = None;
    match LentMesh::find(cluster, namespace).await {
        Ok(mesh) => {
            let topology = mesh.topology();
            findings.push(Finding::Has(format!("a {topology} mesh in {namespace}, all of it Ready")));
            home = (topology == Topology::ClusterWide).then(|| mesh.home().to_owned());
        }
        Err(why) => findings.push(Finding::Lacks(format!("{why:#}"))),
    }
    findings.extend(peculiarities::network_found(&client).await.map(Finding::Has));
    findings.extend(Rights::of_lent(namespace, home.as_deref()).lacking(&client).await?);
    Ok(findings)
}

/// What a run that installs `seldon` would touch, and what stands in its way. Changes nothing.
///
/// # Errors
/// The API server's, when it cannot be asked.
pub async fn survey(
    client: &Client,
    scope: ClusterScope,
    seldon: &SeldonSource,
    images: &OwnImages,
) -> anyhow::Result<Vec<Finding>> {
    let touches = |text: &str| Finding::Touches(text.to_owned());
    let mut findings = vec![
        touches(&format!("namespace {HOME}: a Lease and the ledger of what was changed")),
        touches("a few namespaces for each case, labelled seldon-conformance/run, deleted after it"),
    ];
    if scope == ClusterScope::Allowed {
        findings.push(touches(
            "definitions of Seldon's kinds where there are none, a ClusterRole and its binding, a label of kube-system",
        ));
        findings.push(touches(
            "ConfigMap coredns-custom or coredns in kube-system, and an annotation of CoreDNS's pods: blocks for names of \
             the case's own namespaces, `example` and `invalid`",
        ));
    }
    if let Err(why) = definitions_and_controllers(client, scope).await {
        findings.push(Finding::Lacks(format!("{why:#}")));
    }
    findings.extend(peculiarities::of(client).await.into_iter().map(Finding::Lacks));
    findings.extend(peculiarities::network_found(client).await.map(Finding::Has));
    match images {
        OwnImages::Imported => findings.extend(stock::findings(client, seldon).await),
        OwnImages::PulledFrom(registry) => findings.push(Finding::Unsure(format!(
            "whether nodes can pull our images from {registry}: a mesh whose pods cannot says so when it does not come"
        ))),
    }
    let rights = Rights::of_runs(scope, seldon).lacking(client).await?;
    if !rights.iter().any(|finding| matches!(finding, Finding::MayNot(_))) {
        findings.extend(admission::findings(client).await);
    }
    findings.extend(rights);
    Ok(findings)
}

/// # Errors
/// The first thing that keeps any case from running, or makes what it would show worth nothing; with the remedy.
pub(super) async fn refuse_what_cannot_work(client: &Client, scope: ClusterScope) -> anyhow::Result<()> {
    if scope == ClusterScope::PodsAlone {
        return Ok(());
    }
    definitions_and_controllers(client, scope).await?;
    match peculiarities::of(client).await.into_iter().next() {
        Some(why) => anyhow::bail!("{why}"),
        None => Ok(()),
    }
}

/// # Errors
/// Which definition is missing, or which controller would work on our objects, too.
async fn definitions_and_controllers(client: &Client, scope: ClusterScope) -> anyhow::Result<()> {
    if scope == ClusterScope::Forbidden {
        for definition in seldon_crds::definitions::all() {
            let name = definition.name_any();
            let found = ObjectRef::new(Kind::CustomResourceDefinition, "", &name).read(client).await?;
            anyhow::ensure!(
                found.is_some(),
                "the cluster does not know Seldon's kinds ({name} is missing); install Seldon's CRDs, or allow the \
                 harness to with --allow-cluster-scope"
            );
        }
    }
    let labels = ListParams::default().labels("control-plane=v2-controller-manager");
    let controllers: Api<Deployment> = Api::all(client.clone());
    for controller in controllers.list(&labels).await? {
        anyhow::ensure!(
            !watches_everything(&controller),
            "the Seldon controller in namespace {} watches every namespace and would work on the harness's objects too; \
             use a cluster without it",
            controller.namespace().unwrap_or_default()
        );
    }
    Ok(())
}

/// Seldon 2.9: `--clusterwide=true`, and no list of namespaces.
fn watches_everything(controller: &Deployment) -> bool {
    watched(controller).is_some_and(|list| list.is_empty())
}

/// Whether a controller works on the objects of `namespace`.
pub(super) fn watches(controller: &Deployment, namespace: &str) -> bool {
    let own = controller.namespace().as_deref() == Some(namespace);
    own || watched(controller)
        .is_some_and(|list| list.is_empty() || list.split(',').any(|listed| listed == namespace))
}

/// The list of namespaces that a cluster-wide controller watches, empty for all; none for one that is not.
fn watched(controller: &Deployment) -> Option<String> {
    let pod = controller.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers = pod.map(|pod| pod.containers.as_slice()).unwrap_or_default();
    let value = |flag: &str| containers.iter().find_map(|container| argument(container, flag));
    (value("--clusterwide=").as_deref() == Some("true"))
        .then(|| value("--watch-namespaces=").unwrap_or_default())
}

/// The value of a container's flag, which may be `$(A_VARIABLE)` of its environment.
fn argument(container: &Container, flag: &str) -> Option<String> {
    let words = container.args.iter().chain(&container.command).flatten();
    let value = words.filter_map(|word| word.strip_prefix(flag)).next()?;
    let Some(name) = value.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')) else {
        return Some(value.to_owned());
    };
    let variable = container.env.iter().flatten().find(|variable| variable.name == name);
    Some(variable.and_then(|variable| variable.value.clone()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use seldon_crds::defaults::controller::{Controller, Reach, manifests};
    use serde_json::json;

    #[rstest]
    #[case::everything(&["--clusterwide=true", "--watch-namespaces="], true)]
    #[case::chart_of_290(&["--clusterwide=true"], true)]
    #[case::some(&["--clusterwide=true", "--watch-namespaces=a,b"], false)]
    #[case::own(&["--clusterwide=false"], false)]
    #[case::nothing_said(&[], false)]
    fn controllers_of_the_whole_cluster_are_told_from_others(#[case] words: &[&str], #[case] expected: bool) {
        let deployment = json!({"spec": {
            "selector": {}, "template": {"spec": {"containers": [{"name": "manager", "args": words}]}},
        }});
        assert_eq!(watches_everything(&serde_json::from_value(deployment).unwrap()), expected);
    }

    #[rstest]
    #[case::everything(Reach::Cluster, true)]
    #[case::some(Reach::Namespaces(vec!["a".into()]), false)]
    #[case::own(Reach::OwnNamespace, false)]
    fn the_charts_own_deployments_are_read(#[case] reach: Reach, #[case] expected: bool) {
        let objects = manifests(&Controller::new("seldon-system", reach));
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        assert_eq!(watches_everything(&serde_json::from_value(deployment.clone()).unwrap()), expected);
    }
}
