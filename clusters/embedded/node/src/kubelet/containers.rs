//! One container from its image to its last end: pull, start, probe, wait, back off, start again.

use std::sync::Arc;
use std::time::Duration;

use image::full_reference;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use super::backoff::{Backoff, go_duration};
use super::events::Kind;
use super::pod::PodRuntime;
use super::record::{State, Termination};
use super::sandbox::SandboxFiles;
use super::{hooks, probes, start};
use crate::ProgramImage;
use crate::container::{Process, StartError};

/// When an ended container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Restart {
    /// A pod's `restartPolicy`.
    pub(super) fn of_pod(policy: Option<&str>) -> Restart {
        match policy {
            Some("Never") => Restart::Never,
            Some("OnFailure") => Restart::OnFailure,
            _ => Restart::Always,
        }
    }

    /// The same for an init container, which always ends once it has succeeded.
    pub(super) fn of_init(self) -> Restart {
        if self == Restart::Never { Restart::Never } else { Restart::OnFailure }
    }

    fn wants(self, exit_code: i32) -> bool {
        match self {
            Restart::Always => true,
            Restart::OnFailure => exit_code != 0,
            Restart::Never => false,
        }
    }
}

/// Runs a container until it has ended for good; its last exit code.
pub(super) async fn run(
    runtime: Arc<PodRuntime>,
    container: Container,
    files: SandboxFiles,
    restart: Restart,
) -> i32 {
    let pace = runtime.shared.settings.pace;
    let mut backoff = Backoff::default();
    let mut number = 0;
    loop {
        let image = available(&runtime, &container).await;
        let began = tokio::time::Instant::now();
        let ended = one_run(&runtime, &container, &image, &files, number).await;
        if !restart.wants(ended.exit_code) {
            if ended.reason == "StartError" {
                runtime.change(&container.name, |it| it.state = State::Terminated(ended.clone()));
            }
            return ended.exit_code;
        }
        if let Some(wait) = backoff.after_run(began.elapsed(), pace) {
            back_off(&runtime, &container, wait, &ended).await;
        }
        number += 1;
        runtime.change(&container.name, |it| it.restart_count = number);
    }
}

/// One run, from the making of the container to its end.
async fn one_run(
    runtime: &Arc<PodRuntime>,
    container: &Container,
    image: &ProgramImage,
    files: &SandboxFiles,
    number: u32,
) -> Termination {
    let name = container.name.as_str();
    let prepared = loop {
        match start::prepare(runtime, container, image, files).await {
            Ok(prepared) => break prepared,
            Err(error) => {
                runtime.event(Some(name), Kind::Warning, "Failed", format!("Error: {error}"));
                runtime.set_waiting(name, "CreateContainerConfigError", error.to_string());
                // The kubelet looks again at its next sync.
                tokio::time::sleep(runtime.shared.settings.pace.wait(Duration::from_secs(10))).await;
            }
        }
    };
    runtime.event(Some(name), Kind::Normal, "Created", format!("Created container: {name}"));
    let process = match begin(runtime, container, prepared, number).await {
        Ok(process) => process,
        Err((error, id)) => return failed_start(runtime, name, &error, id),
    };
    let ready = container.readiness_probe.is_none();
    let hook = hooks::post_start(container);
    let mut around = tokio::task::JoinSet::new();
    if let Some(handler) = hook {
        if let Err(error) = hooks::run(runtime, container, &handler).await {
            runtime.event(
                Some(name),
                Kind::Warning,
                "FailedPostStartHook",
                format!("PostStartHook failed: {error}"),
            );
            runtime.event(Some(name), Kind::Normal, "Killing", "FailedPostStartHook");
            process.signal(nix::sys::signal::Signal::SIGKILL);
        } else {
            runtime.change(name, |it| it.ready = ready);
        }
    }
    probes::spawn_all(&mut around, runtime, container, &process);
    let code = process.ended().await;
    around.abort_all();
    let finished = runtime.end_run(name, code);
    finished.unwrap_or_else(|| Termination::of_run(code, None, Timestamp::now(), String::new()))
}

/// Starts the process and records that it runs. A start that has begun is finished even when the pod is deleted meanwhile,
/// so that its process is known and ends as every other.
async fn begin(
    runtime: &Arc<PodRuntime>,
    container: &Container,
    prepared: start::Prepared,
    number: u32,
) -> Result<Process, (StartError, String)> {
    let (owner, container) = (runtime.clone(), container.clone());
    let start = async move {
        let running = start::start(&owner, &container, prepared, number).await?;
        let process = running.process.clone();
        let name = container.name.as_str();
        let ready = container.readiness_probe.is_none() && hooks::post_start(&container).is_none();
        owner.event(Some(name), Kind::Normal, "Started", format!("Started container {name}"));
        owner.begin_run(name, running, ready, container.startup_probe.is_none());
        Ok(process)
    };
    let started = runtime.starts.spawn(start).await;
    started.unwrap_or_else(|error| Err((StartError::Runtime(error.to_string()), String::new())))
}

