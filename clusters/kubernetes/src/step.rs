//! What is done to bring a cluster up, as data: printed by a dry run, and the very same list carried out by a real boot.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// Steps, first things first, and what their programs have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The environment of every program: no other variable reaches it.
    pub environment: Vec<(&'static str, String)>,
    /// Directory of the programs' logs, each in a file called like the program with `.log` at its end.
    pub logs: PathBuf,
    /// The kubeconfig with which the API is spoken to, if there is one.
    pub kubeconfig: Option<PathBuf>,
    /// How long all of it may take.
    pub limit: Duration,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is for, as the end of "cannot …".
    pub what: String,
    /// What is done.
    pub action: Action,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A file is written.
    Write {
        /// Where.
        file: PathBuf,
        /// What.
        text: String,
    },
    /// A file gets a second name.
    Link {
        /// The file.
        to: PathBuf,
        /// The name.
        name: PathBuf,
    },
    /// A program begins, and goes on until the cluster ends.
    Begin(&'static str, Program),
    /// A program runs to its end.
    Run(&'static str, Program),
    /// A program that has begun ends in order.
    End(&'static str),
    /// Objects are created through the API, in order.
    Create(Vec<Value>),
    /// The definitions in a directory's files, one in each, are created through the API.
    Define(PathBuf),
    /// A node gets labels through the API.
    Label {
        /// Its name.
        node: &'static str,
        /// Names and values.
        labels: &'static [(&'static str, &'static str)],
    },
    /// Nothing more is done until this is seen.
    Await(Sign),
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its path, or a name that is looked for where the node's programs are.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment beside what all programs have.
    pub environment: Vec<(&'static str, String)>,
}

/// Something to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The API server says on `/readyz` that it is.
    ApiReady,
    /// The program succeeds.
    Succeeds(Program),
    /// The kubelet has made this node's object.
    NodeRegistered(&'static str),
    /// The definitions in the files of a directory are served.
    DefinitionsServed(PathBuf),
    /// This address answers this path with 200.
    Answers {
        /// A port of the node's loopback.
        port: u16,
        /// The path.
        path: &'static str,
    },
    /// This node is Ready, and the cluster's DNS Service has an address that answers.
    NodeAndDnsReady(&'static str),
}

impl Program {
    /// A program without arguments.
    pub(crate) fn new(program: impl Into<PathBuf>) -> Program {
        Program { program: program.into(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Program {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an option and a path.
    #[must_use]
    pub(crate) fn path(self, option: &str, path: impl Into<PathBuf>) -> Program {
        let path: PathBuf = path.into();
        self.args([option.to_owned(), path.display().to_string()])
    }

    /// Adds variables to its environment.
    #[must_use]
    pub(crate) fn envs(mut self, variables: Vec<(&'static str, String)>) -> Program {
        self.environment.extend(variables);
        self
    }
}

impl Step {
    /// A step.
    pub(crate) fn new(what: impl Into<String>, action: Action) -> Step {
        Step { what: what.into(), action }
    }
}
