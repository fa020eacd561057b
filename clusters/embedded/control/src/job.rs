//! Jobs: pods that run to their end, counted.
//!
//! As kube-controller-manager 1.33 does, with these differences: pods that match the selector and have no owner are not
//! adopted, and pod failure policies are refused by the API server. Pauses between attempts follow the pace; deadlines
//! and times to live are their author's, and do not.

mod backoff;
mod indexes;
mod member;
mod orphans;
mod plan;
mod tally;
mod time_to_live;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::cluster::Cluster;
use crate::events::Tone;
use crate::owner;
use crate::queue::{Queue, Trouble};
use crate::store::Key;
use backoff::Failures;
use member::NewPod;
use plan::{Plan, Situation};

const COMPONENT: &str = "job-controller";

/// The failures of each Job since its last success, by uid. A controller that starts anew begins to count anew.
type Records = Arc<Mutex<HashMap<String, Failures>>>;

/// Starts the controller.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let jobs = queue.clone();
    cluster.stores.jobs.on_change(move |change| {
        if let Some(job) = change.after {
            jobs.add(Key::of(job.as_ref()));
        }
    });
    let pods = queue.clone();
    cluster.stores.pods.on_change(move |change| {
        for pod in change.states() {
            if let Some(owner) = owner::controller(&pod.metadata).filter(|owner| owner.kind == "Job") {
                pods.add(Key::new(pod.namespace().unwrap_or_default(), &owner.name));
            }
        }
    });
    orphans::start(cluster);
    time_to_live::start(cluster);
    let (cluster, again, records) = (cluster.clone(), queue.clone(), Records::default());
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("job", move |key| {
        let (cluster, again, records) = (cluster.clone(), again.clone(), records.clone());
        async move { look(&cluster, &key, &again, &records).await }
    }));
}

/// Whether the Job has come to its end.
fn is_finished(job: &Job) -> bool {
    finished_at(job).is_some()
}

/// When the Job came to its end.
fn finished_at(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    let end = ["Complete", "Failed"].into_iter().find_map(|kind| tally::condition(status, kind))?;
    Some(end.last_transition_time.as_ref().filter(|_| end.status == "True")?.0)
}

async fn look(cluster: &Cluster, key: &Key, again: &Queue<Key>, records: &Records) -> Result<(), Trouble> {
    let Some(job) = cluster.stores.jobs.get(key) else { return Ok(()) };
    let uid = job.uid().unwrap_or_default();
    let record = |uid: &str| {
        records.lock().unwrap_or_else(PoisonError::into_inner).get(uid).copied().unwrap_or_default()
    };
    let Some(spec) = job.spec.as_ref().filter(|_| !is_finished(&job)) else {
        records.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
        return Ok(());
    };
    // Somebody else looks after it.
    if spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller") {
        return Ok(());
    }
    let pods: Vec<Arc<Pod>> = cluster.stores.pods.within(&key.namespace);
    let pods: Vec<Arc<Pod>> =
        pods.into_iter().filter(|pod| owner::is_controlled_by(&pod.metadata, job.as_ref())).collect();
    let situation = Situation {
        job: &job,
        spec,
        pods: &pods,
        failures: record(&uid),
        now: Timestamp::now(),
        pace: cluster.pace,
    };
    let mut plan = plan::plan(&situation);
    if let Some(pause) = plan.again {
        again.add_after(key.clone(), pause);
    }
    let acted = change_pods(cluster, &job, &pods, &mut plan).await;
    if job.status.as_ref() != Some(&plan.status) {
        let mut changed = job.as_ref().clone();
        changed.status = Some(plan.status.clone());
        cluster.replace_status(&changed).await?;
    }
    records.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, plan.failures);
    for note in plan.notes {
        cluster.events.note(job.as_ref(), COMPONENT, note.tone, note.reason, note.message);
    }
    for pod in named(&pods, &plan.release) {
        release(cluster, pod).await?;
    }
    acted
}

/// Deletes and makes pods. What could not be made is taken back from the plan's status.
async fn change_pods(
    cluster: &Cluster,
    job: &Job,
    pods: &[Arc<Pod>],
    plan: &mut Plan,
) -> Result<(), Trouble> {
    for pod in named(pods, &plan.delete) {
        delete(cluster, job, pod).await?;
    }
    for pod in named(pods, &plan.give_up) {
        // Not counted: its finalizer goes first.
        release(cluster, pod).await?;
        delete(cluster, job, pod).await?;
    }
    for (made, new) in plan.create.iter().enumerate() {
        if let Err(error) = create(cluster, job, *new).await {
            let missing = i32::try_from(plan.create.len() - made).unwrap_or(0);
            let active = plan.status.active.unwrap_or(0) - missing;
            plan.status.active = Some(active).filter(|active| *active > 0);
            return Err(error);
        }
    }
    Ok(())
}

fn named<'a>(pods: &'a [Arc<Pod>], names: &[String]) -> impl Iterator<Item = &'a Arc<Pod>> {
    pods.iter().filter(move |pod| names.contains(&pod.name_any()))
}

async fn create(cluster: &Cluster, job: &Job, new: NewPod) -> Result<(), Trouble> {
    match cluster.create(&member::make(job, new)).await {
        Ok(made) => {
            let message = format!("Created pod: {}", made.name_any());
            cluster.events.note(job, COMPONENT, Tone::Normal, "SuccessfulCreate", message);
            Ok(())
        }
        Err(error) => {
            let message = format!("Error creating: {}", crate::reason(&error));
            cluster.events.note(job, COMPONENT, Tone::Warning, "FailedCreate", message);
            Err(error.into())
        }
    }
}

async fn delete(cluster: &Cluster, job: &Job, pod: &Pod) -> Result<(), Trouble> {
    cluster.delete(pod).await?;
    let message = format!("Deleted pod: {}", pod.name_any());
    cluster.events.note(job, COMPONENT, Tone::Normal, "SuccessfulDelete", message);
    Ok(())
}

/// Takes the tracking finalizer off a pod; nothing when the pod is gone.
async fn release(cluster: &Cluster, pod: &Pod) -> Result<(), Trouble> {
    // Read anew: this look may have asked the pod to go.
    let Some(pod) = cluster.stores.pods.get(&Key::of(pod)).filter(|known| known.uid() == pod.uid()) else {
        return Ok(());
    };
    if !member::is_held(&pod) {
        return Ok(());
    }
    let kept: Vec<&String> =
        pod.finalizers().iter().filter(|finalizer| *finalizer != member::FINALIZER).collect();
    let meta = json!({ "uid": pod.uid(), "resourceVersion": pod.resource_version(), "finalizers": kept });
    cluster.patch::<Pod>(&Key::of(pod.as_ref()), &json!({ "metadata": meta })).await?;
    Ok(())
}
