//! What the kubelet knows of each container of a pod.

use jiff::Timestamp;

/// How a container's run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Termination {
    pub(crate) exit_code: i32,
    /// `Completed`, `Error` or `StartError`.
    pub(crate) reason: &'static str,
    pub(crate) message: Option<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
    pub(crate) container_id: String,
}

impl Termination {
    /// The end of a run, with the reason that follows from its exit code.
    pub(crate) fn of_run(
        exit_code: i32,
        message: Option<String>,
        started_at: Timestamp,
        container_id: String,
    ) -> Termination {
        let reason = if exit_code == 0 { "Completed" } else { "Error" };
        Termination { exit_code, reason, message, started_at, finished_at: Timestamp::now(), container_id }
    }

    /// A start that failed, as containerd reports it: exit code 128, started at the epoch.
    pub(crate) fn of_failed_start(message: String, container_id: String) -> Termination {
        Termination {
            exit_code: 128,
            reason: "StartError",
            message: Some(message),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::now(),
            container_id,
        }
    }
}

/// What a container does at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not started yet: `ContainerCreating`, or `PodInitializing` behind init containers.
    New,
    /// Waiting for a reason of its own, such as `ImagePullBackOff`.
    Waiting { reason: String, message: Option<String> },
    /// Running.
    Running { started_at: Timestamp, container_id: String },
    /// Ended.
    Terminated(Termination),
}

/// Everything about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) state: State,
    /// The run before the present state, when there was one.
    pub(crate) last: Option<Termination>,
    pub(crate) restart_count: u32,
    /// What the readiness probe says; true without one.
    pub(crate) ready: bool,
    /// What the startup probe says; true without one.
    pub(crate) started: bool,
}

impl Record {
    pub(crate) fn new(name: &str, image: &str) -> Record {
        Record {
            name: name.to_owned(),
            image: image.to_owned(),
            state: State::New,
            last: None,
            restart_count: 0,
            ready: false,
            started: false,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_running() && self.ready && self.started
    }

    /// The present state's termination, or the one behind a back-off.
    pub(crate) fn ended(&self) -> Option<&Termination> {
        match &self.state {
            State::Terminated(it) => Some(it),
            State::Waiting { .. } | State::New => self.last.as_ref(),
            State::Running { .. } => None,
        }
    }
}
