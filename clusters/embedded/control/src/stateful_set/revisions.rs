//! ControllerRevisions: the templates that a StatefulSet had, by number.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::queue::Trouble;
use crate::{hash, owner};

const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// The names of the revision that pods have and of the one they should have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Revisions {
    pub(super) current: String,
    pub(super) update: String,
    known: Vec<Arc<ControllerRevision>>,
}

impl Revisions {
    /// The template of a revision; the set's own when it is not known.
    pub(super) fn template(&self, revision: &str, set: &StatefulSet) -> PodTemplateSpec {
        let stored = self.known.iter().find(|known| known.name_any() == revision);
        let stored = stored.and_then(|known| known.data.as_ref()).and_then(|data| {
            let mut template = data.0.pointer("/spec/template")?.clone();
            template.as_object_mut()?.remove("$patch");
            serde_json::from_value(template).ok()
        });
        stored.unwrap_or_else(|| set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default())
    }
}

fn data(set: &StatefulSet) -> Value {
    let mut template =
        set.spec.as_ref().and_then(|spec| serde_json::to_value(&spec.template).ok()).unwrap_or_default();
    if let Some(fields) = template.as_object_mut() {
        fields.insert("$patch".to_owned(), json!("replace"));
    }
    json!({ "spec": { "template": template } })
}

/// Finds the revision of the set's template, or makes it.
pub(super) async fn find_or_make(cluster: &Cluster, set: &StatefulSet) -> Result<Revisions, Trouble> {
    let namespace = set.namespace().unwrap_or_default();
    let all = || -> Vec<Arc<ControllerRevision>> {
        let revisions = cluster.stores.revisions.within(&namespace).into_iter();
        let mut revisions: Vec<_> =
            revisions.filter(|revision| owner::is_controlled_by(&revision.metadata, set)).collect();
        revisions.sort_by_key(|revision| revision.revision);
        revisions
    };
    let (known, wanted) = (all(), data(set));
    let highest = known.last().map_or(0, |revision| revision.revision);
    let same =
        known.iter().rev().find(|revision| revision.data.as_ref().is_some_and(|data| data.0 == wanted));
    let update = match same {
        Some(revision) if revision.revision == highest => revision.name_any(),
        Some(revision) => {
            // A template that comes back becomes the newest again.
            let mut changed = revision.as_ref().clone();
            changed.revision = highest + 1;
            cluster.replace(&changed).await?.name_any()
        }
        None => make(cluster, set, &wanted, highest + 1).await?,
    };
    let stated = set.status.as_ref().and_then(|status| status.current_revision.clone());
    let known = all();
    let current = stated.filter(|name| known.iter().any(|revision| revision.name_any() == *name));
    Ok(Revisions { current: current.unwrap_or_else(|| update.clone()), update, known })
}

async fn make(cluster: &Cluster, set: &StatefulSet, data: &Value, number: i64) -> Result<String, Trouble> {
    let hash = hash::of(data);
    let mut labels = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.metadata.as_ref()?.labels.clone())
        .unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let revision = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", set.name_any())),
            namespace: set.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![owner::controlled_by(set)]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data.clone())),
        revision: number,
    };
    Ok(cluster.create(&revision).await?.name_any())
}
