//! What a run asks of the API server that RBAC grants or not: what of it the user lacks, and roles that grant all of it.
//!
//! A server-side apply is a `patch`, which besides has to `create` what is not there yet; a dry run needs what the change
//! itself needs. Where a real API server does not let somebody grant what they do not have themselves, `escalate` and
//! `bind` let them: Seldon's controllers get more than a run needs for itself.

use std::collections::{BTreeMap, BTreeSet};

use clusters::GivenCluster;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::diagnose::controller_of;
use super::{ClusterScope, Finding, HOME};
use crate::seldon::SeldonSource;

/// Group, resource, verbs.
type Needed = (&'static str, &'static str, &'static [&'static str]);
/// Verbs by group and resource.
type Verbs = BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>;

const RBAC: &str = "rbac.authorization.k8s.io";
const SELDON: &str = "mlops.seldon.io";

/// What is applied and goes with its namespace.
const APPLIED: &[&str] = &["create", "patch"];
/// What is applied, looked at and deleted.
const HANDLED: &[&str] = &["create", "delete", "get", "list", "patch"];
/// A program in a pod: clients of the one kind of streams post, those of the other get.
const RUN: &[&str] = &["create", "get"];

/// Namespaces, the ledger and the Lease: of every run.
const BOOKS: &[Needed] = &[
    ("", "namespaces", &["create", "delete", "get", "patch"]),
    ("", "configmaps", HANDLED),
    ("coordination.k8s.io", "leases", &["create", "get", "update"]),
];

/// What a diagnosis looks at, wherever it is.
const LOOKED_AT: &[Needed] = &[
    ("", "namespaces", &["list"]),
    ("", "pods", &["list"]),
    ("", "services", &["get", "list"]),
    ("discovery.k8s.io", "endpointslices", &["list"]),
    ("networking.k8s.io", "networkpolicies", &["list"]),
    ("apps", "deployments", &["list"]),
    (SELDON, "models", &["list"]),
    (SELDON, "servers", &["list"]),
    (SELDON, "seldonruntimes", &["list"]),
];

/// What is done in namespaces of our own, whatever they are called.
const OWN: &[Needed] = &[
    ("", "pods", HANDLED),
    ("", "pods/exec", RUN),
    ("", "pods/log", &["get"]),
    ("", "services", HANDLED),
    ("", "secrets", APPLIED),
    ("", "serviceaccounts", APPLIED),
    ("", "events", &["list"]),
    ("apps", "deployments", HANDLED),
    ("apps", "statefulsets", HANDLED),
    ("discovery.k8s.io", "endpointslices", &["create", "delete", "list", "patch"]),
    ("networking.k8s.io", "networkpolicies", HANDLED),
    (RBAC, "roles", &["bind", "create", "escalate", "patch"]),
    (RBAC, "rolebindings", APPLIED),
    (SELDON, "models", HANDLED),
    (SELDON, "servers", HANDLED),
    (SELDON, "seldonruntimes", HANDLED),
    (SELDON, "seldonconfigs", APPLIED),
    (SELDON, "serverconfigs", APPLIED),
    ("apiextensions.k8s.io", "customresourcedefinitions", &["get"]),
];

/// What is done to objects without a namespace, and in kube-system, where that is allowed. A definition goes only when
/// nobody has an object of its kind.
const UNSCOPED: &[Needed] = &[
    ("apiextensions.k8s.io", "customresourcedefinitions", &["create", "delete", "get", "patch"]),
    (SELDON, "experiments", &["list"]),
    (SELDON, "pipelines", &["list"]),
    (SELDON, "seldonconfigs", &["list"]),
    (SELDON, "serverconfigs", &["list"]),
    (RBAC, "clusterroles", &["bind", "create", "delete", "escalate", "get", "patch"]),
    (RBAC, "clusterrolebindings", &["create", "delete", "get", "patch"]),
];

