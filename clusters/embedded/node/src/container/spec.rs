//! What the node tells `container-init`, and what it hears back.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// What runs when a container's command names a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Program {
    /// Our own executable, run as `<argv[0]> builtin <name> <arguments…>`.
    Builtin(String),
    /// A program of the host, at a path that containers see too.
    Host(PathBuf),
}

/// A request to `container-init`. Descriptors travel beside it: see [`super::process`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ToInit {
    /// Make a container.
    Start(ContainerSpec),
    /// Run a command in a container that runs.
    Join(ExecSpec),
}

/// Whether the pod has a network namespace of its own; its descriptor then comes with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PodNetwork {
    Own,
    Host,
}

/// A container to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContainerSpec {
    pub(crate) network: PodNetwork,
    pub(crate) hostname: String,
    /// An empty directory of the node, over which the root is built (in the container's own view only).
    pub(crate) staging: PathBuf,
    pub(crate) command: Command,
    /// Mounts in the order in which they are made: parents before children.
    pub(crate) mounts: Vec<MountSpec>,
    /// Files of the image: absolute path to text.
    pub(crate) files: IndexMap<String, String>,
    /// Host directories seen at their own path even below `/tmp`, `/run` or `/mnt`, which are otherwise the container's own.
    pub(crate) visible: Vec<PathBuf>,
}

/// A command for a container that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExecSpec {
    /// Process 1 of the container, as the node numbers it.
    pub(crate) pid: i32,
    pub(crate) command: Command,
    pub(crate) terminal: Terminal,
}

/// Whether the standard streams are a terminal, to be made the process's controlling one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Terminal {
    None,
    Controlling,
}

/// A command line and what it runs in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Command {
    /// Program and arguments; never empty.
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: IndexMap<String, String>,
    /// Made when it does not exist.
    pub(crate) working_dir: String,
    /// Programs of the image by the name that a command line gives them.
    pub(crate) programs: IndexMap<String, Program>,
}

/// A bind mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountSpec {
    /// On the node; a directory or a file.
    pub(crate) source: PathBuf,
    /// In the container; absolute.
    pub(crate) target: String,
    pub(crate) access: Access,
}

/// What a container may do with a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// What `container-init` tells the node, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FromInit {
    /// The program runs.
    Started {
        /// Its process id as the node numbers it.
        pid: i32,
    },
    /// It does not; `message` is what runc says in such a case.
    Failed {
        /// Why not.
        message: String,
    },
    /// It ended.
    Ended {
        /// Its exit code; 128 + signal when a signal ended it.
        code: i32,
    },
}
