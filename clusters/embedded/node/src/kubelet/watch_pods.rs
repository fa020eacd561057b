//! Which pods the node runs: a worker for each, told of every change of its object.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use tokio_util::task::TaskTracker;

use super::pod::PodRuntime;
use super::volumes::{Referred, refers_to};
use super::worker;
use crate::shared::Shared;

/// Watches the pods that are bound to the node until the node stops.
pub(crate) async fn watch_pods(shared: Arc<Shared>, workers: TaskTracker) {
    let settings = watcher::Config::default().fields(&format!("spec.nodeName={}", shared.settings.name));
    let events = watcher::watcher(Api::<Pod>::all(shared.client.clone()), settings).default_backoff();
    pin_mut!(events);
    let mut known: HashMap<String, Arc<PodRuntime>> = HashMap::new();
    let mut listed: HashSet<String> = HashSet::new();
    loop {
        let event = tokio::select! {
            () = shared.stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(Event::Init)) => listed.clear(),
            Some(Ok(Event::InitApply(pod))) => {
                listed.insert(pod.uid().unwrap_or_default());
                apply(&shared, &workers, &mut known, pod);
            }
            Some(Ok(Event::InitDone)) => {
                let missed: Vec<_> = known.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                missed.iter().for_each(|uid| forget(&shared, &mut known, uid));
            }
            Some(Ok(Event::Apply(pod))) => apply(&shared, &workers, &mut known, pod),
            Some(Ok(Event::Delete(pod))) => forget(&shared, &mut known, &pod.uid().unwrap_or_default()),
            Some(Err(error)) => tracing::warn!(%error, "the watch on pods broke; it begins again"),
            None => return,
        }
    }
}

fn apply(
    shared: &Arc<Shared>,
    workers: &TaskTracker,
    known: &mut HashMap<String, Arc<PodRuntime>>,
    pod: Pod,
) {
    let uid = pod.uid().unwrap_or_default();
    let pod = Arc::new(pod);
    if let Some(runtime) = known.get(&uid) {
        if runtime.object().metadata.labels != pod.metadata.labels
            || runtime.object().metadata.annotations != pod.metadata.annotations
        {
            runtime.stale.notify_one();
        }
        runtime.update(pod);
        return;
    }
    let key = (pod.namespace().unwrap_or_default(), pod.name_any());
    let runtime = Arc::new(PodRuntime::new(shared.clone(), pod));
    known.insert(uid, runtime.clone());
    shared.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(key, runtime.clone());
    workers.spawn(worker::run(runtime));
}

fn forget(shared: &Shared, known: &mut HashMap<String, Arc<PodRuntime>>, uid: &str) {
    let Some(runtime) = known.remove(uid) else { return };
    runtime.gone.cancel();
    let key = (runtime.namespace.clone(), runtime.name.clone());
    let mut pods = shared.pods.lock().unwrap_or_else(PoisonError::into_inner);
    // A pod of the same name may have come meanwhile (a StatefulSet's).
    if pods.get(&key).is_some_and(|it| it.uid == uid) {
        pods.remove(&key);
    }
}

/// Watches what volumes are made of, and tells the pods concerned.
pub(crate) async fn watch_sources(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let config_maps =
        each_change::<ConfigMap>(&shared, |pod, name| refers_to(pod, Referred::ConfigMap(name)));
    let secrets = each_change::<Secret>(&shared, |pod, name| refers_to(pod, Referred::Secret(name)));
    tokio::select! {
        () = stop.cancelled() => {}
        _ = futures::future::join(config_maps, secrets) => {}
    }
}

async fn each_change<K>(shared: &Shared, concerns: impl Fn(&Pod, &str) -> bool)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let events =
        watcher::watcher(Api::<K>::all(shared.client.clone()), watcher::Config::default()).default_backoff();
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(object) | Event::Delete(object)) = event else { continue };
        let (namespace, name) = (object.namespace(), object.name_any());
        let pods: Vec<_> =
            shared.pods.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for runtime in pods {
            if Some(&runtime.namespace) == namespace.as_ref() && concerns(&runtime.object(), &name) {
                runtime.stale.notify_one();
            }
        }
    }
}