/// What helm does besides: it keeps its records in Secrets, reads what it has made, takes it away, and waits for hooks.
const BY_HELM: &[Needed] = &[
    ("", "secrets", &["create", "delete", "get", "list", "patch", "update"]),
    ("", "serviceaccounts", &["delete", "get"]),
    ("batch", "jobs", &["create", "delete", "get", "list", "patch", "watch"]),
    (RBAC, "roles", &["delete", "get"]),
    (RBAC, "rolebindings", &["delete", "get"]),
    (SELDON, "seldonconfigs", &["delete", "get"]),
    (SELDON, "serverconfigs", &["delete", "get"]),
];

/// What is done in the namespace of a lent mesh.
const LENT: &[Needed] = &[
    ("", "pods/exec", RUN),
    ("", "pods/log", &["get"]),
    ("networking.k8s.io", "networkpolicies", &["create", "delete", "get", "patch"]),
    (SELDON, "models", &["create", "delete", "get", "patch"]),
];

/// What is done in the namespace of a lent mesh's controller.
const CONTROLLERS: &[Needed] = &[("", "pods/exec", RUN), ("", "pods/log", &["get"])];

/// What tells of two networks, of storage, and of images that nodes have. A run without it finds out later.
const OF_USE: &[Needed] = &[
    ("", "nodes", &["list"]),
    ("", "persistentvolumes", &["list"]),
    ("apps", "daemonsets", &["list"]),
    ("storage.k8s.io", "storageclasses", &["list"]),
];

/// What somebody must be allowed for a run.
#[derive(Debug)]
pub struct Rights {
    everywhere: Verbs,
    /// In these namespaces only.
    within: BTreeMap<String, Verbs>,
}

impl Rights {
    /// For runs that install `seldon`.
    pub fn of_runs(scope: ClusterScope, seldon: &SeldonSource) -> Rights {
        let mut needed = [BOOKS, LOOKED_AT, OWN].concat();
        if scope == ClusterScope::Allowed {
            needed.extend(UNSCOPED);
        }
        if !matches!(seldon, SeldonSource::StandIn(_)) {
            needed.extend(BY_HELM);
        }
        Rights { everywhere: verbs(&needed), within: BTreeMap::new() }
    }

    /// For runs that break the mesh in `namespace`, whose controller is in `home`, where that is known.
    pub fn of_lent(namespace: &str, home: Option<&str>) -> Rights {
        let mut within = BTreeMap::new();
        if let Some(home) = home {
            within.insert(home.to_owned(), verbs(CONTROLLERS));
        }
        within.insert(namespace.to_owned(), verbs(LENT));
        Rights { everywhere: verbs(&[BOOKS, LOOKED_AT].concat()), within }
    }

    /// The same where the controller is looked for; one that is not found, or may not be, is nowhere.
    ///
    /// # Errors
    /// That the context's data make no client.
    pub async fn of_lent_in(cluster: &GivenCluster, namespace: &str) -> anyhow::Result<Rights> {
        let home = controller_of(&cluster.client()?, namespace).await.unwrap_or_default();
        Ok(Rights::of_lent(namespace, home.as_deref()))
    }

