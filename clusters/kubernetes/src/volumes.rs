//! The storage class `local-path`, which k3s brings along: a claim gets a directory of the node once its pod is scheduled.
//!
//! Binding is kube-controller-manager's; this only makes and removes the volumes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tracing::warn;

use crate::spec::NODE_NAME;

const CLASS: &str = "local-path";
const PROVISIONER: &str = "rancher.io/local-path";
/// Set on a claim by the scheduler when a pod that uses it has a node.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Creates the class.
pub(crate) async fn create_class(client: &Client) -> anyhow::Result<()> {
    let class: StorageClass = serde_json::from_value(json!({
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }))?;
    let created = Api::all(client.clone()).create(&PostParams::default(), &class).await;
    created.map(drop).context("cannot create the storage class")
}

/// Serves claims and released volumes until the cluster ends.
pub(crate) async fn provision(client: Client, storage: PathBuf) {
    let claims = serve_claims(client.clone(), &storage);
    let volumes = remove_released(client.clone(), &storage);
    let (claims, volumes) = tokio::join!(claims, volumes);
    for error in [claims.err(), volumes.err()].into_iter().flatten() {
        warn!("no more volumes are provisioned: {error:#}");
    }
}

async fn serve_claims(client: Client, storage: &Path) -> anyhow::Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let events = watcher(claims, watcher::Config::default()).default_backoff().applied_objects();
    let mut events = std::pin::pin!(events);
    while let Some(claim) = events.try_next().await? {
        let Some(volume) = volume_for(&claim, storage) else { continue };
        let made = Api::all(client.clone()).create(&PostParams::default(), &volume).await;
        match made {
            Ok::<PersistentVolume, _>(_) => {}
            // Its claim was seen again before it was bound.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).context("cannot create a volume"),
        }
    }
    Ok(())
}

/// The volume that a claim of our class waits for, if its pod has a node.
fn volume_for(claim: &PersistentVolumeClaim, storage: &Path) -> Option<PersistentVolume> {
    let spec = claim.spec.as_ref()?;
    let ours = spec.storage_class_name.as_deref() == Some(CLASS) && spec.volume_name.is_none();
    if !ours
        || !claim.annotations().contains_key(SELECTED_NODE)
        || claim.metadata.deletion_timestamp.is_some()
    {
        return None;
    }
    let name = format!("pvc-{}", claim.uid()?);
    let capacity = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?.clone();
    let volume = json!({
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "accessModes": spec.access_modes,
            "capacity": {"storage": capacity},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace()?,
                "name": claim.name_any(),
                "uid": claim.uid()?,
            },
            "hostPath": {"path": storage.join(&name), "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]},
            ]}]}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
        },
    });
    make_directory(&storage.join(&name));
    serde_json::from_value(volume).ok()
}

/// Whoever a pod runs as may write to its volume, as with the helper of the real provisioner.
fn make_directory(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let made = std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)));
    if let Err(error) = made {
        warn!("cannot make {}: {error}", directory.display());
    }
}

async fn remove_released(client: Client, storage: &Path) -> anyhow::Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let events = watcher(volumes.clone(), watcher::Config::default()).default_backoff().applied_objects();
    let mut events = std::pin::pin!(events);
    while let Some(volume) = events.try_next().await? {
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        let provisioner = volume.annotations().get("pv.kubernetes.io/provisioned-by").map(String::as_str);
        if phase != Some("Released") || provisioner != Some(PROVISIONER) {
            continue;
        }
        let name = volume.name_any();
        // What is left goes with the cluster's state.
        let _ = std::fs::remove_dir_all(storage.join(&name));
        match volumes.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error).context("cannot delete a volume"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn claim(class: &str, node: Option<&str>, volume: Option<&str>) -> PersistentVolumeClaim {
        let mut claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "c", "namespace": "n", "uid": "1"},
            "spec": {
                "storageClassName": class,
                "volumeName": volume,
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }))
        .unwrap();
        claim.annotations_mut().extend(node.map(|node| (SELECTED_NODE.to_owned(), node.to_owned())));
        claim
    }

    #[rstest]
    #[case::scheduled(claim("local-path", Some("node-0"), None), true)]
    #[case::no_pod_yet(claim("local-path", None, None), false)]
    #[case::bound(claim("local-path", Some("node-0"), Some("pvc-1")), false)]
    #[case::of_another_class(claim("fast", Some("node-0"), None), false)]
    fn which_claims_get_a_volume(#[case] claim: PersistentVolumeClaim, #[case] gets: bool) {
        let storage = tempfile::tempdir().unwrap();
        let volume = volume_for(&claim, storage.path());
        assert_eq!(volume.is_some(), gets);
        if let Some(volume) = volume {
            assert_eq!(volume.spec.unwrap().claim_ref.unwrap().namespace.as_deref(), Some("n"));
            assert!(storage.path().join("pvc-1").is_dir());
        }
    }
}
