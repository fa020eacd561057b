//! What the kubelet holds of one pod.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::{About, Kind};
use super::field_ref::Live;
use super::record::{Record, State, Termination};
use super::status::{Facts, Sandbox, Stage, derive};
use crate::container::{Command, Process};
use crate::links::{NODE_ADDRESS, PodLink};
use crate::logs::ContainerLogs;
use crate::shared::Shared;

/// A container's process, and what a command run beside it inherits.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) command: Command,
    pub(crate) started_at: Timestamp,
    pub(crate) container_id: String,
    pub(crate) message_file: PathBuf,
}

/// What changes while a pod runs.
#[derive(Debug)]
struct PodState {
    stage: Stage,
    init: Vec<Record>,
    main: Vec<Record>,
    running: HashMap<String, Running>,
    logs: HashMap<String, ContainerLogs>,
    address: Option<Ipv4Addr>,
    link: Option<Arc<PodLink>>,
    volumes: IndexMap<String, PathBuf>,
    start_time: Timestamp,
}

/// One pod of the node.
pub(crate) struct PodRuntime {
    pub(crate) shared: Arc<Shared>,
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    object: watch::Sender<Arc<Pod>>,
    state: Mutex<PodState>,
    /// Something changed that the status shows.
    pub(crate) changed: Notify,
    /// A ConfigMap or Secret behind a volume changed.
    pub(crate) stale: Notify,
    /// Starts of containers that are under way; they are never broken off.
    pub(crate) starts: TaskTracker,
    /// The object is gone from the API server: kill at once.
    pub(crate) gone: CancellationToken,
}

