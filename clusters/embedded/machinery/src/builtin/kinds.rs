use crate::Gvk;

/// One built-in resource as discovery shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind, such as `NetworkPolicy`.
    pub kind: &'static str,
    /// Name in paths, such as `networkpolicies`.
    pub plural: &'static str,
    /// Singular name, such as `networkpolicy`.
    pub singular: &'static str,
    /// Short names, such as `netpol`.
    pub short_names: &'static [&'static str],
    /// Categories, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// Paths below an object.
    pub subresources: &'static [Subresource],
    /// What can be done with the resource.
    pub verbs: Verbs,
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// What can be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// Everything: objects are stored.
    Stored,
    /// Only `create`: a question that is answered at once (reviews, bindings).
    CreateOnly,
}

/// A path below an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// `status` of the object itself.
    Status,
    /// `autoscaling/v1` `Scale`.
    Scale,
    /// Logs of a container.
    Log,
    /// A command in a container.
    Exec,
    /// The main process of a container.
    Attach,
    /// A port of a pod.
    PortForward,
    /// HTTP through the API server.
    Proxy,
    /// Scheduling of a pod.
    Binding,
    /// Deletion that respects disruption budgets.
    Eviction,
    /// Debug containers.
    EphemeralContainers,
    /// Resources of a running pod.
    Resize,
    /// Tokens of a service account.
    Token,
    /// Finalizers of a namespace.
    Finalize,
}

impl Kind {
    /// Group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(self.group, self.version, self.kind)
    }

    /// Whether objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether the path below an object exists.
    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }
}

impl Verbs {
    /// The verbs in discovery's order.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Stored => {
                &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
            }
            Self::CreateOnly => &["create"],
        }
    }
}

impl Subresource {
    /// The segment of the path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Log => "log",
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "portforward",
            Self::Proxy => "proxy",
            Self::Binding => "binding",
            Self::Eviction => "eviction",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Resize => "resize",
            Self::Token => "token",
            Self::Finalize => "finalize",
        }
    }

    /// The verbs in discovery's order.
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Status | Self::Scale | Self::EphemeralContainers | Self::Resize => {
                &["get", "patch", "update"]
            }
            Self::Log => &["get"],
            Self::Exec | Self::Attach | Self::PortForward => &["create", "get"],
            Self::Proxy => &["create", "delete", "get", "patch", "update"],
            Self::Binding | Self::Eviction | Self::Token => &["create"],
            Self::Finalize => &["update"],
        }
    }

    /// What the path serves: the kind, with its group and version where they are not the owner's.
    pub fn serves(self, owner: &Kind) -> Gvk {
        match self {
            Self::Status | Self::Log | Self::EphemeralContainers | Self::Resize | Self::Finalize => {
                owner.gvk()
            }
            Self::Scale => Gvk::new("autoscaling", "v1", "Scale"),
            Self::Exec => Gvk::new("", "v1", "PodExecOptions"),
            Self::Attach => Gvk::new("", "v1", "PodAttachOptions"),
            Self::PortForward => Gvk::new("", "v1", "PodPortForwardOptions"),
            Self::Proxy => Gvk::new("", "v1", format!("{}ProxyOptions", owner.kind)),
            Self::Binding => Gvk::new("", "v1", "Binding"),
            Self::Eviction => Gvk::new("policy", "v1", "Eviction"),
            Self::Token => Gvk::new("authentication.k8s.io", "v1", "TokenRequest"),
        }
    }
}

const fn stored(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    names: (&'static str, &'static str),
    scope: Scope,
    subresources: &'static [Subresource],
) -> Kind {
    let (plural, singular) = names;
    let verbs = Verbs::Stored;
    Kind {
        group,
        version,
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        scope,
        subresources,
        verbs,
    }
}

impl Kind {
    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    const fn in_all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn in_categories(mut self, names: &'static [&'static str]) -> Self {
        self.categories = names;
        self
    }

    const fn create_only(mut self) -> Self {
        self.verbs = Verbs::CreateOnly;
        self
    }
}

use Scope::{Cluster, Namespaced};
use Subresource::{
    Attach, Binding, EphemeralContainers, Eviction, Exec, Finalize, Log, PortForward, Proxy, Resize, Scale,
    Status, Token,
};

const STATUS: &[Subresource] = &[Status];
const SCALED: &[Subresource] = &[Scale, Status];
const AUTHN: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const POD: &[Subresource] =
    &[Attach, Binding, EphemeralContainers, Eviction, Exec, Log, PortForward, Proxy, Resize, Status];

