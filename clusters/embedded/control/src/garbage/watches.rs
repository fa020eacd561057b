//! One watch of metadata for every kind, as kinds come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::Garbage;
use super::graph::{Graph, Node};
use crate::discovery::{self, Resource};
use crate::store::Key;

/// The pause after a discovery that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Watches every kind, for ever.
pub(super) async fn keep(garbage: Garbage) {
    let changed = Arc::new(Notify::new());
    // Dropped with this future, and every watch with it.
    let mut running = JoinSet::new();
    let mut watches: HashMap<Resource, AbortHandle> = HashMap::new();
    loop {
        match discovery::resources(&garbage.client).await {
            Ok(resources) => {
                watches.retain(|resource, watch| {
                    let kept = resources.contains(resource);
                    if !kept {
                        watch.abort();
                        garbage.read(|graph| graph.of(resource)).iter().for_each(|uid| garbage.remove(uid));
                    }
                    kept
                });
                for resource in &resources {
                    if !watches.contains_key(resource) {
                        let task = watch(garbage.clone(), resource.clone(), changed.clone());
                        watches.insert(resource.clone(), running.spawn(task));
                    }
                }
                let before = garbage.resources.send_replace(resources);
                // Whoever waited for its owner's kind to be known is looked at again.
                if garbage.resources().iter().any(|resource| !before.contains(resource)) {
                    garbage
                        .read(Graph::with_unknown_owners)
                        .into_iter()
                        .for_each(|uid| garbage.queue.add(uid));
                }
            }
            Err(error) => {
                tracing::warn!("discovery: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        }
        changed.notified().await;
    }
}

async fn watch(garbage: Garbage, resource: Resource, kinds_changed: Arc<Notify>) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(garbage.client.clone(), &resource.api);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    pin_mut!(events);
    let defines_kinds = resource.api.plural == "customresourcedefinitions";
    let mut missing: Vec<String> = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => missing = garbage.read(|graph| graph.of(&resource)),
            Ok(watcher::Event::InitApply(object)) => {
                if let Some(node) = node(&resource, &object) {
                    missing.retain(|uid| *uid != node.uid);
                    garbage.put(node);
                }
            }
            Ok(watcher::Event::InitDone) => {
                missing.drain(..).for_each(|uid| garbage.remove(&uid));
                // A kind may have been defined between the discovery and this list.
                if defines_kinds {
                    kinds_changed.notify_one();
                }
            }
            Ok(watcher::Event::Apply(object)) => {
                if let Some(node) = node(&resource, &object) {
                    garbage.put(node);
                }
                if defines_kinds {
                    kinds_changed.notify_one();
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                if let Some(uid) = object.uid() {
                    garbage.remove(&uid);
                }
                if defines_kinds {
                    kinds_changed.notify_one();
                }
            }
            Err(error) => tracing::debug!(kind = %resource.api.kind, "watch: {error}"),
        }
    }
}

fn node(resource: &Resource, object: &PartialObjectMeta<DynamicObject>) -> Option<Node> {
    Some(Node {
        uid: object.uid()?,
        resource: resource.clone(),
        key: Key::of(object),
        owners: object.owner_references().to_vec(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        finalizers: object.finalizers().to_vec(),
    })
}
