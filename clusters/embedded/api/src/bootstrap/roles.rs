//! The roles every cluster with RBAC has, as far as anybody here asks for them, and who has them.

use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";

/// What whoever is known may learn of the server.
const DISCOVERY: [&str; 11] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

/// What may be done to the objects of a namespace by who edits it.
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];
const READ: [&str; 3] = ["get", "list", "watch"];

/// Cluster roles and their bindings, as `(plural, document)`.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let everything = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    let reviews = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["create"]});
    let about_oneself = json!([
        reviews("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        reviews("authentication.k8s.io", &["selfsubjectreviews"]),
    ]);
    let both = &[&READ[..], &WRITE[..]].concat()[..];
    let roles = [
        ("cluster-admin", everything),
        ("system:discovery", json!([{"nonResourceURLs": DISCOVERY, "verbs": ["get"]}])),
        ("system:basic-user", about_oneself),
        ("view", json!([workloads(&READ, Secrets::Hidden)])),
        ("edit", json!([workloads(both, Secrets::Shown)])),
        (
            "admin",
            json!([
                workloads(both, Secrets::Shown),
                {"apiGroups": [GROUP], "resources": ["roles", "rolebindings"], "verbs": both},
            ]),
        ),
    ];
    let bindings = [
        ("cluster-admin", "system:masters"),
        ("system:discovery", "system:authenticated"),
        ("system:basic-user", "system:authenticated"),
    ];
    let label = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    let roles = roles.map(|(name, rules)| {
        ("clusterroles", json!({"metadata": {"name": name, "labels": label}, "rules": rules}))
    });
    let bindings = bindings.map(|(name, group)| {
        let subject = json!({"apiGroup": GROUP, "kind": "Group", "name": group});
        let role = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": name});
        let metadata = json!({"name": name, "labels": label});
        ("clusterrolebindings", json!({"metadata": metadata, "roleRef": role, "subjects": [subject]}))
    });
    roles.into_iter().chain(bindings).collect()
}

/// Whether a role lets its holder read Secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Shown,
    Hidden,
}

fn workloads(verbs: &[&str], secrets: Secrets) -> Value {
    let mut resources = vec![
        "configmaps",
        "endpoints",
        "events",
        "persistentvolumeclaims",
        "pods",
        "pods/log",
        "pods/status",
        "services",
        "serviceaccounts",
        "deployments",
        "deployments/scale",
        "statefulsets",
        "statefulsets/scale",
        "replicasets",
        "daemonsets",
        "jobs",
        "cronjobs",
        "ingresses",
        "networkpolicies",
    ];
    if secrets == Secrets::Shown {
        resources.extend(["secrets", "pods/exec", "pods/attach", "pods/portforward"]);
    }
    json!({"apiGroups": ["", "apps", "batch", "networking.k8s.io"], "resources": resources, "verbs": verbs})
}