/// Every built-in resource, group by group in discovery's order, resources by name.
pub const KINDS: &[Kind] = &[
    stored("", "v1", "Binding", ("bindings", "binding"), Namespaced, &[]).create_only(),
    stored("", "v1", "ConfigMap", ("configmaps", "configmap"), Namespaced, &[]).short(&["cm"]),
    stored("", "v1", "Endpoints", ("endpoints", "endpoints"), Namespaced, &[]).short(&["ep"]),
    stored("", "v1", "Event", ("events", "event"), Namespaced, &[]).short(&["ev"]),
    stored("", "v1", "LimitRange", ("limitranges", "limitrange"), Namespaced, &[]).short(&["limits"]),
    stored("", "v1", "Namespace", ("namespaces", "namespace"), Cluster, &[Finalize, Status]).short(&["ns"]),
    stored("", "v1", "Node", ("nodes", "node"), Cluster, &[Proxy, Status]).short(&["no"]),
    stored(
        "",
        "v1",
        "PersistentVolumeClaim",
        ("persistentvolumeclaims", "persistentvolumeclaim"),
        Namespaced,
        STATUS,
    )
    .short(&["pvc"]),
    stored("", "v1", "PersistentVolume", ("persistentvolumes", "persistentvolume"), Cluster, STATUS)
        .short(&["pv"]),
    stored("", "v1", "Pod", ("pods", "pod"), Namespaced, POD).short(&["po"]).in_all(),
    stored("", "v1", "PodTemplate", ("podtemplates", "podtemplate"), Namespaced, &[]),
    stored(
        "",
        "v1",
        "ReplicationController",
        ("replicationcontrollers", "replicationcontroller"),
        Namespaced,
        SCALED,
    )
    .short(&["rc"])
    .in_all(),
    stored("", "v1", "ResourceQuota", ("resourcequotas", "resourcequota"), Namespaced, STATUS)
        .short(&["quota"]),
    stored("", "v1", "Secret", ("secrets", "secret"), Namespaced, &[]),
    stored("", "v1", "ServiceAccount", ("serviceaccounts", "serviceaccount"), Namespaced, &[Token])
        .short(&["sa"]),
    stored("", "v1", "Service", ("services", "service"), Namespaced, &[Proxy, Status])
        .short(&["svc"])
        .in_all(),
    stored(
        "apps",
        "v1",
        "ControllerRevision",
        ("controllerrevisions", "controllerrevision"),
        Namespaced,
        &[],
    ),
    stored("apps", "v1", "DaemonSet", ("daemonsets", "daemonset"), Namespaced, STATUS)
        .short(&["ds"])
        .in_all(),
    stored("apps", "v1", "Deployment", ("deployments", "deployment"), Namespaced, SCALED)
        .short(&["deploy"])
        .in_all(),
    stored("apps", "v1", "ReplicaSet", ("replicasets", "replicaset"), Namespaced, SCALED)
        .short(&["rs"])
        .in_all(),
    stored("apps", "v1", "StatefulSet", ("statefulsets", "statefulset"), Namespaced, SCALED)
        .short(&["sts"])
        .in_all(),
    stored("events.k8s.io", "v1", "Event", ("events", "event"), Namespaced, &[]).short(&["ev"]),
    stored(AUTHN, "v1", "SelfSubjectReview", ("selfsubjectreviews", "selfsubjectreview"), Cluster, &[])
        .create_only(),
    stored(AUTHN, "v1", "TokenReview", ("tokenreviews", "tokenreview"), Cluster, &[]).create_only(),
    stored(
        AUTHZ,
        "v1",
        "LocalSubjectAccessReview",
        ("localsubjectaccessreviews", "localsubjectaccessreview"),
        Namespaced,
        &[],
    )
    .create_only(),
    stored(
        AUTHZ,
        "v1",
        "SelfSubjectAccessReview",
        ("selfsubjectaccessreviews", "selfsubjectaccessreview"),
        Cluster,
        &[],
    )
    .create_only(),
    stored(
        AUTHZ,
        "v1",
        "SelfSubjectRulesReview",
        ("selfsubjectrulesreviews", "selfsubjectrulesreview"),
        Cluster,
        &[],
    )
    .create_only(),
    stored(AUTHZ, "v1", "SubjectAccessReview", ("subjectaccessreviews", "subjectaccessreview"), Cluster, &[])
        .create_only(),
    stored(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        ("horizontalpodautoscalers", "horizontalpodautoscaler"),
        Namespaced,
        STATUS,
    )
    .short(&["hpa"])
    .in_all(),
    stored("batch", "v1", "CronJob", ("cronjobs", "cronjob"), Namespaced, STATUS).short(&["cj"]).in_all(),
    stored("batch", "v1", "Job", ("jobs", "job"), Namespaced, STATUS).in_all(),
    stored(NETWORKING, "v1", "IngressClass", ("ingressclasses", "ingressclass"), Cluster, &[]),
    stored(NETWORKING, "v1", "Ingress", ("ingresses", "ingress"), Namespaced, STATUS).short(&["ing"]),
    stored(NETWORKING, "v1", "NetworkPolicy", ("networkpolicies", "networkpolicy"), Namespaced, &[])
        .short(&["netpol"]),
    stored(
        "policy",
        "v1",
        "PodDisruptionBudget",
        ("poddisruptionbudgets", "poddisruptionbudget"),
        Namespaced,
        STATUS,
    )
    .short(&["pdb"]),
    stored(RBAC, "v1", "ClusterRoleBinding", ("clusterrolebindings", "clusterrolebinding"), Cluster, &[]),
    stored(RBAC, "v1", "ClusterRole", ("clusterroles", "clusterrole"), Cluster, &[]),
    stored(RBAC, "v1", "RoleBinding", ("rolebindings", "rolebinding"), Namespaced, &[]),
    stored(RBAC, "v1", "Role", ("roles", "role"), Namespaced, &[]),
    stored("storage.k8s.io", "v1", "StorageClass", ("storageclasses", "storageclass"), Cluster, &[])
        .short(&["sc"]),
    stored(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        ("customresourcedefinitions", "customresourcedefinition"),
        Cluster,
        STATUS,
    )
    .short(&["crd", "crds"])
    .in_categories(&["api-extensions"]),
    stored("scheduling.k8s.io", "v1", "PriorityClass", ("priorityclasses", "priorityclass"), Cluster, &[])
        .short(&["pc"]),
    stored("coordination.k8s.io", "v1", "Lease", ("leases", "lease"), Namespaced, &[]),
    stored("discovery.k8s.io", "v1", "EndpointSlice", ("endpointslices", "endpointslice"), Namespaced, &[]),
];
