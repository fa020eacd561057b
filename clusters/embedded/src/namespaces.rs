//! The supervisor's namespaces: user, mount, pid, uts, ipc.
//!
//! Everything here runs in a process with a single thread, started for this purpose; that is what makes `fork`
//! safe. Network namespaces are not entered here: they belong to threads (see [`crate::border`]).

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid, sethostname};

/// Why the machine did not give us namespaces.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel or a security module refuses user namespaces.
    #[error(
        "this machine does not allow unprivileged user namespaces ({0}); as root: \
         `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000 \
         kernel.apparmor_restrict_unprivileged_userns=0` (those that exist), or run as root, \
         or in Docker with `--privileged`"
    )]
    UserNamespace(io::Error),
    /// Parts of `/proc` are covered, so the kernel lets no other be mounted: the way of containers.
    #[error(
        "the container we run in hides parts of /proc, and cannot be given a cluster ({0}); start it in Docker with \
         `--privileged` or `--security-opt systempaths=unconfined`"
    )]
    Proc(io::Error),
    /// A namespace other than the user namespace could not be made.
    #[error("cannot {what}: {source}")]
    Step {
        /// What was being done.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn step(what: &'static str) -> impl FnOnce(nix::Error) -> NamespaceError {
    move |errno| NamespaceError::Step { what, source: errno.into() }
}

/// By what right a supervisor makes its namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// Anybody's: in a user namespace of its own, mapped to root there.
    UserNamespace,
    /// Root's, and root it stays.
    Root,
}

/// Unshares user (unless `privilege` is root's), mount, uts, ipc and (for children) pid namespaces.
///
/// # Errors
/// [`NamespaceError::UserNamespace`] when the machine forbids it, with the remedy.
pub(crate) fn enter(privilege: Privilege) -> Result<(), NamespaceError> {
    match privilege {
        Privilege::UserNamespace => become_root()?,
        Privilege::Root => {}
    }
    let others = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    // AppArmor on Ubuntu 24.04 lets the user namespace through and takes its capabilities away: seen first here.
    unshare(others).map_err(|errno| NamespaceError::UserNamespace(errno.into()))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)
        .map_err(step("make mounts private"))?;
    sethostname("node-0").map_err(step("set the host name"))
}

/// Enters a user namespace in which the caller is root.
fn become_root() -> Result<(), NamespaceError> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| NamespaceError::UserNamespace(errno.into()))?;
    let write = |file: &str, text: String| fs::write(file, text).map_err(NamespaceError::UserNamespace);
    // The kernel wants setgroups denied before an unprivileged process may map its group.
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// Gives the caller mounts of its own, a copy of what is mounted now.
///
/// # Errors
/// The kernel's.
pub(crate) fn own_mounts() -> Result<(), NamespaceError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(step("make a mount namespace"))
}

/// Gives the calling thread a network namespace of its own, without interfaces that are up.
///
/// # Errors
/// [`NamespaceError::UserNamespace`] when the machine forbids it, with the remedy.
pub(crate) fn leave_network() -> Result<(), NamespaceError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::UserNamespace(errno.into()))
}

/// Which side of a fork returned.
pub(crate) enum Side {
    /// The caller, with the child's pid.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks this single-threaded process.
pub(crate) fn split() -> Result<Side, NamespaceError> {
    #[expect(unsafe_code, reason = "the process has one thread: it was started to do this")]
    let result = unsafe { fork() };
    match result.map_err(step("fork"))? {
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Waits until `child` ends and passes its exit code on.
pub(crate) fn wait_for(child: Pid) -> u8 {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return u8::try_from(code).unwrap_or(1),
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as u8,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return 1,
        }
    }
}

/// The life of pid 1: reaps every orphan, ends with the supervisor.
///
/// Being its own process, it cannot steal a child from the supervisor, whose runtime waits for its own children.
pub(crate) fn reap_until(supervisor: Pid) -> u8 {
    loop {
        match waitpid(Pid::from_raw(-1), None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == supervisor => return u8::try_from(code).unwrap_or(1),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == supervisor => return 128 + signal as u8,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return 1,
        }
    }
}

/// Asks the kernel to kill this process when its parent dies.
pub(crate) fn die_with_parent() -> Result<(), NamespaceError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(step("tie this process to its parent"))
}

/// Mounts this pid namespace's own `/proc`, so that `/proc/self` means us.
pub(crate) fn mount_proc() -> Result<(), NamespaceError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
        .map_err(|errno| NamespaceError::Proc(errno.into()))
}

/// Mounts an empty tmpfs over `directory`.
///
/// # Errors
/// The kernel's.
pub fn mount_state(directory: &std::path::Path) -> Result<(), NamespaceError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), directory, Some("tmpfs"), flags, Some("mode=755"))
        .map_err(step("mount the state directory"))
}

/// Closes a descriptor inherited across the fork.
pub(crate) fn close(descriptor: RawFd) {
    // Nothing to do about an error: the descriptor is gone either way.
    let _ = nix::unistd::close(descriptor);
}
