//! Lifecycle hooks.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use super::commands::run_in_container;
use super::pod::PodRuntime;
use super::probes;

/// The container's `postStart` handler.
pub(super) fn post_start(container: &Container) -> Option<LifecycleHandler> {
    container.lifecycle.as_ref().and_then(|it| it.post_start.clone())
}

/// The container's `preStop` handler.
pub(super) fn pre_stop(container: &Container) -> Option<LifecycleHandler> {
    container.lifecycle.as_ref().and_then(|it| it.pre_stop.clone())
}

/// Runs a handler to its end; the error is what the kubelet's event says.
pub(super) async fn run(
    runtime: &PodRuntime,
    container: &Container,
    handler: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        let command = exec.command.clone().unwrap_or_default();
        let running = runtime.running(&container.name).ok_or("the container does not run")?;
        let shown = command.join(" ");
        let output = run_in_container(&running, command).await.map_err(|error| error.to_string())?;
        return match output.code {
            0 => Ok(()),
            code => Err(format!(
                "command '{shown}' exited with {code}: {}",
                String::from_utf8_lossy(&output.text)
            )),
        };
    }
    if let Some(get) = &handler.http_get {
        // A hook's request has no limit of its own but the pod's grace period.
        return probes::http_get(runtime, container, get, Duration::from_secs(30)).await.map(drop);
    }
    if let Some(sleep) = &handler.sleep {
        let seconds = u64::try_from(sleep.seconds).unwrap_or(0);
        tokio::time::sleep(runtime.shared.settings.pace.wait(Duration::from_secs(seconds))).await;
    }
    Ok(())
}
