//! Deployments: ReplicaSets of one template after the other.

mod rollout;
mod status;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::json;

use crate::cluster::Cluster;
use crate::events::Tone;
use crate::queue::{Queue, Trouble};
use crate::store::Key;
use crate::{hash, owner, pods};
use rollout::{Fleet, Scale};

const COMPONENT: &str = "deployment-controller";
const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Starts the controller.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let deployments = queue.clone();
    cluster.stores.deployments.on_change(move |change| {
        if let Some(deployment) = change.after {
            deployments.add(Key::of(deployment.as_ref()));
        }
    });
    let sets = queue.clone();
    cluster.stores.replica_sets.on_change(move |change| {
        for set in change.states() {
            if let Some(owner) = owner::controller(&set.metadata).filter(|owner| owner.kind == "Deployment") {
                sets.add(Key::new(set.namespace().unwrap_or_default(), &owner.name));
            }
        }
    });
    // Recreate waits for the last old pod to be gone.
    let (pods, stores) = (queue.clone(), Arc::downgrade(&cluster.stores));
    cluster.stores.pods.on_change(move |change| {
        let (Some(pod), None, Some(stores)) = (change.before, change.after, stores.upgrade()) else { return };
        let Some(owner) = owner::controller(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet") else {
            return;
        };
        let namespace = pod.namespace().unwrap_or_default();
        let Some(set) = stores.replica_sets.get(&Key::new(&namespace, &owner.name)) else { return };
        if let Some(owner) = owner::controller(&set.metadata) {
            pods.add(Key::new(namespace, &owner.name));
        }
    });
    let (cluster, again) = (cluster.clone(), queue.clone());
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("deployment", move |key| {
        let (cluster, again) = (cluster.clone(), again.clone());
        async move { look(&cluster, &key, &again).await }
    }));
}

/// The ReplicaSets that a Deployment controls, oldest first.
fn sets_of(cluster: &Cluster, deployment: &Deployment) -> Vec<Arc<ReplicaSet>> {
    let namespace = deployment.namespace().unwrap_or_default();
    let sets = cluster.stores.replica_sets.within(&namespace).into_iter();
    let mut sets: Vec<_> = sets.filter(|set| owner::is_controlled_by(&set.metadata, deployment)).collect();
    sets.sort_by_key(|set| set.metadata.creation_timestamp.as_ref().map(|time| time.0));
    sets
}

async fn look(cluster: &Cluster, key: &Key, again: &Queue<Key>) -> Result<(), Trouble> {
    let Some(deployment) = cluster.stores.deployments.get(key) else { return Ok(()) };
    if deployment.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let sets = sets_of(cluster, &deployment);
    let paused = deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true));
    let current = match find_new(&deployment, &sets) {
        Some(set) => Some(revise(cluster, &deployment, &sets, set).await?),
        None if paused || waits_for_old_pods(cluster, &deployment, &sets) => None,
        None => Some(create_new(cluster, &deployment, &sets).await?),
    };
    let sets = sets_of(cluster, &deployment);
    let fleet = Fleet::new(&deployment, &sets, current.as_deref());
    for scale in if paused { fleet.proportional() } else { fleet.steps() } {
        apply(cluster, &deployment, &sets, &scale).await?;
    }
    let sets = sets_of(cluster, &deployment);
    let now = Timestamp::now();
    let made = status::status(&deployment, &sets, current.as_deref(), now, cluster.pace);
    if let Some(pause) = made.look_again {
        again.add_after(key.clone(), pause.max(Duration::from_millis(1)));
    }
    if deployment.status.as_ref() != Some(&made.status) {
        let mut changed = deployment.as_ref().clone();
        changed.status = Some(made.status);
        let known = cluster.replace_status(&changed).await?;
        annotate(cluster, &known, current.as_deref()).await?;
    } else {
        annotate(cluster, &deployment, current.as_deref()).await?;
    }
    prune(cluster, &deployment, &sets, current.as_deref()).await
}

