//! `pause`: the process that holds a pod's namespaces, and does nothing until it is told to end.

use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Waits for SIGINT or SIGTERM; meanwhile it is the parent of orphans where the pod shares its process namespace.
pub(crate) fn main(_arguments: Vec<String>) -> ExitCode {
    let mut expected = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD] {
        expected.add(signal);
    }
    if expected.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        match expected.wait() {
            Ok(Signal::SIGCHLD) => {
                while waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG))
                    .is_ok_and(|status| status.pid().is_some())
                {}
            }
            Ok(_) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        }
    }
}
