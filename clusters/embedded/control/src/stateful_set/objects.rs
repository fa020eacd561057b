//! The pods and claims of a StatefulSet.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use crate::cluster::Cluster;
use crate::queue::Trouble;
use crate::store::Key;
use crate::{owner, pods};

pub(super) const REVISION_LABEL: &str = "controller-revision-hash";
const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

pub(super) fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set.name_any())
}

/// The number in a pod's name.
pub(super) fn ordinal(set: &StatefulSet, pod: &str) -> Option<i32> {
    pod.strip_prefix(&set.name_any())?.strip_prefix('-')?.parse().ok()
}

fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}", template.name_any(), pod_name(set, ordinal))
}

fn claim_templates(set: &StatefulSet) -> impl Iterator<Item = &PersistentVolumeClaim> {
    set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten())
}

/// The claims of one pod.
pub(super) fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let labels = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
    claim_templates(set)
        .map(|template| {
            let mut claim = template.clone();
            claim.metadata.name = Some(claim_name(set, template, ordinal));
            claim.metadata.namespace = set.namespace();
            claim.metadata.creation_timestamp = None;
            claim.metadata.labels.get_or_insert_default().extend(labels.clone());
            claim.status = None;
            claim
        })
        .collect()
}

/// The pod with this number, of this revision's template.
pub(super) fn pod(set: &StatefulSet, template: &PodTemplateSpec, ordinal: i32, revision: &str) -> Pod {
    let namespace = set.namespace().unwrap_or_default();
    let mut pod = pods::from_template(template, &namespace, owner::controlled_by(set));
    let name = pod_name(set, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    labels.insert(POD_NAME_LABEL.to_owned(), name.clone());
    labels.insert(INDEX_LABEL.to_owned(), ordinal.to_string());
    pod.metadata.name = Some(name.clone());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain =
        set.spec.as_ref().and_then(|spec| spec.service_name.clone()).filter(|name| !name.is_empty());
    let claimed: Vec<Volume> = claim_templates(set)
        .map(|template| Volume {
            name: template.name_any(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(set, template, ordinal),
                read_only: Some(false),
            }),
            ..Volume::default()
        })
        .collect();
    let volumes = spec.volumes.take().unwrap_or_default();
    let others = volumes.into_iter().filter(|volume| claimed.iter().all(|claim| claim.name != volume.name));
    let volumes: Vec<Volume> = others.chain(claimed.clone()).collect();
    spec.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
    pod
}

/// Gives the claims the owners that the retention policy wants: the set, or the pod that is scaled away.
pub(super) async fn keep_claims(
    cluster: &Cluster,
    set: &StatefulSet,
    owned: &[Arc<Pod>],
) -> Result<(), Trouble> {
    let Some(spec) = &set.spec else { return Ok(()) };
    let policy = spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    let with_set = policy.when_deleted.as_deref() == Some("Delete");
    let with_pod = policy.when_scaled.as_deref() == Some("Delete");
    if !with_set && !with_pod {
        return Ok(());
    }
    let first = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    let kept = first..first + spec.replicas.unwrap_or(1);
    for pod in owned {
        let Some(number) = ordinal(set, &pod.name_any()) else { continue };
        for template in claim_templates(set) {
            let key = Key::new(set.namespace().unwrap_or_default(), claim_name(set, template, number));
            let Some(claim) = cluster.stores.claims.get(&key) else { continue };
            let mut owners: Vec<OwnerReference> = claim.owner_references().to_vec();
            let (set_uid, pod_uid) = (set.uid().unwrap_or_default(), pod.uid().unwrap_or_default());
            owners.retain(|owner| owner.uid != set_uid && owner.uid != pod_uid);
            if with_pod && !kept.contains(&number) {
                owners.extend(pod.owner_ref(&()));
            } else if with_set {
                owners.extend(set.owner_ref(&()));
            }
            if owners != claim.owner_references() {
                let mut changed = claim.as_ref().clone();
                changed.metadata.owner_references = Some(owners).filter(|owners| !owners.is_empty());
                cluster.replace(&changed).await?;
            }
        }
    }
    Ok(())
}