/// The ReplicaSet of the Deployment's present template.
fn find_new(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Option<Arc<ReplicaSet>> {
    let template = &deployment.spec.as_ref()?.template;
    let same = |set: &&Arc<ReplicaSet>| {
        let theirs = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
        without_hash(theirs) == without_hash(template.clone())
    };
    sets.iter().find(same).cloned()
}

fn without_hash(mut template: PodTemplateSpec) -> PodTemplateSpec {
    let meta = template.metadata.get_or_insert_default();
    if let Some(labels) = &mut meta.labels {
        labels.remove(HASH_LABEL);
    }
    meta.labels = meta.labels.take().filter(|labels| !labels.is_empty());
    meta.creation_timestamp = None;
    template
}

/// With `Recreate`, whether pods of old ReplicaSets are still about.
fn waits_for_old_pods(cluster: &Cluster, deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> bool {
    let recreate = rollout::is_recreate(deployment);
    recreate
        && sets.iter().any(|set| {
            let wants = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0) > 0;
            let pods = cluster.stores.pods.within(&set.namespace().unwrap_or_default());
            wants
                || pods
                    .iter()
                    .any(|pod| owner::is_controlled_by(&pod.metadata, set.as_ref()) && pods::is_alive(pod))
        })
}

fn revision_of(meta: &ObjectMeta) -> i64 {
    meta.annotations
        .as_ref()
        .and_then(|notes| notes.get(REVISION))
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Gives the present ReplicaSet the highest revision.
async fn revise(
    cluster: &Cluster,
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    set: Arc<ReplicaSet>,
) -> Result<Arc<ReplicaSet>, Trouble> {
    let others = sets.iter().filter(|other| other.uid() != set.uid());
    let next = others.map(|other| revision_of(&other.metadata)).max().unwrap_or(0) + 1;
    if revision_of(&set.metadata) >= next {
        return Ok(set);
    }
    let mut changed = set.as_ref().clone();
    changed.annotations_mut().extend(notes(deployment, next));
    Ok(cluster.replace(&changed).await?)
}

/// The annotations of a ReplicaSet of this Deployment.
fn notes(deployment: &Deployment, revision: i64) -> impl Iterator<Item = (String, String)> + use<> {
    let replicas = rollout::wanted(deployment);
    let most = replicas + rollout::surge_and_unavailable(deployment).0;
    let copied = deployment.annotations().clone().into_iter().filter(|(name, _)| {
        !name.starts_with("deployment.kubernetes.io/")
            && name != "kubectl.kubernetes.io/last-applied-configuration"
    });
    copied.chain([
        ("deployment.kubernetes.io/desired-replicas".to_owned(), replicas.to_string()),
        ("deployment.kubernetes.io/max-replicas".to_owned(), most.to_string()),
        (REVISION.to_owned(), revision.to_string()),
    ])
}

async fn create_new(
    cluster: &Cluster,
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
) -> Result<Arc<ReplicaSet>, Trouble> {
    let Some(spec) = &deployment.spec else {
        return Err(Trouble::NotYet("the Deployment has no spec".to_owned()));
    };
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash =
        if collisions > 0 { hash::of(&json!([spec.template, collisions])) } else { hash::of(&spec.template) };
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
    let revision = sets.iter().map(|set| revision_of(&set.metadata)).max().unwrap_or(0) + 1;
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels: Some(labels),
            annotations: Some(notes(deployment, revision).collect()),
            owner_references: Some(vec![owner::controlled_by(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: Some(0),
            selector,
            template: Some(template),
        }),
        status: None,
    };
    let first = Fleet::new(deployment, sets, None).first_size();
    if let Some(spec) = &mut set.spec {
        spec.replicas = Some(first);
    }
    match cluster.create(&set).await {
        Ok(made) => {
            if first > 0 {
                let message = format!("Scaled up replica set {} from 0 to {first}", made.name_any());
                cluster.events.note(deployment, COMPONENT, Tone::Normal, "ScalingReplicaSet", message);
            }
            Ok(made)
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            // Two templates with one hash: the next try hashes with a count.
            let mut changed = deployment.clone();
            changed.status.get_or_insert_default().collision_count = Some(collisions + 1);
            cluster.replace_status(&changed).await?;
            Err(Trouble::Api(kube::Error::Api(status)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn apply(
    cluster: &Cluster,
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    scale: &Scale,
) -> Result<(), Trouble> {
    let Some(set) = sets.iter().find(|set| set.name_any() == scale.set) else { return Ok(()) };
    let mut changed = set.as_ref().clone();
    let revision = revision_of(&set.metadata);
    changed.annotations_mut().extend(notes(deployment, revision));
    let Some(spec) = &mut changed.spec else { return Ok(()) };
    let before = spec.replicas.unwrap_or(0);
    spec.replicas = Some(scale.to);
    cluster.replace(&changed).await?;
    let direction = if scale.to > before { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {} from {before} to {}", scale.set, scale.to);
    cluster.events.note(deployment, COMPONENT, Tone::Normal, "ScalingReplicaSet", message);
    Ok(())
}

/// Carries the revision over to the Deployment.
async fn annotate(
    cluster: &Cluster,
    deployment: &Deployment,
    current: Option<&ReplicaSet>,
) -> Result<(), Trouble> {
    let Some(revision) = current.map(|set| revision_of(&set.metadata).to_string()) else { return Ok(()) };
    if deployment.annotations().get(REVISION) == Some(&revision) {
        return Ok(());
    }
    let patch = json!({ "metadata": { "annotations": { REVISION: revision } } });
    Ok(cluster.patch::<Deployment>(&Key::of(deployment), &patch).await?)
}

/// Deletes old, empty ReplicaSets beyond the history limit.
async fn prune(
    cluster: &Cluster,
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    current: Option<&ReplicaSet>,
) -> Result<(), Trouble> {
    if !deployment.status.as_ref().is_some_and(|known| status::is_complete(deployment, known)) {
        return Ok(());
    }
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let current = current.and_then(|set| set.metadata.uid.clone());
    let empty = |set: &&Arc<ReplicaSet>| {
        set.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0))
            && set.status.as_ref().is_some_and(|status| status.replicas == 0)
            && set.metadata.deletion_timestamp.is_none()
    };
    let mut old: Vec<_> = sets.iter().filter(|set| set.uid() != current).filter(empty).collect();
    old.sort_by_key(|set| revision_of(&set.metadata));
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for set in old.into_iter().take(surplus) {
        cluster.delete(set.as_ref()).await?;
    }
    Ok(())
}
