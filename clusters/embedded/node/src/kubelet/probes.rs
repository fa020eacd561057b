//! Startup, readiness and liveness probes.
//!
//! Delays and periods shrink by the pace; `timeoutSeconds` does not, because it races the network and the program. Nor
//! does a threshold count before the program has failed for a time that a busy real program may need
//! ([`pace::Pace::endurance`], [`pace::Pace::forbearance`]).

mod grpc;
mod http;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::task::JoinSet;

use super::commands::{CommandError, run_in_container};
use super::events::Kind;
use super::pod::PodRuntime;
use super::termination::{self, Why};
use crate::container::Process;

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Startup,
    Readiness,
    Liveness,
}

impl Which {
    fn title(self) -> &'static str {
        match self {
            Which::Startup => "Startup",
            Which::Readiness => "Readiness",
            Which::Liveness => "Liveness",
        }
    }

    fn lower(self) -> &'static str {
        match self {
            Which::Startup => "startup",
            Which::Readiness => "readiness",
            Which::Liveness => "liveness",
        }
    }
}

/// Starts the probes of one run. They end with it, when `tasks` is dropped.
pub(super) fn spawn_all(
    tasks: &mut JoinSet<()>,
    runtime: &Arc<PodRuntime>,
    container: &Container,
    process: &Process,
) {
    let probes = [
        (Which::Startup, &container.startup_probe),
        (Which::Readiness, &container.readiness_probe),
        (Which::Liveness, &container.liveness_probe),
    ];
    for (which, probe) in probes {
        if let Some(probe) = probe {
            let watched = Watched {
                runtime: runtime.clone(),
                container: container.clone(),
                which,
                probe: probe.clone(),
                process: process.clone(),
                began: tokio::time::Instant::now(),
            };
            tasks.spawn(watched.watch());
        }
    }
}

struct Watched {
    runtime: Arc<PodRuntime>,
    container: Container,
    which: Which,
    probe: Probe,
    process: Process,
    began: tokio::time::Instant,
}

fn whole(value: Option<i32>, default: u64) -> u64 {
    value.and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0).unwrap_or(default)
}

impl Watched {
    async fn watch(self) {
        let pace = self.runtime.shared.settings.pace;
        let delay = pace.wait(Duration::from_secs(whole(self.probe.initial_delay_seconds, 0)));
        let real = Duration::from_secs(whole(self.probe.period_seconds, 10));
        let (to_succeed, to_fail) =
            (whole(self.probe.success_threshold, 1), whole(self.probe.failure_threshold, 3));
        let (mut successes, mut failures) = (0, 0);
        let mut failing_since = None;
        tokio::time::sleep_until(self.began + delay).await;
        self.wait_started().await;
        loop {
            let last = tokio::time::Instant::now();
            match self.probe_once().await {
                Ok(()) => {
                    (successes, failures) = (successes + 1, 0);
                    failing_since = None;
                    if successes >= to_succeed && self.succeeded() == Next::Stop {
                        return;
                    }
                }
                Err(why) => {
                    (successes, failures) = (0, failures + 1);
                    let text = format!("{} probe failed: {why}", self.which.title());
                    self.runtime.event(Some(&self.container.name), Kind::Warning, "Unhealthy", text);
                    let since = *failing_since.get_or_insert_with(tokio::time::Instant::now);
                    let endured = since.elapsed() >= self.budget(to_fail);
                    if failures >= to_fail && endured && self.failed() == Next::Stop {
                        return;
                    }
                }
            }
            // What is known to be well is not asked at every step of a fast pace: three seconds of failures are needed
            // to change that.
            let period = if successes >= to_succeed { pace.network(real) } else { pace.wait(real) };
            tokio::time::sleep_until(last + period.max(Duration::from_millis(1))).await;
        }
    }

    /// How long the program must have failed before the threshold counts: the time between the first and the last of
    /// `to_fail` failures.
    fn budget(&self, to_fail: u64) -> Duration {
        let pace = self.runtime.shared.settings.pace;
        let real = Duration::from_secs(whole(self.probe.period_seconds, 10) * (to_fail - 1));
        match self.which {
            Which::Startup | Which::Liveness => pace.endurance(real),
            Which::Readiness => pace.forbearance(real),
        }
    }

    /// Readiness and liveness begin when the startup probe has succeeded.
    async fn wait_started(&self) {
        if self.which == Which::Startup || self.container.startup_probe.is_none() {
            return;
        }
        let period = whole(self.container.startup_probe.as_ref().and_then(|it| it.period_seconds), 10);
        let step = self.runtime.shared.settings.pace.wait(Duration::from_secs(period)) / 10;
        while !self.runtime.record(&self.container.name).is_some_and(|it| it.started) {
            tokio::time::sleep(step.max(Duration::from_millis(5))).await;
        }
    }

    fn succeeded(&self) -> Next {
        let name = &self.container.name;
        match self.which {
            Which::Startup => {
                self.runtime.change(name, |it| it.started = true);
                Next::Stop
            }
            Which::Readiness => {
                if self.runtime.record(name).is_some_and(|it| !it.ready) {
                    tracing::info!(container = name, pod = self.runtime.full_name(), "ready");
                    self.runtime.change(name, |it| it.ready = true);
                }
                Next::Continue
            }
            Which::Liveness => Next::Continue,
        }
    }