    /// What of it the user of `client` lacks.
    ///
    /// # Errors
    /// The API server's, when it cannot be asked.
    pub(super) async fn lacking(&self, client: &Client) -> anyhow::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let within = self.within.iter().map(|(namespace, verbs)| (Some(namespace.as_str()), verbs));
        for (namespace, verbs) in within.chain([(None, &self.everywhere)]) {
            let place = namespace.map_or(String::new(), |namespace| format!(" in {namespace}"));
            for what in denied(client, verbs, namespace).await? {
                findings.push(Finding::MayNot(format!("you may not {what}{place}")));
            }
        }
        let unseen = denied(client, &verbs(OF_USE), None).await?;
        if !unseen.is_empty() {
            findings.push(Finding::Unsure(format!(
                "what network plugins, storage and images there are, as far as you may not {}",
                unseen.join("; ")
            )));
        }
        Ok(findings)
    }

    /// Roles that grant all of it, and how they are bound, as a file for `kubectl`.
    ///
    /// # Errors
    /// serde_saphyr's.
    pub fn text(&self) -> anyhow::Result<String> {
        let mut text = format!(
            "# What seldon-conformance does here, as roles. Whoever may grant them applies this file, and binds them:\n\
             # kubectl create clusterrolebinding {HOME} --clusterrole={HOME} --user=USER\n"
        );
        for namespace in self.within.keys() {
            text.push_str(&format!(
                "# kubectl create rolebinding {HOME} --role={HOME} --user=USER --namespace={namespace}\n"
            ));
        }
        for role in self.roles() {
            text.push_str("---\n");
            text.push_str(&serde_saphyr::to_string(&role)?);
        }
        Ok(text)
    }

    fn roles(&self) -> Vec<Value> {
        let of_use = verbs(OF_USE);
        let everywhere = self.everywhere.iter().chain(&of_use);
        let role = |kind: &str, metadata: Value, rules: Vec<Value>| json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata, "rules": rules});
        let mut roles = vec![role("ClusterRole", json!({"name": HOME}), everywhere.map(rule).collect())];
        roles.extend(self.within.iter().map(|(namespace, verbs)| {
            role("Role", json!({"name": HOME, "namespace": namespace}), verbs.iter().map(rule).collect())
        }));
        roles
    }
}

fn rule((&(group, resource), verbs): (&(&'static str, &'static str), &BTreeSet<&'static str>)) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
}

fn verbs(needed: &[Needed]) -> Verbs {
    let mut all = Verbs::new();
    for (group, resource, verbs) in needed {
        all.entry((group, resource)).or_default().extend(*verbs);
    }
    all
}

/// Verbs and resource of which the user lacks some, in `namespace` or in all.
async fn denied(client: &Client, needed: &Verbs, namespace: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for (&(group, resource), verbs) in needed {
        let mut denied = Vec::new();
        for verb in verbs {
            if !may(client, group, resource, verb, namespace).await? {
                denied.push(*verb);
            }
        }
        if !denied.is_empty() {
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            all.push(format!("{} {resource}{group}", denied.join(", ")));
        }
    }
    Ok(all)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seldon::ModelServer;
    use rstest::rstest;

    const STAND_IN: SeldonSource = SeldonSource::StandIn(ModelServer::MlServer);

    #[rstest]
    #[case::runs(Rights::of_runs(ClusterScope::Forbidden, &STAND_IN), &["ClusterRole"])]
    #[case::unscoped(Rights::of_runs(ClusterScope::Allowed, &STAND_IN), &["ClusterRole"])]
    #[case::helm(Rights::of_runs(ClusterScope::Allowed, &SeldonSource::Charts("c".into())), &["ClusterRole"])]
    #[case::lent(Rights::of_lent("ml", Some("seldon-system")), &["ClusterRole", "Role", "Role"])]
    #[case::lent_alone(Rights::of_lent("ml", Some("ml")), &["ClusterRole", "Role"])]
    fn what_is_applied_may_be_made_and_what_is_let_go_of_may_be_seen(
        #[case] rights: Rights,
        #[case] kinds: &[&str],
    ) {
        let roles = rights.roles();
        assert_eq!(roles.iter().map(|role| role["kind"].as_str().unwrap()).collect::<Vec<_>>(), kinds);
        for rule in roles.iter().flat_map(|role| role["rules"].as_array().unwrap()) {
            let verbs = rule["verbs"].as_array().unwrap();
            let has = |verb: &str| verbs.iter().any(|known| known == verb);
            // A server-side apply of what is not there creates it, and wants leave for both.
            assert!(!has("patch") || has("create"), "{rule}");
            assert!(
                ["pods/exec", "leases"].iter().any(|one| rule["resources"][0] == *one)
                    || !has("create")
                    || has("patch"),
                "{rule}"
            );
        }
    }

    #[test]
    fn roles_of_a_lent_mesh_read_so() {
        insta::assert_snapshot!(Rights::of_lent("ml", Some("seldon-system")).text().unwrap());
    }
}
