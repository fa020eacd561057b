//! Claims are bound at once to a volume made for them, as a local-path provisioner would after a moment.
//!
//! What the volume is on disk is the node's business: it maps a claim to a directory.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus};
use kube::ResourceExt;
use serde_json::json;

use crate::cluster::Cluster;
use crate::queue::{Queue, Trouble};
use crate::store::Key;

const CLASS: &str = "local-path";
const PROVISIONER: &str = "rancher.io/local-path";

/// Starts the controller.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let claims = queue.clone();
    cluster.stores.claims.on_change(move |change| {
        if let Some(claim) = change.newest() {
            claims.add(Key::of(claim.as_ref()));
        }
    });
    let cluster = cluster.clone();
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("persistentvolume-binder", move |key| {
        let cluster = cluster.clone();
        async move { look(&cluster, &key).await }
    }));
}

async fn look(cluster: &Cluster, key: &Key) -> Result<(), Trouble> {
    let Some(claim) = cluster.stores.claims.get(key) else { return release(cluster, key).await };
    if claim.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let named = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    let volume = named.clone().unwrap_or_else(|| format!("pvc-{}", claim.uid().unwrap_or_default()));
    let volume_key = Key::new("", &volume);
    if cluster.stores.volumes.get(&volume_key).is_none() && named.is_none() {
        let made = cluster.create(&volume_for(&claim, &volume)).await?;
        let mut bound = made.as_ref().clone();
        bound.status.get_or_insert_default().phase = Some("Bound".to_owned());
        cluster.replace_status(&bound).await?;
    }
    let mut current = claim.clone();
    if named.is_none() {
        let mut changed = claim.as_ref().clone();
        changed.annotations_mut().extend([
            ("pv.kubernetes.io/bind-completed".to_owned(), "yes".to_owned()),
            ("pv.kubernetes.io/bound-by-controller".to_owned(), "yes".to_owned()),
            ("volume.beta.kubernetes.io/storage-provisioner".to_owned(), PROVISIONER.to_owned()),
            ("volume.kubernetes.io/storage-provisioner".to_owned(), PROVISIONER.to_owned()),
        ]);
        changed.spec.get_or_insert_default().volume_name = Some(volume.clone());
        current = cluster.replace(&changed).await?;
    }
    let is_bound = current.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    if !is_bound && cluster.stores.volumes.get(&volume_key).is_some() {
        let spec = current.spec.clone().unwrap_or_default();
        let mut changed = current.as_ref().clone();
        changed.status = Some(PersistentVolumeClaimStatus {
            phase: Some("Bound".to_owned()),
            access_modes: spec.access_modes,
            capacity: spec.resources.and_then(|resources| resources.requests),
            ..PersistentVolumeClaimStatus::default()
        });
        cluster.replace_status(&changed).await?;
    }
    Ok(())
}

fn volume_for(claim: &PersistentVolumeClaim, name: &str) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let (namespace, claim_name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let path = format!("/var/lib/rancher/k3s/storage/{name}_{namespace}_{claim_name}");
    let mut volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": { "name": name, "annotations": { "pv.kubernetes.io/provisioned-by": PROVISIONER } },
        "spec": {
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": namespace, "name": claim_name, "uid": claim.uid(),
            },
            "hostPath": { "path": path, "type": "DirectoryOrCreate" },
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec.storage_class_name.clone().unwrap_or_else(|| CLASS.to_owned()),
            "volumeMode": "Filesystem",
        },
    }))
    .unwrap_or_default();
    if let Some(volume) = &mut volume.spec {
        volume.access_modes = spec.access_modes;
        volume.capacity = spec.resources.and_then(|resources| resources.requests);
    }
    volume
}

/// Deletes the volumes of a claim that is gone.
async fn release(cluster: &Cluster, key: &Key) -> Result<(), Trouble> {
    for volume in cluster.stores.volumes.all() {
        let of_claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).is_some_and(|claim| {
            claim.namespace.as_deref() == Some(&key.namespace) && claim.name.as_deref() == Some(&key.name)
        });
        let ours =
            volume.annotations().get("pv.kubernetes.io/provisioned-by").is_some_and(|by| by == PROVISIONER);
        if of_claim && ours {
            cluster.delete(volume.as_ref()).await?;
        }
    }
    Ok(())
}
