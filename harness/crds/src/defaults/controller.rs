//! The operator itself: Deployment `seldon-v2-controller-manager`, its account and its roles.

use serde_json::{Value, json};

use super::environment::Environment;
use super::{resources, unprivileged};

/// How the operator is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Where it runs.
    pub namespace: String,
    /// What it watches.
    pub reach: Reach,
    /// Tag of the image and chart, such as `2.9.1`. The chart of 2.9.0 passes no `--watch-namespaces`.
    pub tag: String,
    /// Tag of the image when it is not the chart's (a mixed installation).
    pub image_tag: Option<String>,
}

/// Which namespaces an operator watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Its own only.
    OwnNamespace,
    /// Every one.
    Cluster,
    /// These and its own. Needs the cluster-wide switch, which the chart's values must set too.
    Namespaces(Vec<String>),
}

impl Controller {
    /// An operator of 2.9.1.
    pub fn new(namespace: &str, reach: Reach) -> Controller {
        Controller { namespace: namespace.to_owned(), reach, tag: "2.9.1".to_owned(), image_tag: None }
    }
}

const NAME: &str = "seldon-v2-controller-manager";
const KINDS: [&str; 7] =
    ["experiments", "models", "pipelines", "seldonconfigs", "seldonruntimes", "serverconfigs", "servers"];
const ALL_VERBS: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];

/// The chart's objects, in the order in which they can be applied. All are namespaced except the ClusterRole and
/// its binding, which exist only for a reach beyond the own namespace.
pub fn manifests(controller: &Controller) -> Vec<Value> {
    let namespace = &controller.namespace;
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}}),
        role(namespace, "seldon-v2-leader-election-role", leader_election_rules()),
        role(namespace, "seldon-v2-manager-role", manager_rules()),
        role(
            namespace,
            "seldon-v2-manager-tls-role",
            json!([rule("", &["secrets"], &["get", "list", "watch"])]),
        ),
    ];
    for name in ["seldon-v2-leader-election", "seldon-v2-manager", "seldon-v2-manager-tls"] {
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": format!("{name}-rolebinding"), "namespace": namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": format!("{name}-role"),
            },
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        }));
    }
    if controller.reach != Reach::OwnNamespace {
        objects.extend(cluster_objects(namespace));
    }
    objects.push(deployment(controller));
    objects
}

fn cluster_objects(namespace: &str) -> [Value; 2] {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "seldon-v2-manager-role"},
        "rules": manager_rules(),
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("seldon-v2-manager-rolebinding-{namespace}")},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "seldon-v2-manager-role",
        },
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
    });
    [role, binding]
}

fn role(namespace: &str, name: &str, rules: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": rules,
    })
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn leader_election_rules() -> Value {
    json!([
        rule("", &["configmaps"], &ALL_VERBS),
        rule("coordination.k8s.io", &["leases"], &ALL_VERBS),
        rule("", &["events"], &["create", "patch"]),
    ])
}

fn manager_rules() -> Value {
    let of_kinds = |suffix: &str| KINDS.map(|kind| format!("{kind}{suffix}"));
    let seldon = |resources: [String; 7], verbs: &[&str]| json!({"apiGroups": [crate::GROUP], "resources": resources, "verbs": verbs});
    json!([
        rule("", &["configmaps", "secrets", "serviceaccounts", "services"], &ALL_VERBS),
        rule("", &["events"], &["create", "patch"]),
        rule("apps", &["deployments", "statefulsets"], &ALL_VERBS),
        rule("apps", &["deployments/status", "statefulsets/status"], &["get"]),
        seldon(of_kinds(""), &ALL_VERBS),
        seldon(of_kinds("/finalizers"), &["update"]),
        seldon(of_kinds("/status"), &["get", "patch", "update"]),
        rule("rbac.authorization.k8s.io", &["rolebindings", "roles"], &ALL_VERBS),
        rule("v1", &["serviceaccounts", "services"], &ALL_VERBS),
        rule("v1", &["services/status"], &["get"]),
    ])
}

fn deployment(controller: &Controller) -> Value {
    let labels = json!({"control-plane": "v2-controller-manager"});
    let mut arguments = vec!["--health-probe-bind-address=:8081", "--leader-elect"];
    if controller.tag != "2.9.0" {
        arguments.push("--watch-namespaces=$(WATCH_NAMESPACES)");
    }
    arguments.extend([
        "--namespace=$(POD_NAMESPACE)",
        "--clusterwide=$(CLUSTERWIDE)",
        "--log-level=$(LOG_LEVEL)",
    ]);
    let (clusterwide, watched) = match &controller.reach {
        Reach::OwnNamespace => ("false", String::new()),
        Reach::Cluster => ("true", String::new()),
        Reach::Namespaces(list) => ("true", list.join(",")),
    };
    let environment = Environment::default()
        .set(&[("CLUSTERWIDE", clusterwide)])
        .control_plane_client()
        .log_level("info")
        .set(&[("WATCH_NAMESPACES", &watched)])
        .pod_namespace();
    let probe = |path: &str, delay: u32, period: u32| json!({"httpGet": {"path": path, "port": 8081}, "initialDelaySeconds": delay, "periodSeconds": period});
    let tag = controller.image_tag.as_ref().unwrap_or(&controller.tag);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": controller.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"kubectl.kubernetes.io/default-container": "manager"},
                },
                "spec": {
                    "containers": [{
                        "name": "manager",
                        "image": format!("docker.io/seldonio/seldonv2-controller:{tag}"),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/manager"],
                        "args": arguments,
                        "env": environment.build(),
                        "livenessProbe": probe("/healthz", 15, 20),
                        "readinessProbe": probe("/readyz", 5, 10),
                        "resources": resources("10m", "64Mi"),
                        "securityContext": {"allowPrivilegeEscalation": false},
                    }],
                    "securityContext": unprivileged(),
                    "serviceAccountName": NAME,
                    "terminationGracePeriodSeconds": 10,
                },
            },
        },
    })
}