    fn failed(&self) -> Next {
        let name = &self.container.name;
        if self.which == Which::Readiness {
            if self.runtime.record(name).is_some_and(|it| it.ready) {
                tracing::info!(container = name, pod = self.runtime.full_name(), "no longer ready");
                self.runtime.change(name, |it| it.ready = false);
            }
            return Next::Continue;
        }
        let own = self.probe.termination_grace_period_seconds;
        let seconds = own.or(self.runtime.spec().termination_grace_period_seconds).unwrap_or(30);
        let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let (runtime, container, which) = (self.runtime.clone(), self.container.clone(), self.which);
        if let Some(running) = runtime.running(name).filter(|it| it.process.pid() == self.process.pid()) {
            // On its own: this task ends with the run that it is about to end.
            tokio::spawn(async move {
                termination::stop(&runtime, &container, &running, grace, Why::ProbeFailed(which.lower()))
                    .await;
            });
        }
        Next::Stop
    }

    async fn probe_once(&self) -> Result<(), String> {
        let limit = Duration::from_secs(whole(self.probe.timeout_seconds, 1));
        let (runtime, container) = (&self.runtime, &self.container);
        if let Some(exec) = &self.probe.exec {
            return self.exec(exec.command.clone().unwrap_or_default(), limit).await;
        }
        if let Some(get) = &self.probe.http_get {
            return http_get(runtime, container, get, limit).await;
        }
        if let Some(socket) = &self.probe.tcp_socket {
            return tcp(runtime, container, socket, limit).await;
        }
        if let Some(check) = &self.probe.grpc {
            let address = format!("{}:{}", pod_address(runtime), check.port);
            return grpc::check(&address, check.service.as_deref().unwrap_or_default(), limit).await;
        }
        Ok(())
    }

    async fn exec(&self, command: Vec<String>, limit: Duration) -> Result<(), String> {
        let running = self.runtime.running(&self.container.name).ok_or("the container does not run")?;
        let shown = command.join(" ");
        match tokio::time::timeout(limit, run_in_container(&running, command)).await {
            Err(_) => Err(format!("command timed out: \"{shown}\" timed out after {}s", limit.as_secs())),
            Ok(Ok(output)) if output.code == 0 => Ok(()),
            Ok(Ok(output)) => {
                Err(String::from_utf8_lossy(&output.text[..output.text.len().min(10_240)]).into_owned())
            }
            Ok(Err(error @ CommandError::Start(_) | error @ CommandError::System(_))) => {
                Err(error.to_string())
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Continue,
    Stop,
}

fn pod_address(runtime: &PodRuntime) -> String {
    runtime.address().map(|it| it.to_string()).unwrap_or_default()
}

/// The number of a port that may be given by name.
fn port_number(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => match name.parse() {
            Ok(number) => Some(number),
            Err(_) => container
                .ports
                .iter()
                .flatten()
                .find(|it| it.name.as_ref() == Some(name))
                .map(|it| it.container_port),
        },
    };
    let number = number.and_then(|it| u16::try_from(it).ok()).filter(|it| *it > 0);
    number.ok_or_else(|| match port {
        IntOrString::Int(number) => format!("invalid port number: {number}"),
        IntOrString::String(name) => format!("couldn't find port: {name:?}"),
    })
}

/// A GET as the kubelet does it, from the node's network.
pub(super) async fn http_get(
    runtime: &PodRuntime,
    container: &Container,
    get: &HTTPGetAction,
    limit: Duration,
) -> Result<(), String> {
    let port = port_number(container, &get.port)?;
    let host = get.host.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| pod_address(runtime));
    let path = get.path.clone().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let headers = get.http_headers.iter().flatten().map(|it| (it.name.clone(), it.value.clone())).collect();
    if get.scheme.as_deref() == Some("HTTPS") {
        return Err("HTTPS probes are not supported by this node: use HTTP, a TCP socket or exec".to_owned());
    }
    http::get(
        &http::Target { address: format!("{host}:{port}"), path: format!("{slash}{path}"), headers },
        limit,
    )
    .await
}

async fn tcp(
    runtime: &PodRuntime,
    container: &Container,
    socket: &TCPSocketAction,
    limit: Duration,
) -> Result<(), String> {
    let port = port_number(container, &socket.port)?;
    let host = socket.host.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| pod_address(runtime));
    http::dial(&format!("{host}:{port}"), limit).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::number(IntOrString::Int(80), Ok(80))]
    #[case::name(IntOrString::String("web".to_owned()), Ok(8080))]
    #[case::digits(IntOrString::String("81".to_owned()), Ok(81))]
    #[case::unknown(IntOrString::String("x".to_owned()), Err("couldn't find port: \"x\""))]
    #[case::zero(IntOrString::Int(0), Err("invalid port number: 0"))]
    fn ports(#[case] port: IntOrString, #[case] expected: Result<u16, &str>) {
        let container = json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]});
        let container = serde_json::from_value(container).unwrap();
        assert_eq!(port_number(&container, &port), expected.map_err(str::to_owned));
    }
}
