//! The Node object and its lease.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::status::seconds;
use crate::links::NODE_ADDRESS;
use crate::shared::Shared;

const VERSION: &str = "v1.33.1+k3s1";
/// How often a kubelet renews its lease.
const RENEWAL: Duration = Duration::from_secs(10);

/// Registers the node as Ready and keeps its lease fresh until the node stops.
pub(crate) async fn maintain(shared: Arc<Shared>) {
    loop {
        match register(&shared).await {
            Ok(()) => break,
            Err(error) => tracing::warn!(%error, "the node could not register; it tries again"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut renewals = tokio::time::interval(RENEWAL);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = renewals.tick() => if let Err(error) = renew(&shared).await {
                tracing::debug!(%error, "the node's lease was not renewed");
            },
        }
    }
}

/// Creates the Node, or makes it Ready when it is there.
async fn register(shared: &Shared) -> Result<(), kube::Error> {
    let api: Api<Node> = Api::all(shared.client.clone());
    let name = &shared.settings.name;
    let node = serde_json::from_value(object(name)).map_err(kube::Error::SerdeError)?;
    match api
        .create(&PostParams { field_manager: Some("kubelet".to_owned()), ..PostParams::default() }, &node)
        .await
    {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(error),
    }
    let status = json!({"status": status(shared)});
    api.patch_status(
        name,
        &PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() },
        &Patch::Merge(status),
    )
    .await
    .map(drop)
}

fn object(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/instance-type": "k3s",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/control-plane": "true",
                "node-role.kubernetes.io/master": "true",
                "node.kubernetes.io/instance-type": "k3s",
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0", "k3s.io/internal-ip": NODE_ADDRESS.to_string(), "k3s.io/hostname": name},
        },
        "spec": {"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"], "providerID": format!("k3s://{name}")},
    })
}

fn status(shared: &Shared) -> Value {
    let now = seconds(Timestamp::now());
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now, "lastTransitionTime": now});
    let resources = json!({"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0"});
    let images: Vec<_> =
        shared.images.references().map(|it| json!({"names": [it], "sizeBytes": 0})).collect();
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            {"type": "InternalIP", "address": NODE_ADDRESS.to_string()},
            {"type": "Hostname", "address": shared.settings.name},
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": images,
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "osImage": "K3s v1.33.1+k3s1",
            "kernelVersion": kernel_version(),
            "kubeletVersion": VERSION,
            "kubeProxyVersion": VERSION,
            "containerRuntimeVersion": "containerd://2.0.5-k3s1",
            "machineID": "", "systemUUID": "", "bootID": "",
        },
    })
}

fn kernel_version() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map(|it| it.trim().to_owned()).unwrap_or_default()
}

async fn renew(shared: &Shared) -> Result<(), kube::Error> {
    let api: Api<Lease> = Api::namespaced(shared.client.clone(), "kube-node-lease");
    let name = &shared.settings.name;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now});
    match api
        .patch(
            name,
            &PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() },
            &Patch::Merge(json!({"spec": spec})),
        )
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let lease = json!({"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": spec});
            let lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
            api.create(
                &PostParams { field_manager: Some("kubelet".to_owned()), ..PostParams::default() },
                &lease,
            )
            .await
            .map(drop)
        }
        other => other.map(drop),
    }
}
