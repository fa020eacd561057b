//! Graceful termination: `preStop`, SIGTERM, grace, SIGKILL.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::events::Kind;
use super::hooks;
use super::pod::{PodRuntime, Running};

/// A grace period never shrinks below this: a program must have the time to hear a signal.
const LEAST: Duration = Duration::from_millis(200);
/// What a container gets after its `preStop` hook, whatever is left of the grace period (kubelet's minimum).
const AFTER_HOOK: Duration = Duration::from_secs(2);

/// Ends every container of the pod: the main ones together, then the sidecars in reverse order.
pub(super) async fn stop_all(runtime: &Arc<PodRuntime>, grace: Duration) {
    let spec = runtime.spec();
    let find = |name: &str| all(&spec).find(|it| it.name == name).cloned();
    let (sidecars, main): (Vec<_>, Vec<_>) = runtime
        .all_running()
        .into_iter()
        .filter_map(|(name, running)| Some((find(&name)?, running)))
        .partition(|(container, _)| {
            spec.init_containers.iter().flatten().any(|it| it.name == container.name)
        });
    let began = Instant::now();
    join_all(main.iter().map(|(container, running)| stop(runtime, container, running, grace, Why::PodStops)))
        .await;
    for (container, running) in sidecars.iter().rev() {
        let left = grace.saturating_sub(began.elapsed());
        stop(runtime, container, running, left, Why::PodStops).await;
    }
}

fn all(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.containers.iter().chain(spec.init_containers.iter().flatten())
}

/// Why a container is stopped: the event that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    PodStops,
    /// The probe's name, such as `liveness`.
    ProbeFailed(&'static str),
}

/// Ends one container within `grace` (real time, shrunk here) and records how it ended.
pub(super) async fn stop(
    runtime: &Arc<PodRuntime>,
    container: &Container,
    running: &Running,
    grace: Duration,
    why: Why,
) {
    let name = container.name.as_str();
    let text = match why {
        Why::PodStops => format!("Stopping container {name}"),
        Why::ProbeFailed(probe) => format!("Container {name} failed {probe} probe, will be restarted"),
    };
    runtime.event(Some(name), Kind::Normal, "Killing", text);
    let pace = runtime.shared.settings.pace;
    let process = &running.process;
    if grace.is_zero() {
        process.signal(Signal::SIGKILL);
    } else {
        let limit = pace.wait(grace).max(LEAST);
        let began = Instant::now();
        if let Some(handler) = hooks::pre_stop(container) {
            let hook = tokio::time::timeout(limit, hooks::run(runtime, container, &handler)).await;
            if let Ok(Err(error)) = hook {
                runtime.event(
                    Some(name),
                    Kind::Warning,
                    "FailedPreStopHook",
                    format!("PreStopHook failed: {error}"),
                );
            }
        }
        let least = pace.wait(AFTER_HOOK).max(LEAST);
        let left = limit.saturating_sub(began.elapsed()).max(least.min(limit));
        process.signal(Signal::SIGTERM);
        if tokio::time::timeout(left, process.ended()).await.is_err() {
            process.signal(Signal::SIGKILL);
        }
    }
    let code = process.ended().await;
    // A loop that watches this container (a liveness restart) records the end itself; at the pod's end nobody else does.
    runtime.end_run(name, code);
}
