//! What a provider does, as a list of steps: printed by a dry run, and the very same list carried out by a real one.

mod carry_out;
mod expectation;
mod text;
mod until;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use containers::Container;
use serde_json::Value;

use crate::command::Command;

pub use carry_out::{PlanError, Site};
pub use expectation::Expectation;
pub(crate) use expectation::OWNER_LABEL;
pub use text::transcript;
pub(crate) use text::{feed, write_file};
pub use until::Until;
pub use wait::Condition;

/// Steps, first things first.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    steps: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it is for, as the end of "cannot …".
    pub what: String,
    /// What is done.
    pub action: Action,
}

/// What is done.
#[derive(Debug, Clone)]
pub enum Action {
    /// A program runs to its end.
    Run(Task),
    /// Programs run side by side, each to its end.
    Together(Vec<Task>),
    /// A program begins and goes on after the plan.
    Begin(Background),
    /// A container begins, through the Docker API.
    Container(Box<ContainerStep>),
    /// A file is written.
    Write(Document),
    /// Manifests are applied through the API, in order.
    Apply(Vec<Value>),
    /// The manifests of a YAML file are applied through the API, in order.
    ApplyFile(PathBuf),
    /// Something of the API is deleted; that it is gone already is fine.
    Delete(Value),
    /// Nothing more is done until this is seen.
    Wait(Wait),
    /// Nothing more is done until programs say this.
    Until(Until),
}

/// A program that runs to its end.
#[derive(Debug, Clone)]
pub struct Task {
    /// The program.
    pub command: Command,
    /// What its output must say.
    pub expectation: Expectation,
    /// Where its standard output goes, if anywhere: a file for its owner alone.
    pub into: Option<PathBuf>,
    /// What shows that it did what it says it did.
    pub proof: Option<Proof>,
    /// Whether it changes nothing.
    pub looks: bool,
}

/// Looks that show whether a program did what it says it did: some say so when they did not.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Each must come out as expected.
    pub looks: Vec<(Command, Expectation)>,
    /// How often the program is run before it is given up.
    pub attempts: u8,
}

/// A program that goes on.
#[derive(Debug, Clone)]
pub struct Background {
    /// The program. It is ended by its process group.
    pub command: Command,
    /// Where its outputs go.
    pub log: PathBuf,
    /// Where the number of its process is written.
    pub pid_file: PathBuf,
}

/// A container, and where its kubeconfig is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerStep {
    /// The container.
    pub container: Container,
    /// A file for its owner alone.
    pub kubeconfig: PathBuf,
}

/// A file and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub text: String,
}

/// A condition and how long it may take.
#[derive(Debug, Clone)]
pub struct Wait {
    /// What must be seen.
    pub condition: Condition,
    /// How long that may take.
    pub limit: Duration,
}

impl Task {
    /// A program that must succeed.
    pub fn new(command: Command) -> Task {
        Task { command, expectation: Expectation::Success, into: None, proof: None, looks: false }
    }

    /// A program that changes nothing, and must succeed.
    pub fn look(command: Command) -> Task {
        Task { looks: true, ..Task::new(command) }
    }

    /// Its output must say this.
    #[must_use]
    pub fn expecting(mut self, expectation: Expectation) -> Task {
        self.expectation = expectation;
        self
    }

    /// Its standard output goes into `file`.
    #[must_use]
    pub fn into_file(mut self, file: impl Into<PathBuf>) -> Task {
        self.into = Some(file.into());
        self
    }

    /// It is run again, up to `attempts` times in all, until `looks` come out as expected.
    #[must_use]
    pub fn proved_by(mut self, looks: Vec<(Command, Expectation)>, attempts: u8) -> Task {
        self.proof = Some(Proof { looks, attempts });
        self
    }
}

impl From<&[Step]> for Plan {
    fn from(steps: &[Step]) -> Plan {
        Plan { steps: steps.to_vec() }
    }
}

impl Plan {
    /// Nothing to do.
    pub fn new() -> Plan {
        Plan::default()
    }

    /// Its steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Adds a step.
    pub fn push(&mut self, what: impl Into<String>, action: Action) {
        self.steps.push(Step { what: what.into(), action });
    }

    /// Adds a program that must succeed.
    pub fn run(&mut self, what: impl Into<String>, task: Task) {
        self.push(what, Action::Run(task));
    }

    /// Adds a file.
    pub fn write(&mut self, what: impl Into<String>, path: impl Into<PathBuf>, text: impl Into<String>) {
        self.push(what, Action::Write(Document { path: path.into(), text: text.into() }));
    }

    /// Adds manifests.
    pub fn apply(&mut self, what: impl Into<String>, manifests: Vec<Value>) {
        self.push(what, Action::Apply(manifests));
    }

    /// Adds a wait.
    pub fn wait(&mut self, what: impl Into<String>, condition: Condition, limit: Duration) {
        self.push(what, Action::Wait(Wait { condition, limit }));
    }

    /// Adds another plan's steps.
    pub fn extend(&mut self, other: Plan) {
        self.steps.extend(other.steps);
    }
}
