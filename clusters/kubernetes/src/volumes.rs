//! The storage class `local-path`, which k3s brings along: a claim gets a directory of the node once its pod is scheduled.
//!
//! Binding is kube-controller-manager's; this only makes and removes the volumes.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::warn;

use crate::spec::NODE_NAME;

const CLASS: &str = "local-path";
const PROVISIONER: &str = "rancher.io/local-path";
/// Set on a claim by the scheduler when a pod that uses it has a node.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Serves claims and released volumes until the cluster ends.
pub(crate) async fn provision(client: Client, storage: PathBuf) {
    let claims = async {
        let mut claims = std::pin::pin!(seen::<PersistentVolumeClaim>(&client));
        while let Some(claim) = claims.next().await {
            insist(|| serve_claim(&client, &storage, &claim)).await;
        }
    };
    let volumes = async {
        let mut volumes = std::pin::pin!(seen::<PersistentVolume>(&client));
        while let Some(volume) = volumes.next().await {
            insist(|| remove_released(&client, &storage, &volume)).await;
        }
    };
    tokio::join!(claims, volumes);
}

/// Does what an object asks for, three times more after a second, two and four: one that does not change is not seen
/// again.
async fn insist<Done: Future<Output = anyhow::Result<()>>>(work: impl FnMut() -> Done) {
    let failed = |error: &anyhow::Error, _| warn!("{error:#}");
    if let Err(error) = work.retry(ExponentialBuilder::default()).notify(failed).await {
        warn!("given up: {error:#}");
    }
}

/// Every object of a kind, and again when it changes. A watch that ends is begun again.
fn seen<K>(client: &Client) -> impl Stream<Item = K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let objects: Api<K> = Api::all(client.clone());
    let events = watcher(objects, watcher::Config::default()).default_backoff().applied_objects();
    events.filter_map(|event| async {
        event.inspect_err(|error| warn!("objects are not followed for a moment: {error}")).ok()
    })
}

async fn serve_claim(client: &Client, storage: &Path, claim: &PersistentVolumeClaim) -> anyhow::Result<()> {
    let Some(volume) = volume_for(claim, storage)? else { return Ok(()) };
    make_directory(&storage.join(volume.name_any()))?;
    match Api::all(client.clone()).create(&PostParams::default(), &volume).await {
        Ok::<PersistentVolume, _>(_) => Ok(()),
        // Its claim was seen again before it was bound.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot create volume {}", volume.name_any())),
    }
}

/// The volume that a claim of our class waits for, if its pod has a node.
///
/// # Errors
/// That the claim makes none: its words are not those of a volume.
fn volume_for(claim: &PersistentVolumeClaim, storage: &Path) -> anyhow::Result<Option<PersistentVolume>> {
    let Some(spec) = claim.spec.as_ref() else { return Ok(None) };
    let ours = spec.storage_class_name.as_deref() == Some(CLASS) && spec.volume_name.is_none();
    let has_node = claim.annotations().contains_key(SELECTED_NODE);
    let (Some(uid), Some(namespace)) = (claim.uid(), claim.namespace()) else { return Ok(None) };
    if !ours || !has_node || claim.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let name = format!("pvc-{uid}");
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let capacity = requests
        .and_then(|requests| requests.get("storage"))
        .with_context(|| format!("claim {namespace}/{} asks for no storage", claim.name_any()))?;
    let volume = json!({
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "accessModes": spec.access_modes,
            "capacity": {"storage": capacity},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": claim.name_any(),
                "uid": uid,
            },
            "hostPath": {"path": storage.join(&name), "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]},
            ]}]}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
        },
    });
    serde_json::from_value(volume).map(Some).with_context(|| format!("cannot describe volume {name}"))
}

/// Whoever a pod runs as may write to its volume, as with the helper of the real provisioner.
fn make_directory(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)))
        .with_context(|| format!("cannot make {}", directory.display()))
}

async fn remove_released(client: &Client, storage: &Path, volume: &PersistentVolume) -> anyhow::Result<()> {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let provisioner = volume.annotations().get("pv.kubernetes.io/provisioned-by").map(String::as_str);
    if phase != Some("Released") || provisioner != Some(PROVISIONER) {
        return Ok(());
    }
    let name = volume.name_any();
    // What is left goes with the cluster's state.
    let _ = std::fs::remove_dir_all(storage.join(&name));
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    match volumes.delete(&name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot delete volume {name}")),
    }
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
        let volume = volume_for(&claim, Path::new("/storage")).unwrap();
        assert_eq!(volume.is_some(), gets);
        if let Some(spec) = volume.and_then(|volume| volume.spec) {
            assert_eq!(spec.claim_ref.unwrap().namespace.as_deref(), Some("n"));
            assert_eq!(spec.host_path.unwrap().path, "/storage/pvc-1");
        }
    }

    #[test]
    fn a_claim_for_nothing_is_named() {
        let mut claim = claim("local-path", Some("node-0"), None);
        claim.spec.as_mut().unwrap().resources = None;
        let error = volume_for(&claim, Path::new("/storage")).unwrap_err().to_string();
        assert_eq!(error, "claim n/c asks for no storage");
    }
}
