//! What an embedded cluster re-executes its executable as: see [`builtin`].

use std::process::ExitCode;

use builtin::Builtin;

use crate::namespaces::{self, NamespaceError, Privilege, Side};
use crate::supervisor;

/// Name under which the supervisor is re-executed.
pub(crate) const SUPERVISOR: &str = "embedded-supervisor";

/// Name under which [`try_namespaces`] tries in a process of its own.
const CHECK: &str = "namespace-check";

/// Programs the embedded cluster itself needs.
const OWN: &[Builtin] = &[
    Builtin { name: SUPERVISOR, main: supervisor::main },
    Builtin { name: CHECK, main: check },
    Builtin { name: embedded_node::CONTAINER_INIT, main: embedded_node::container_init },
    Builtin { name: "coredns", main: embedded_dns::coredns },
];

/// Runs the built-in program this process was started as, of `programs` or of an embedded cluster's own; `None` when it was
/// started as itself.
///
/// Must be called before any thread exists: the supervisor and the container init unshare namespaces and fork.
pub fn intercept(programs: &[Builtin]) -> Option<ExitCode> {
    builtin::intercept(OWN.iter().chain(programs))
}

/// Whether this machine lets us make the supervisor's namespaces; tried in a process that ends afterwards.
///
/// # Errors
/// A sentence with the remedy.
pub fn try_namespaces() -> Result<(), String> {
    let output = builtin::command(&[CHECK]).output().map_err(|error| format!("cannot try: {error}"))?;
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
