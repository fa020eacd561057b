use serde_json::Value;

use super::definition;
use crate::Gvk;

/// A column of a built-in table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    priority: i64,
}

impl Column {
    pub(super) fn definition(&self) -> Value {
        definition(self.name, self.kind, self.format, "", self.priority)
    }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority: 0 }
}

const fn wide(name: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority: 1 }
}

const fn integer(name: &'static str) -> Column {
    Column { name, kind: "integer", format: "", priority: 0 }
}

const fn boolean(name: &'static str) -> Column {
    Column { name, kind: "boolean", format: "", priority: 0 }
}

/// The first column of nearly every table.
pub(super) const NAME: Column = Column { name: "Name", kind: "string", format: "name", priority: 0 };
const AGE: Column = text("Age");
const CREATED: Column = Column { name: "Created At", kind: "date", format: "", priority: 0 };
const WIDE_NAME: Column = Column { name: "Name", kind: "string", format: "name", priority: 1 };
const CONTAINERS: Column = wide("Containers");
const IMAGES: Column = wide("Images");
const SELECTOR: Column = wide("Selector");

const POD: &[Column] = &[
    NAME,
    text("Ready"),
    text("Status"),
    text("Restarts"),
    AGE,
    wide("IP"),
    wide("Node"),
    wide("Nominated Node"),
    wide("Readiness Gates"),
];
const SERVICE: &[Column] =
    &[NAME, text("Type"), text("Cluster-IP"), text("External-IP"), text("Port(s)"), AGE, SELECTOR];
const INGRESS: &[Column] = &[NAME, text("Class"), text("Hosts"), text("Address"), text("Ports"), AGE];
const DEPLOYMENT: &[Column] =
    &[NAME, text("Ready"), text("Up-to-date"), text("Available"), AGE, CONTAINERS, IMAGES, SELECTOR];
const REPLICA_SET: &[Column] =
    &[NAME, integer("Desired"), integer("Current"), integer("Ready"), AGE, CONTAINERS, IMAGES, SELECTOR];
const DAEMON_SET: &[Column] = &[
    NAME,
    integer("Desired"),
    integer("Current"),
    integer("Ready"),
    integer("Up-to-date"),
    integer("Available"),
    text("Node Selector"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const JOB: &[Column] =
    &[NAME, text("Status"), text("Completions"), text("Duration"), AGE, CONTAINERS, IMAGES, SELECTOR];
const CRON_JOB: &[Column] = &[
    NAME,
    text("Schedule"),
    text("Timezone"),
    boolean("Suspend"),
    integer("Active"),
    text("Last Schedule"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const NODE: &[Column] = &[
    NAME,
    text("Status"),
    text("Roles"),
    AGE,
    text("Version"),
    wide("Internal-IP"),
    wide("External-IP"),
    wide("OS-Image"),
    wide("Kernel-Version"),
    wide("Container-Runtime"),
];
const EVENT: &[Column] = &[
    text("Last Seen"),
    text("Type"),
    text("Reason"),
    text("Object"),
    wide("Subobject"),
    wide("Source"),
    text("Message"),
    wide("First Seen"),
    wide("Count"),
    WIDE_NAME,
];
const VOLUME: &[Column] = &[
    NAME,
    text("Capacity"),
    text("Access Modes"),
    text("Reclaim Policy"),
    text("Status"),
    text("Claim"),
    text("StorageClass"),
    text("VolumeAttributesClass"),
    text("Reason"),
    AGE,
    wide("VolumeMode"),
];
const CLAIM: &[Column] = &[
    NAME,
    text("Status"),
    text("Volume"),
    text("Capacity"),
    text("Access Modes"),
    text("StorageClass"),
    text("VolumeAttributesClass"),
    AGE,
    wide("VolumeMode"),
];
const BUDGET: &[Column] =
    &[NAME, text("Min Available"), text("Max Unavailable"), integer("Allowed Disruptions"), AGE];
const AUTOSCALER: &[Column] =
    &[NAME, text("Reference"), text("Targets"), text("MinPods"), text("MaxPods"), text("Replicas"), AGE];
const BINDING: &[Column] = &[NAME, text("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")];
const STORAGE_CLASS: &[Column] = &[
    NAME,
    text("Provisioner"),
    text("ReclaimPolicy"),
    text("VolumeBindingMode"),
    text("AllowVolumeExpansion"),
    AGE,
];
const PRIORITY_CLASS: &[Column] =
    &[NAME, integer("Value"), boolean("Global-Default"), AGE, wide("PreemptionPolicy")];

/// The columns of a kind.
pub(super) fn of(gvk: &Gvk) -> &'static [Column] {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => POD,
        ("", "Service") => SERVICE,
        ("", "Endpoints") => const { &[NAME, text("Endpoints"), AGE] },
        ("discovery.k8s.io", "EndpointSlice") => {
            const { &[NAME, text("AddressType"), text("Ports"), text("Endpoints"), AGE] }
        }
        ("networking.k8s.io", "NetworkPolicy") => const { &[NAME, text("Pod-Selector"), AGE] },
        ("networking.k8s.io", "Ingress") => INGRESS,
        ("networking.k8s.io", "IngressClass") => {
            const { &[NAME, text("Controller"), text("Parameters"), AGE] }
        }
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "ReplicaSet") | ("", "ReplicationController") => REPLICA_SET,
        ("apps", "StatefulSet") => const { &[NAME, text("Ready"), AGE, CONTAINERS, IMAGES] },
        ("apps", "DaemonSet") => DAEMON_SET,
        ("apps", "ControllerRevision") => const { &[NAME, text("Controller"), text("Revision"), AGE] },
        ("batch", "Job") => JOB,
        ("batch", "CronJob") => CRON_JOB,
        ("", "PodTemplate") => const { &[NAME, text("Containers"), text("Images"), text("Pod Labels")] },
        ("autoscaling", "HorizontalPodAutoscaler") => AUTOSCALER,
        ("policy", "PodDisruptionBudget") => BUDGET,
        ("", "Node") => NODE,
        ("" | "events.k8s.io", "Event") => EVENT,
        ("", "Namespace") => const { &[NAME, text("Status"), AGE] },
        ("", "ConfigMap") => const { &[NAME, text("Data"), AGE] },
        ("", "Secret") => const { &[NAME, text("Type"), text("Data"), AGE] },
        ("", "ServiceAccount") => const { &[NAME, text("Secrets"), AGE] },
        ("", "PersistentVolume") => VOLUME,
        ("", "PersistentVolumeClaim") => CLAIM,
        ("", "ResourceQuota") => const { &[NAME, text("Request"), text("Limit"), AGE] },
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => BINDING,
        ("coordination.k8s.io", "Lease") => const { &[NAME, text("Holder"), AGE] },
        ("storage.k8s.io", "StorageClass") => STORAGE_CLASS,
        ("scheduling.k8s.io", "PriorityClass") => PRIORITY_CLASS,
        _ => const { &[NAME, CREATED] },
    }
}
