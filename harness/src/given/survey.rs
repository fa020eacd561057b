//! Looking at a given cluster before anything is changed: what is missing, what is in the way, what would be touched.

use std::collections::{BTreeMap, BTreeSet};

use clusters::GivenCluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Container;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};

use super::{ClusterScope, HOME, LentMesh, peculiarities, stock};
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
    /// Something it needs and may not do, or that is in the way.
    Lacks(String),
    /// Something it needs, of which nobody says whether it is there.
    Unsure(String),
}

/// Group, resource, verbs.
type Needed = (&'static str, &'static str, &'static [&'static str]);

/// Verbs that are needed in namespaces of our own.
const NEEDED: &[Needed] = &[
    ("", "namespaces", &["create", "delete", "get"]),
    ("", "pods", &["create", "delete", "get"]),
    ("", "pods/exec", &["create", "get"]),
    ("", "pods/log", &["get"]),
    ("", "services", &["create", "delete", "get"]),
    ("", "configmaps", &["create", "delete", "get", "list"]),
    ("", "secrets", &["create", "delete", "get"]),
    ("apps", "deployments", &["create", "delete", "get", "patch"]),
    ("apps", "statefulsets", &["create", "delete", "get", "list"]),
    ("networking.k8s.io", "networkpolicies", &["create", "delete"]),
    ("rbac.authorization.k8s.io", "roles", &["create", "delete", "bind", "escalate"]),
    ("rbac.authorization.k8s.io", "rolebindings", &["create", "delete"]),
    ("coordination.k8s.io", "leases", &["create", "get", "update"]),
    ("mlops.seldon.io", "models", &["create", "delete", "get", "patch"]),
    ("mlops.seldon.io", "servers", &["create", "delete", "get", "patch"]),
    ("mlops.seldon.io", "seldonruntimes", &["create", "delete", "get"]),
];

/// Those without a namespace, needed when such objects may be made.
const UNSCOPED: &[Needed] = &[
    ("apiextensions.k8s.io", "customresourcedefinitions", &["create", "delete", "get"]),
    ("rbac.authorization.k8s.io", "clusterroles", &["create", "delete", "bind", "escalate"]),
    ("rbac.authorization.k8s.io", "clusterrolebindings", &["create", "delete"]),
    ("", "configmaps", &["patch"]),
    ("", "pods", &["patch"]),
];

/// Verbs that are needed in the namespace of a lent mesh.
const LENT: &[Needed] = &[
    ("", "pods", &["get"]),
    ("", "pods/exec", &["create", "get"]),
    ("", "pods/log", &["get"]),
    ("networking.k8s.io", "networkpolicies", &["create", "delete", "get", "patch"]),
    ("mlops.seldon.io", "models", &["create", "delete", "get", "patch"]),
];

/// What a diagnosis looks at, wherever it is.
const LOOKED_AT: &[Needed] = &[
    ("", "namespaces", &["list"]),
    ("", "pods", &["list"]),
    ("", "services", &["list"]),
    ("discovery.k8s.io", "endpointslices", &["list"]),
    ("networking.k8s.io", "networkpolicies", &["list"]),
    ("apps", "deployments", &["list"]),
    ("mlops.seldon.io", "models", &["list"]),
    ("mlops.seldon.io", "servers", &["list"]),
    ("mlops.seldon.io", "seldonruntimes", &["list"]),
];

/// Verbs that are needed in the namespace of a lent mesh's controller.
const CONTROLLERS: &[Needed] = &[("", "pods/exec", &["create", "get"]), ("", "pods/log", &["get"])];

/// Those that are needed beside it, for the ledger and the Lease.
const BOOKS: &[Needed] = &[
    ("", "namespaces", &["create", "delete", "get"]),
    ("", "configmaps", &["create", "delete", "get", "list", "patch"]),
    ("coordination.k8s.io", "leases", &["create", "get", "update"]),
];

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
    match LentMesh::find(cluster, namespace).await {
        Ok(mesh) => {
            let topology = mesh.topology();
            findings.push(Finding::Has(format!("a {topology} mesh in {namespace}, all of it Ready")));
            if topology == Topology::ClusterWide {
                findings.extend(denied(&client, CONTROLLERS, Some(mesh.home())).await?);
            }
        }
        Err(why) => findings.push(Finding::Lacks(format!("{why:#}"))),
    }
    findings.extend(denied(&client, LENT, Some(namespace)).await?);
    findings.extend(denied(&client, &[BOOKS, LOOKED_AT].concat(), None).await?);
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
    let mut needed = NEEDED.to_vec();
    if scope == ClusterScope::Allowed {
        needed.extend(UNSCOPED);
        findings.push(touches(
            "definitions of Seldon's kinds where there are none, a ClusterRole and its binding, a label of kube-system",
        ));
        findings.push(touches(
            "ConfigMap coredns-custom or coredns in kube-system, and an annotation of CoreDNS's pods: blocks for names of \
             the case's own namespaces, `example` and `invalid`",
        ));
    }
    if let Err(why) = refuse_what_cannot_work(client, scope).await {
        findings.push(Finding::Lacks(format!("{why:#}")));
    }
    findings.extend(peculiarities::of(client).await.into_iter().map(Finding::Lacks));
    match images {
        OwnImages::Imported => findings.extend(stock::findings(client, seldon).await),
        OwnImages::PulledFrom(registry) => findings.push(Finding::Unsure(format!(
            "whether nodes can pull our images from {registry}: a mesh whose pods cannot says so when it does not come"
        ))),
    }
    needed.extend(LOOKED_AT);
    findings.extend(denied(client, &needed, None).await?);
    Ok(findings)
}

/// The verbs that the user lacks, in `namespace` or in all.
async fn denied(client: &Client, needed: &[Needed], namespace: Option<&str>) -> anyhow::Result<Vec<Finding>> {
    let mut verbs_of: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (group, resource, verbs) in needed {
        verbs_of.entry((group, resource)).or_default().extend(*verbs);
    }
    let mut findings = Vec::new();
    for ((group, resource), verbs) in verbs_of {
        let mut denied = Vec::new();
        for verb in verbs {
            if !may(client, group, resource, verb, namespace).await? {
                denied.push(verb);
            }
        }
        if !denied.is_empty() {
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            let place = namespace.map_or(String::new(), |namespace| format!(" in {namespace}"));
            findings
                .push(Finding::Lacks(format!("you may not {} {resource}{group}{place}", denied.join(", "))));
        }
    }
    Ok(findings)
}

async fn may(
    client: &Client,
    group: &str,
    resource: &str,
    verb: &str,
    namespace: Option<&str>,
) -> anyhow::Result<bool> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let asked = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: namespace.map(str::to_owned),
                group: Some(group.into()),
                resource: Some(resource.into()),
                subresource,
                verb: Some(verb.into()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &asked).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// # Errors
/// The first thing that keeps any case from running, with the remedy.
pub(super) async fn refuse_what_cannot_work(client: &Client, scope: ClusterScope) -> anyhow::Result<()> {
    if scope == ClusterScope::PodsAlone {
        return Ok(());
    }
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
