//! Pods whose Job is gone: nobody will count them, so that nothing keeps them.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{member, release};
use crate::cluster::Cluster;
use crate::owner;
use crate::queue::{Queue, Trouble};
use crate::store::Key;

/// Starts the clearing.
pub(super) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let pods = queue.clone();
    cluster.stores.pods.on_change(move |change| {
        if let Some(pod) = change.after.filter(|pod| member::is_held(pod)) {
            pods.add(Key::of(pod.as_ref()));
        }
    });
    let (jobs, stores) = (queue.clone(), std::sync::Arc::downgrade(&cluster.stores));
    cluster.stores.jobs.on_change(move |change| {
        let (Some(gone), None) = (change.before, change.after) else { return };
        let Some(stores) = stores.upgrade() else { return };
        let held = stores.pods.within(&gone.namespace().unwrap_or_default()).into_iter();
        held.filter(|pod| member::is_held(pod)).for_each(|pod| jobs.add(Key::of(pod.as_ref())));
    });
    let cluster = cluster.clone();
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("job-orphans", move |key| {
        let cluster = cluster.clone();
        async move { look(&cluster, &key).await }
    }));
}

async fn look(cluster: &Cluster, key: &Key) -> Result<(), Trouble> {
    let Some(pod) = cluster.stores.pods.get(key).filter(|pod| member::is_held(pod)) else { return Ok(()) };
    if has_job(cluster, &pod) { Ok(()) } else { release(cluster, &pod).await }
}

/// Whether the Job that the pod names as its controller is there, and is still the same.
fn has_job(cluster: &Cluster, pod: &Pod) -> bool {
    let Some(owner) = owner::controller(&pod.metadata).filter(|owner| owner.kind == "Job") else {
        return false;
    };
    let key = Key::new(pod.namespace().unwrap_or_default(), &owner.name);
    cluster.stores.jobs.get(&key).is_some_and(|job| job.uid().as_deref() == Some(owner.uid.as_str()))
}
