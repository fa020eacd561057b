//! Watches that fill the queues.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};

use crate::cluster::{Cluster, Kind, Reach, namespace_of};
use crate::work_queue::{Request, WorkQueue};

/// Which changes of a kind's own objects count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predicate {
    /// All of them.
    Any,
    /// Creation, deletion and new generations: neither status nor labels nor annotations.
    NewGeneration,
}

/// Queues a kind's own objects.
pub(crate) fn own<K: Kind>(cluster: &Cluster, reach: &Reach, predicate: Predicate, queue: &Arc<WorkQueue>) {
    for api in cluster.watched::<K>(reach) {
        let queue = queue.clone();
        let mut generations = Generations::default();
        watch(api, move |change| {
            if predicate == Predicate::Any || generations.is_new(&change) {
                queue.add(request(change.object()));
            }
        });
    }
}

/// Queues the owners of objects that a reconciler created.
pub(crate) fn owned<K: Kind, Owner: Kind>(cluster: &Cluster, reach: &Reach, queue: &Arc<WorkQueue>) {
    for api in cluster.watched::<K>(reach) {
        let queue = queue.clone();
        watch(api, move |change| {
            let object = change.object();
            let owner = object.owner_references().iter().find(|owner| {
                owner.controller == Some(true)
                    && owner.kind == Owner::kind(&())
                    && owner.api_version == Owner::api_version(&())
            });
            if let Some(owner) = owner {
                queue.add(Request { namespace: namespace_of(object), name: owner.name.clone() });
            }
        });
    }
}

/// Queues what a function makes of each object of a kind.
pub(crate) fn mapped<K: Kind, F>(cluster: &Cluster, reach: &Reach, map: F)
where
    F: Fn(K) + Clone + Send + Sync + 'static,
{
    for api in cluster.watched::<K>(reach) {
        let map = map.clone();
        watch(api, move |change| map(change.object().clone()));
    }
}

/// A change of one object.
enum Change<K> {
    Seen(K),
    Gone(K),
}

impl<K> Change<K> {
    fn object(&self) -> &K {
        match self {
            Change::Seen(object) | Change::Gone(object) => object,
        }
    }
}

fn request<K: Kind>(object: &K) -> Request {
    Request { namespace: namespace_of(object), name: object.name_any() }
}

/// The generation last seen of each object.
#[derive(Default)]
struct Generations(HashMap<String, Option<i64>>);

impl Generations {
    fn is_new<K: Kind>(&mut self, change: &Change<K>) -> bool {
        let uid = change.object().uid().unwrap_or_default();
        match change {
            Change::Gone(_) => {
                self.0.remove(&uid);
                true
            }
            Change::Seen(object) => {
                let generation = object.meta().generation;
                self.0.insert(uid, generation) != Some(generation)
            }
        }
    }
}

fn watch<K: Kind>(api: Api<K>, mut changed: impl FnMut(Change<K>) + Send + 'static) {
    tokio::spawn(async move {
        let mut stream = watcher(api, watcher::Config::default()).default_backoff().boxed();
        loop {
            // Errors are waited out by the stream itself.
            match stream.try_next().await {
                Ok(Some(Event::Apply(object) | Event::InitApply(object))) => changed(Change::Seen(object)),
                Ok(Some(Event::Delete(object))) => changed(Change::Gone(object)),
                Ok(Some(Event::Init | Event::InitDone)) => {}
                Ok(None) => return,
                Err(error) => tracing::debug!(%error, "watch interrupted"),
            }
        }
    });
}
