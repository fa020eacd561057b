//! The program `container-init`: makes or joins a container, then keeps beside its process.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::spec::{ContainerSpec, FromInit, PodNetwork, ToInit};
use super::{channel, join, launch, root};

/// The program `container-init`, to be run by the dispatcher of `builtin <name>`. It takes no arguments: its standard input
/// is the node's control socket.
pub fn container_init(_arguments: Vec<String>) -> ExitCode {
    let control = io::stdin();
    let control = control.as_fd();
    match begin(control) {
        Ok(keeper) => keeper.keep(control),
        Err(error) => {
            report(control, &FromInit::Failed { message: format!("{error:#}") });
            ExitCode::from(125)
        }
    }
}

/// The process beside a container's (or a command's) process.
struct Keeper {
    child: Pid,
    changes: SignalFd,
    /// Carries the words of a failure before the program runs; closed by the `exec` that succeeds.
    failure: OwnedFd,
}

fn begin(control: impl AsFd) -> anyhow::Result<Keeper> {
    hide_inherited_descriptors().context("close_range")?;
    let (request, mut descriptors) =
        channel::receive(control.as_fd()).context("receive the container's specification")?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?;
    let changes = SignalFd::with_flags(&mask, nix::sys::signalfd::SfdFlags::SFD_CLOEXEC)?;
    let (failure, failure_end) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let ourselves = launch::OwnExecutable::open()?;
    let joined = match &request {
        ToInit::Start(spec) => {
            enter_new_namespaces(spec, &mut descriptors)?;
            None
        }
        ToInit::Join(spec) => Some(join::Namespaces::of(spec.pid)?),
    };
    let streams = descriptors.pop();
    #[expect(
        unsafe_code,
        reason = "a single-threaded program forks; std offers no fork into a new PID namespace"
    )]
    // SAFETY: this process has one thread, so the child may do whatever the parent could.
    let forked = unsafe { fork() }.context("fork")?;
    match forked {
        ForkResult::Parent { child } => Ok(Keeper { child, changes, failure }),
        ForkResult::Child => {
            let error = match become_container(&request, joined, streams, &ourselves) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            let _ = std::fs::File::from(failure_end).write_all(format!("{error:#}").as_bytes());
            std::process::exit(127)
        }
    }
}

/// Whatever the node's own parents left open must not reach the container's program.
#[expect(unsafe_code, reason = "nix has no wrapper for close_range")]
fn hide_inherited_descriptors() -> nix::Result<()> {
    // SAFETY: the flag only marks descriptors to be closed by `exec`; no value of ours changes its meaning.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    nix::errno::Errno::result(result).map(drop)
}

fn enter_new_namespaces(spec: &ContainerSpec, descriptors: &mut Vec<OwnedFd>) -> anyhow::Result<()> {
    if spec.network == PodNetwork::Own {
        anyhow::ensure!(!descriptors.is_empty(), "the pod's network namespace did not come with the request");
        setns(descriptors.remove(0), CloneFlags::CLONE_NEWNET)
            .context("enter the pod's network namespace")?;
    }
    let mut flags = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    if spec.network == PodNetwork::Own {
        flags |= CloneFlags::CLONE_NEWUTS;
    }
    unshare(flags).context("make the container's namespaces")
}

fn become_container(
    request: &ToInit,
    joined: Option<join::Namespaces>,
    streams: Option<OwnedFd>,
    ourselves: &launch::OwnExecutable,
) -> anyhow::Result<std::convert::Infallible> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    nix::unistd::setsid()?;
    let command = match request {
        ToInit::Start(spec) => {
            root::build(spec).context("error mounting the container's root")?;
            if spec.network == PodNetwork::Own {
                nix::unistd::sethostname(&spec.hostname).context("set the host name")?;
            }
            launch::take_streams(streams, super::spec::Terminal::None)?;
            &spec.command
        }
        ToInit::Join(spec) => {
            joined.context("the container's namespaces were not opened")?.enter()?;
            launch::take_streams(streams, spec.terminal)?;
            &spec.command
        }
    };
    launch::run(command, ourselves)
}

impl Keeper {
    /// Waits for the process or for the node's end, whichever comes first.
    fn keep(self, control: impl AsFd) -> ExitCode {
        let mut failure = String::new();
        // Ends when the program runs (the pipe closes on exec) or when the child has written why it does not.
        let _ = std::fs::File::from(self.failure).read_to_string(&mut failure);
        if failure.is_empty() {
            report(control.as_fd(), &FromInit::Started { pid: self.child.as_raw() });
        } else {
            let _ = waitpid(self.child, None);
            report(control.as_fd(), &FromInit::Failed { message: failure });
            return ExitCode::from(127);
        }
        loop {
            let mut watched = [
                PollFd::new(control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.changes.as_fd(), PollFlags::POLLIN),
            ];
            if poll(&mut watched, PollTimeout::NONE).is_err() {
                continue;
            }
            if watched[1].any().unwrap_or(false) {
                let _ = self.changes.read_signal();
                if let Some(code) = ended(self.child) {
                    report(control.as_fd(), &FromInit::Ended { code });
                    return ExitCode::SUCCESS;
                }
            }
            if watched[0].any().unwrap_or(false) {
                // The node never writes again: readable means closed.
                let _ = kill(self.child, Signal::SIGKILL);
                let _ = waitpid(self.child, None);
                return ExitCode::FAILURE;
            }
        }
    }
}

fn ended(child: Pid) -> Option<i32> {
    match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
        _ => None,
    }
}

fn report(control: impl AsFd, event: &FromInit) {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    // A node that is gone hears nothing; the keeper then sees the closed socket.
    let _ =
        nix::sys::socket::send(control.as_fd().as_raw_fd(), &line, nix::sys::socket::MsgFlags::MSG_NOSIGNAL);
}