/// What the kubelet shows when the runtime could not start the program.
fn failed_start(runtime: &PodRuntime, name: &str, error: &StartError, id: String) -> Termination {
    let message = format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: error during container init: {error}"
    );
    runtime.event(Some(name), Kind::Warning, "Failed", format!("Error: {message}"));
    let ended = Termination::of_failed_start(message.clone(), id);
    runtime.change(name, |it| {
        it.last = Some(ended.clone());
        it.state = State::Waiting { reason: "RunContainerError".to_owned(), message: Some(message) };
    });
    ended
}

async fn back_off(runtime: &PodRuntime, container: &Container, wait: Duration, ended: &Termination) {
    let name = container.name.as_str();
    let pod = runtime.full_name();
    runtime.event(
        Some(name),
        Kind::Warning,
        "BackOff",
        format!("Back-off restarting failed container {name} in pod {pod}"),
    );
    runtime.change(name, |it| it.last = Some(ended.clone()));
    let message = format!("back-off {} restarting failed container={name} pod={pod}", go_duration(wait));
    runtime.set_waiting(name, "CrashLoopBackOff", message);
    tokio::time::sleep(runtime.shared.settings.pace.wait(wait)).await;
}

/// Waits until the container's image is on the node. The table does not change, so an image that is not there never comes;
/// the statuses and events are those of a registry that does not have it.
async fn available(runtime: &PodRuntime, container: &Container) -> ProgramImage {
    let name = container.name.as_str();
    let reference = container.image.as_deref().unwrap_or_default();
    let full = full_reference(reference);
    let policy = container.image_pull_policy.as_deref().unwrap_or(if full.ends_with(":latest") {
        "Always"
    } else {
        "IfNotPresent"
    });
    let mut backoff = Backoff::default();
    loop {
        match runtime.shared.images.find(reference) {
            Some(image) => {
                if policy == "Always" {
                    runtime.event(
                        Some(name),
                        Kind::Normal,
                        "Pulling",
                        format!("Pulling image \"{reference}\""),
                    );
                    let text = format!(
                        "Successfully pulled image \"{reference}\" in 1ms (1ms including waiting). Image size: 0 bytes."
                    );
                    runtime.event(Some(name), Kind::Normal, "Pulled", text);
                } else {
                    runtime.event(
                        Some(name),
                        Kind::Normal,
                        "Pulled",
                        format!("Container image \"{reference}\" already present on machine"),
                    );
                }
                return image.clone();
            }
            None if policy == "Never" => {
                let message =
                    format!("Container image \"{reference}\" is not present with pull policy of Never");
                runtime.event(Some(name), Kind::Warning, "ErrImageNeverPull", message.clone());
                runtime.event(Some(name), Kind::Warning, "Failed", "Error: ErrImageNeverPull");
                runtime.set_waiting(name, "ErrImageNeverPull", message);
                tokio::time::sleep(runtime.shared.settings.pace.wait(Duration::from_secs(10))).await;
            }
            None => pull_fails(runtime, name, reference, &full, &mut backoff).await,
        }
    }
}

async fn pull_fails(runtime: &PodRuntime, name: &str, reference: &str, full: &str, backoff: &mut Backoff) {
    let why = format!(
        "failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": pull access denied, repository does not \
         exist or may require authorization: server message: insufficient_scope: authorization failed"
    );
    runtime.event(Some(name), Kind::Normal, "Pulling", format!("Pulling image \"{reference}\""));
    let failed = format!("Failed to pull image \"{reference}\": {why}");
    runtime.event(Some(name), Kind::Warning, "Failed", failed);
    runtime.event(Some(name), Kind::Warning, "Failed", "Error: ErrImagePull");
    runtime.set_waiting(name, "ErrImagePull", why.clone());
    let pace = runtime.shared.settings.pace;
    // The kubelet's next look at the pod; until then the status says what failed.
    tokio::time::sleep(pace.wait(Duration::from_secs(2))).await;
    runtime.event(Some(name), Kind::Normal, "BackOff", format!("Back-off pulling image \"{reference}\""));
    runtime.event(Some(name), Kind::Warning, "Failed", "Error: ImagePullBackOff");
    runtime.set_waiting(
        name,
        "ImagePullBackOff",
        format!("Back-off pulling image \"{reference}\": ErrImagePull: {why}"),
    );
    tokio::time::sleep(pace.wait(backoff.after_pull())).await;
}
