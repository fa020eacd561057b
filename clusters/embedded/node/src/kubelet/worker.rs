//! The life of one pod on the node.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use tokio::task::JoinSet;

use super::containers::{self, Restart};
use super::events::Kind;
use super::pod::PodRuntime;
use super::sandbox::{self, SandboxFiles};
use super::status::is_sidecar;
use super::{termination, volumes};

/// How long the kubelet waits before it looks at a changed ConfigMap or Secret again (its sync period).
const SYNC_PERIOD: Duration = Duration::from_secs(60);

/// Runs a pod until it is gone.
pub(super) async fn run(runtime: Arc<PodRuntime>) {
    let publisher = tokio::spawn(publish(runtime.clone()));
    let ended_before = matches!(phase(&runtime.object()), Some("Succeeded" | "Failed"));
    if !ended_before {
        tokio::select! {
            () = live(&runtime) => {
                // Every container has ended for good; what is left is the network.
                termination::stop_all(&runtime, grace(&runtime.object())).await;
                runtime.set_over();
                sandbox::remove(&runtime);
            }
            () = leaving(&runtime) => {}
        }
    }
    leaving(&runtime).await;
    runtime.starts.close();
    runtime.starts.wait().await;
    let grace = if runtime.gone.is_cancelled() || runtime.shared.stop.is_cancelled() {
        Duration::ZERO
    } else {
        grace(&runtime.object())
    };
    tokio::select! {
        () = termination::stop_all(&runtime, grace) => {}
        () = runtime.gone.cancelled() => termination::stop_all(&runtime, Duration::ZERO).await,
        () = runtime.shared.stop.cancelled() => termination::stop_all(&runtime, Duration::ZERO).await,
    }
    runtime.set_over();
    sandbox::remove(&runtime);
    publisher.abort();
    if !runtime.shared.stop.is_cancelled() && !runtime.gone.is_cancelled() {
        publish_once(&runtime, &mut None).await;
        delete(&runtime).await;
    }
    // What is left of the pod on the node; its volumes go with it.
    let _ = tokio::fs::remove_dir_all(runtime.shared.pod_directory(&runtime.object())).await;
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn grace(pod: &Pod) -> Duration {
    let seconds = pod
        .metadata
        .deletion_grace_period_seconds
        .or_else(|| pod.spec.as_ref()?.termination_grace_period_seconds)
        .unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Waits until the pod has to go: deleted, gone, or the node stops.
async fn leaving(runtime: &PodRuntime) {
    let mut objects = runtime.objects();
    tokio::select! {
        _ = objects.wait_for(|it| it.metadata.deletion_timestamp.is_some()) => {}
        () = runtime.gone.cancelled() => {}
        () = runtime.shared.stop.cancelled() => {}
    }
}

/// From volumes and network to the end of the last container.
async fn live(runtime: &Arc<PodRuntime>) {
    runtime.changed.notify_one();
    let files = set_up(runtime).await;
    let mut beside = JoinSet::new();
    beside.spawn(refresh_volumes(runtime.clone()));
    let spec = runtime.spec();
    let restart = Restart::of_pod(spec.restart_policy.as_deref());
    for container in spec.init_containers.iter().flatten() {
        if is_sidecar(container) {
            beside.spawn(run_sidecar(runtime.clone(), container.clone(), files.clone()));
            wait_started(runtime, &container.name).await;
        } else if containers::run(runtime.clone(), container.clone(), files.clone(), restart.of_init()).await
            != 0
        {
            return;
        }
    }
    let mut main = JoinSet::new();
    for container in &spec.containers {
        main.spawn(containers::run(runtime.clone(), container.clone(), files.clone(), restart));
    }
    while main.join_next().await.is_some() {}
}

async fn run_sidecar(runtime: Arc<PodRuntime>, container: Container, files: SandboxFiles) {
    containers::run(runtime, container, files, Restart::Always).await;
}

async fn wait_started(runtime: &PodRuntime, name: &str) {
    while !runtime.record(name).is_some_and(|it| it.is_running() && it.started) {
        // Rare (sidecars alone) and short: startup probes decide within their period.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn set_up(runtime: &PodRuntime) -> SandboxFiles {
    let pace = runtime.shared.settings.pace;
    let mut wait = Duration::from_millis(500);
    loop {
        match set_up_once(runtime).await {
            Ok(files) => return files,
            Err((reason, message)) => runtime.event(None, Kind::Warning, reason, message),
        }
        tokio::time::sleep(pace.wait(wait).max(Duration::from_millis(10))).await;
        wait = (wait * 2).min(Duration::from_secs(122));
    }
}

async fn set_up_once(runtime: &PodRuntime) -> Result<SandboxFiles, (&'static str, String)> {
    let pod = runtime.object();
    volumes::set_up(&runtime.shared, &pod, runtime.live())
        .await
        .map_err(|error| ("FailedMount", error.to_string()))?;
    let files = sandbox::create(runtime).await.map_err(|error| {
        (
            "FailedCreatePodSandBox",
            format!("Failed to create pod sandbox: rpc error: code = Unknown desc = {error}"),
        )
    })?;
    // Again, now that fields such as status.podIP are known.
    let paths = volumes::set_up(&runtime.shared, &pod, runtime.live())
        .await
        .map_err(|error| ("FailedMount", error.to_string()));
    match paths {
        Ok(paths) => runtime.set_volumes(paths),
        Err(error) => {
            sandbox::remove(runtime);
            return Err(error);
        }
    }
    Ok(files)
}

/// Refreshes volumes one sync period after what they are made of has changed.
async fn refresh_volumes(runtime: Arc<PodRuntime>) {
    let period = runtime.shared.settings.pace.wait(SYNC_PERIOD);
    loop {
        runtime.stale.notified().await;
        tokio::time::sleep(period).await;
        if let Err(error) = volumes::set_up(&runtime.shared, &runtime.object(), runtime.live()).await {
            runtime.event(None, Kind::Warning, "FailedMount", error.to_string());
        }
    }
}

/// Publishes the status whenever it changes.
async fn publish(runtime: Arc<PodRuntime>) {
    let mut last = None;
    loop {
        runtime.changed.notified().await;
        publish_once(&runtime, &mut last).await;
    }
}

async fn publish_once(runtime: &PodRuntime, last: &mut Option<serde_json::Value>) {
    let status = runtime.status();
    if last.as_ref() == Some(&status) {
        return;
    }
    let api: Api<Pod> = Api::namespaced(runtime.shared.client.clone(), &runtime.namespace);
    let patch = Patch::Merge(json!({"metadata": {"uid": runtime.uid}, "status": status}));
    for attempt in 0..5 {
        match api
            .patch_status(
                &runtime.name,
                &PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() },
                &patch,
            )
            .await
        {
            Ok(_) => {
                *last = Some(status);
                return;
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return,
            Err(error) => {
                tracing::warn!(%error, attempt, pod = runtime.full_name(), "the pod's status was not published")
            }
        }
    }
}

/// The last word: the object may go.
async fn delete(runtime: &PodRuntime) {
    let api: Api<Pod> = Api::namespaced(runtime.shared.client.clone(), &runtime.namespace);
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: Some(runtime.uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    if let Err(error) = api.delete(&runtime.name, &parameters).await {
        tracing::debug!(%error, pod = runtime.full_name(), "the pod's object was not deleted");
    }
}
