//! One look at one object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::DynamicObject;
use serde_json::json;

use super::Garbage;
use super::graph::{Manner, Node, ORPHAN, Owner, Verdict};
use crate::queue::{Trouble, unless_gone};

impl Node {
    pub(crate) fn api(&self, client: &kube::Client) -> Api<DynamicObject> {
        if self.resource.namespaced {
            Api::namespaced_with(client.clone(), &self.key.namespace, &self.resource.api)
        } else {
            Api::all_with(client.clone(), &self.resource.api)
        }
    }
}

pub(super) async fn look(garbage: &Garbage, uid: &str) -> Result<(), Trouble> {
    let Some(node) = garbage.read(|graph| graph.get(uid).cloned()) else { return Ok(()) };
    let mut absent = Vec::new();
    if !node.deleting {
        for owner in &node.owners {
            let unknown = garbage.read(|graph| graph.owner(owner) == Owner::Unknown);
            if unknown && !exists(garbage, &node, owner).await? {
                absent.push(owner.uid.clone());
            }
        }
    }
    let api = node.api(&garbage.client);
    match garbage.read(|graph| graph.verdict(&node, &absent)) {
        Verdict::Keep => Ok(()),
        Verdict::Delete(manner) => delete(&api, &node, manner).await,
        Verdict::Disown(owners) => disown(&api, &node, &owners).await,
        Verdict::RemoveFinalizer(name) => remove_finalizer(&api, &node, name).await,
        Verdict::CollectFirst(dependents) => {
            dependents.into_iter().for_each(|uid| garbage.queue.add(uid));
            Ok(())
        }
        Verdict::OrphanDependents(dependents) => {
            for uid in dependents {
                let Some(dependent) = garbage.read(|graph| graph.get(&uid).cloned()) else { continue };
                disown(&dependent.api(&garbage.client), &dependent, std::slice::from_ref(&node.uid)).await?;
            }
            remove_finalizer(&api, &node, ORPHAN).await
        }
    }
}

/// Asks the API server whether an owner that no watch has shown exists.
async fn exists(garbage: &Garbage, node: &Node, owner: &OwnerReference) -> Result<bool, Trouble> {
    let resources = garbage.resources();
    let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let resource =
        resources.iter().find(|resource| resource.api.group == group && resource.api.kind == owner.kind);
    let Some(resource) = resource else {
        return Err(Trouble::NotYet(format!("the owner {} {} is of no known kind", owner.kind, owner.name)));
    };
    // A cluster-wide object cannot be owned by a namespaced one; such a reference points nowhere.
    if resource.namespaced && !node.resource.namespaced {
        return Ok(false);
    }
    let api: Api<DynamicObject> = if resource.namespaced {
        Api::namespaced_with(garbage.client.clone(), &node.key.namespace, &resource.api)
    } else {
        Api::all_with(garbage.client.clone(), &resource.api)
    };
    let found = api.get_metadata_opt(&owner.name).await?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_ref() == Some(&owner.uid)))
}

async fn delete(api: &Api<DynamicObject>, node: &Node, manner: Manner) -> Result<(), Trouble> {
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(node.uid.clone()), resource_version: None }),
        propagation_policy: Some(match manner {
            Manner::Background => PropagationPolicy::Background,
            Manner::Foreground => PropagationPolicy::Foreground,
            Manner::Orphan => PropagationPolicy::Orphan,
        }),
        ..DeleteParams::default()
    };
    match unless_gone(api.delete(&node.key.name, &parameters).await) {
        // Another object has the name by now: the one that was meant is gone.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => Ok(other.map(|_| ())?),
    }
}

async fn disown(api: &Api<DynamicObject>, node: &Node, owners: &[String]) -> Result<(), Trouble> {
    let kept: Vec<&OwnerReference> =
        node.owners.iter().filter(|owner| !owners.contains(&owner.uid)).collect();
    let patch = json!({ "metadata": { "uid": node.uid, "ownerReferences": kept } });
    unless_gone(api.patch(&node.key.name, &PatchParams::default(), &Patch::Merge(&patch)).await)?;
    Ok(())
}

async fn remove_finalizer(api: &Api<DynamicObject>, node: &Node, name: &str) -> Result<(), Trouble> {
    // Read again: another finalizer may have come or gone since.
    let Some(live) = api.get_metadata_opt(&node.key.name).await? else { return Ok(()) };
    if live.metadata.uid.as_ref() != Some(&node.uid) {
        return Ok(());
    }
    let finalizers = live.metadata.finalizers.unwrap_or_default();
    let kept: Vec<&String> = finalizers.iter().filter(|finalizer| *finalizer != name).collect();
    let version = live.metadata.resource_version;
    let patch = json!({ "metadata": { "uid": node.uid, "resourceVersion": version, "finalizers": kept } });
    unless_gone(api.patch(&node.key.name, &PatchParams::default(), &Patch::Merge(&patch)).await)?;
    Ok(())
}
