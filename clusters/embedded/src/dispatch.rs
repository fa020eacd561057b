//! Re-execution: how one executable is many programs.
//!
//! The supervisor, the container runtime's init and every built-in program image are this same executable, started
//! with two leading arguments: `builtin NAME`. A binary that wants to run embedded clusters calls [`intercept`] as
//! the first thing in its `main`, before it starts a thread.

use std::process::ExitCode;

use crate::namespaces::{self, NamespaceError, Privilege, Side};
use crate::supervisor;

/// First argument that marks a re-execution.
const MARK: &str = "builtin";

/// Name under which the supervisor is re-executed.
pub(crate) const SUPERVISOR: &str = "embedded-supervisor";

/// Name under which [`try_namespaces`] tries in a process of its own.
const CHECK: &str = "namespace-check";

/// A program that lives in this executable.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// Name used by program images ([`embedded_node::Program::Builtin`]).
    pub name: &'static str,
    /// Entry point; receives the program's arguments without its name.
    pub main: fn(Vec<String>) -> ExitCode,
}

/// Programs the embedded cluster itself needs.
const OWN: &[Builtin] = &[
    Builtin { name: SUPERVISOR, main: supervisor::main },
    Builtin { name: CHECK, main: check },
    Builtin { name: "container-init", main: embedded_node::container_init },
    Builtin { name: "coredns", main: embedded_dns::coredns },
];

/// Runs the built-in program this process was started as; `None` when it was started as itself.
///
/// Must be called before any thread exists: the supervisor and the container init unshare namespaces and fork.
pub fn intercept(programs: &[Builtin]) -> Option<ExitCode> {
    let mut arguments = std::env::args();
    let called = arguments.next().unwrap_or_default();
    let name = match program_of_image(&called) {
        Some(name) => name,
        None if arguments.next().as_deref() == Some(MARK) => arguments.next().unwrap_or_default(),
        None => return None,
    };
    let Some(program) = OWN.iter().chain(programs).find(|program| program.name == name) else {
        eprintln!("this executable has no built-in program named {name:?}");
        return Some(ExitCode::from(127));
    };
    Some((program.main)(arguments.collect()))
}

/// In an image that holds this executable: which built-in program it is by which path, a line each.
pub const IMAGE_PROGRAMS: &str = "/etc/conformance/programs";

/// The built-in program that this executable is in the image in which it runs, if it runs in one and is `called` so.
fn program_of_image(called: &str) -> Option<String> {
    let table = std::fs::read_to_string(IMAGE_PROGRAMS).ok()?;
    let of_path = |line: &str| {
        let (path, name) = line.rsplit_once(' ')?;
        (path == called).then(|| name.to_owned())
    };
    table.lines().find_map(of_path)
}

/// The command that re-executes this process as a built-in program: its name and its arguments.
pub fn command(program: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg(MARK).args(program);
    command
}

/// Whether this machine lets us make the supervisor's namespaces; tried in a process that ends afterwards.
///
/// # Errors
/// A sentence with the remedy.
pub fn try_namespaces() -> Result<(), String> {
    let output = command(&[CHECK]).output().map_err(|error| format!("cannot try: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn check(_arguments: Vec<String>) -> ExitCode {
    match all_namespaces() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Goes as deep as the supervisor does; what a child finds, its parent passes on.
fn all_namespaces() -> Result<u8, NamespaceError> {
    namespaces::enter(Privilege::UserNamespace)?;
    namespaces::leave_network()?;
    match namespaces::split()? {
        Side::Parent(child) => Ok(namespaces::wait_for(child)),
        Side::Child => namespaces::mount_proc().map(|()| 0),
    }
}