impl PodRuntime {
    pub(crate) fn new(shared: Arc<Shared>, pod: Arc<Pod>) -> PodRuntime {
        let spec = pod.spec.clone().unwrap_or_default();
        let records = |containers: &[Container]| -> Vec<Record> {
            containers
                .iter()
                .map(|it| Record::new(&it.name, it.image.as_deref().unwrap_or_default()))
                .collect()
        };
        let state = PodState {
            stage: Stage::Alive,
            init: records(spec.init_containers.as_deref().unwrap_or_default()),
            main: records(&spec.containers),
            running: HashMap::new(),
            logs: HashMap::new(),
            address: None,
            link: None,
            volumes: IndexMap::new(),
            start_time: Timestamp::now(),
        };
        PodRuntime {
            shared,
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            object: watch::Sender::new(pod),
            state: Mutex::new(state),
            changed: Notify::new(),
            stale: Notify::new(),
            starts: TaskTracker::new(),
            gone: CancellationToken::new(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, PodState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object as last seen.
    pub(crate) fn object(&self) -> Arc<Pod> {
        self.object.borrow().clone()
    }

    pub(crate) fn spec(&self) -> PodSpec {
        self.object().spec.clone().unwrap_or_default()
    }

    pub(crate) fn objects(&self) -> watch::Receiver<Arc<Pod>> {
        self.object.subscribe()
    }

    pub(crate) fn update(&self, pod: Arc<Pod>) {
        self.object.send_replace(pod);
        self.changed.notify_one();
    }

    /// `namespace_name(uid)`: how the kubelet names a pod in messages.
    pub(crate) fn full_name(&self) -> String {
        format!("{}_{}({})", self.name, self.namespace, self.uid)
    }

    pub(crate) fn event(
        &self,
        container: Option<&str>,
        kind: Kind,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let pod = self.object();
        let init = |name: &str| {
            pod.spec.iter().flat_map(|it| it.init_containers.iter().flatten()).any(|it| it.name == name)
        };
        let about = match container {
            None => About::Pod,
            Some(name) if init(name) => About::InitContainer(name),
            Some(name) => About::Container(name),
        };
        self.shared.events.emit(&pod, about, kind, reason, message);
    }

    pub(crate) fn live(&self) -> Live<'_> {
        Live {
            node_name: &self.shared.settings.name,
            node_address: NODE_ADDRESS,
            pod_address: self.address(),
        }
    }

    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.state().address
    }

    pub(crate) fn link(&self) -> Option<Arc<PodLink>> {
        self.state().link.clone()
    }

    pub(crate) fn set_network(&self, address: Ipv4Addr, link: Option<PodLink>) {
        let mut state = self.state();
        state.address = Some(address);
        state.link = link.map(Arc::new);
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the pod's link away; its namespace goes with the last process inside.
    pub(crate) fn take_link(&self) -> Option<Arc<PodLink>> {
        self.state().link.take()
    }

    pub(crate) fn set_volumes(&self, volumes: IndexMap<String, PathBuf>) {
        self.state().volumes = volumes;
    }

    pub(crate) fn volumes(&self) -> IndexMap<String, PathBuf> {
        self.state().volumes.clone()
    }

    pub(crate) fn set_over(&self) {
        self.state().stage = Stage::Over;
        self.changed.notify_one();
    }

    /// Changes a container's record and has the status published.
    pub(crate) fn change(&self, container: &str, change: impl FnOnce(&mut Record)) {
        let mut state = self.state();
        let PodState { init, main, .. } = &mut *state;
        if let Some(record) = init.iter_mut().chain(main).find(|it| it.name == container) {
            change(record);
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn record(&self, container: &str) -> Option<Record> {
        let state = self.state();
        state.init.iter().chain(&state.main).find(|it| it.name == container).cloned()
    }

    pub(crate) fn set_waiting(&self, container: &str, reason: &str, message: impl Into<String>) {
        let waiting = State::Waiting { reason: reason.to_owned(), message: Some(message.into()) };
        self.change(container, |it| {
            if let State::Terminated(ended) = &it.state {
                it.last = Some(ended.clone());
            }
            it.state = waiting;
        });
    }

    pub(crate) fn begin_run(&self, container: &str, running: Running, ready: bool, started: bool) {
        let state =
            State::Running { started_at: running.started_at, container_id: running.container_id.clone() };
        self.state().running.insert(container.to_owned(), running);
        tracing::info!(container, pod = self.full_name(), "started");
        self.change(container, |it| {
            if let State::Terminated(ended) = &it.state {
                it.last = Some(ended.clone());
            }
            it.state = state;
            it.ready = ready;
            it.started = started;
        });
    }

    /// The process has ended: the record says how, once.
    pub(crate) fn end_run(&self, container: &str, exit_code: i32) -> Option<Termination> {
        let running = self.state().running.remove(container)?;
        tracing::info!(container, exit_code, pod = self.full_name(), "ended");
        let message = self.termination_message(container, &running, exit_code);
        let it = Termination::of_run(exit_code, message, running.started_at, running.container_id);
        let ended = State::Terminated(it.clone());
        self.change(container, |record| {
            record.state = ended;
            record.ready = false;
            record.started = false;
        });
        Some(it)
    }

    fn termination_message(&self, container: &str, running: &Running, exit_code: i32) -> Option<String> {
        const LIMIT: usize = 4096;
        let text = std::fs::read(&running.message_file).ok().filter(|it| !it.is_empty());
        if let Some(text) = text {
            return Some(String::from_utf8_lossy(&text[..text.len().min(LIMIT)]).into_owned());
        }
        let spec = self.spec();
        let falls_back = spec.containers.iter().chain(spec.init_containers.iter().flatten()).any(|it| {
            it.name == container && it.termination_message_policy.as_deref() == Some("FallbackToLogsOnError")
        });
        (falls_back && exit_code != 0).then(|| self.logs(container)?.last_lines(80, 2048)).flatten()
    }

    pub(crate) fn running(&self, container: &str) -> Option<Running> {
        self.state().running.get(container).cloned()
    }

    pub(crate) fn all_running(&self) -> Vec<(String, Running)> {
        self.state().running.iter().map(|(name, it)| (name.clone(), it.clone())).collect()
    }

    pub(crate) fn logs(&self, container: &str) -> Option<ContainerLogs> {
        self.state().logs.get(container).cloned()
    }

    /// The logs of a container, made when they are not there.
    pub(crate) fn make_logs(&self, container: &str) -> ContainerLogs {
        let directory = self.shared.pod_directory(&self.object()).join("logs").join(container);
        self.state().logs.entry(container.to_owned()).or_insert_with(|| ContainerLogs::new(directory)).clone()
    }

    /// The status as it should be now.
    pub(crate) fn status(&self) -> serde_json::Value {
        let pod = self.object();
        let state = self.state();
        derive(&Facts {
            pod: &pod,
            init: &state.init,
            main: &state.main,
            stage: state.stage,
            node_address: NODE_ADDRESS,
            pod_address: state.address,
            sandbox: if state.address.is_some() && state.stage == Stage::Alive {
                Sandbox::Ready
            } else {
                Sandbox::Absent
            },
            start_time: state.start_time,
            now: Timestamp::now(),
        })
    }
}
