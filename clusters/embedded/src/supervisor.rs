//! The supervisor process: from a plain re-execution to a running cluster.
//!
//! ```text
//! harness ── spawn ──► stage 1      user, mount, uts, ipc namespaces; waits; in the host's pid namespace
//!                       └─ pid 1     of the new pid namespace: reaps orphans, nothing else
//!                           └─ supervisor   border thread in the host's network, everything else in the node's
//! ```
//!
//! Whoever of them is killed, the rest goes too: the kernel kills a child whose parent dies (`PDEATHSIG`), the end of
//! pid 1 ends its namespace, and the end of the harness closes the control socket the supervisor listens on.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::Context;

use crate::border::Border;
use crate::namespaces::{self, Privilege, Side};
use crate::wire::{ClusterSpec, Reply};
use crate::{boot, serve, wire};

/// Entry point of the re-executed process; standard input is the control socket.
pub(crate) fn main(_arguments: Vec<String>) -> ExitCode {
    supervise(
        Privilege::UserNamespace,
        || {},
        |control, border| {
            serve::serve(control, async move |spec: &ClusterSpec| boot::boot(spec, border).await)
        },
    )
}

/// Becomes a cluster's supervisor in namespaces of its own, and runs `serve` there. `afterwards` runs on the host, in the
/// process that was started, when all processes of the cluster are gone.
///
/// Call it while the process has one thread; standard input must be the control socket.
pub fn supervise<F: Future<Output = anyhow::Result<()>>>(
    privilege: Privilege,
    afterwards: impl FnOnce(),
    serve: impl FnOnce(UnixStream, Border) -> F,
) -> ExitCode {
    match descend(privilege, afterwards, serve) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&Reply::Failed(format!("{error:#}")));
            ExitCode::from(3)
        }
    }
}

/// Becomes stage 1, then pid 1, then the supervisor; returns the exit code of whichever this process is.
fn descend<F: Future<Output = anyhow::Result<()>>>(
    privilege: Privilege,
    afterwards: impl FnOnce(),
    serve: impl FnOnce(UnixStream, Border) -> F,
) -> anyhow::Result<u8> {
    namespaces::enter(privilege)?;
    if let Side::Parent(init) = namespaces::split()? {
        namespaces::close(0);
        let code = namespaces::wait_for(init);
        afterwards();
        return Ok(code);
    }
    namespaces::die_with_parent()?;
    namespaces::mount_proc()?;
    if let Side::Parent(supervisor) = namespaces::split()? {
        namespaces::close(0);
        return Ok(namespaces::reap_until(supervisor));
    }
    namespaces::die_with_parent()?;
    // What is mounted from here on goes with the cluster's last process, and is in nobody's way afterwards.
    namespaces::own_mounts()?;
    run(serve)?;
    Ok(0)
}

fn run<F: Future<Output = anyhow::Result<()>>>(
    serve: impl FnOnce(UnixStream, Border) -> F,
) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CONFORMANCE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube_client::client::builder=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let control = control_socket()?;
    let border = Border::start().context("cannot start the border thread")?;
    namespaces::leave_network().context("cannot make the node's network namespace")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(control, border));
    // Pods and their init processes die with pid 1; waiting for blocking tasks would only delay that.
    runtime.shutdown_background();
    result
}

fn control_socket() -> anyhow::Result<UnixStream> {
    let descriptor = std::io::stdin().as_fd().try_clone_to_owned().context("no control socket")?;
    let control = UnixStream::from(descriptor);
    control.set_nonblocking(true).context("the control socket cannot be made non-blocking")?;
    Ok(control)
}

/// Tells the harness why there will be no cluster, before any runtime exists.
fn report(reply: &Reply) {
    let Ok(descriptor) = std::io::stdin().as_fd().try_clone_to_owned() else { return };
    // The harness may be gone; then nobody needs the reason.
    let _ = UnixStream::from(descriptor).write_all(wire::line(reply).as_bytes());
}
