//! `cluster hold`: the process behind a cluster that is up.
//!
//! Standard input is the cluster's locked state file, standard output a pipe to the `cluster up` that waits. Until
//! the cluster is up it belongs to that `up`: when nobody reads the pipe any more, it ends.

use std::fs::File;
use std::io::{Write, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use harness::clusters::{
    Cache, HostPorts, Onlooker, Programs, kubeconfig, provision, unprovisioned, unprovisioned_kubernetes,
    wait_until_unread,
};
use harness::patience::Patience;
use harness::play::{Play, PlayKind, Playground, play};
use harness::seldon::Seldon;
use reports::ExitCode;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cluster_command::{kind, unheld};
use crate::kubernetes_command::with_calico;
use crate::options::{ClusterOption, Failure, UpOptions};
use crate::run_command::stop_on_interrupt;
use crate::seldon_command;
use crate::standing::{Register, Standing};

/// Name of the Model that a played-with mesh serves.
const MODEL: &str = "iris";

/// Brings the cluster up, says so on standard output, and holds it until SIGTERM.
pub(crate) fn run(options: UpOptions) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let register = Register::of(&cache);
    let state = File::from(stdin().as_fd().try_clone_to_owned().map_err(Failure::machine)?);
    let stop = stop_on_interrupt()?;
    let wish = || stop.is_cancelled();
    let onlooker = Onlooker::new(&|_| {}, &wish);
    let wanted = wanted(
        &options,
        provision(&cache, &onlooker).map_err(Failure::machine)?,
        kind(&options, &cache, &onlooker)?,
        seldon_command::provide(&options.seldon, None, &cache, &onlooker)?,
        &register,
    )?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    runtime.block_on(async {
        let up = tokio::select! {
            up = play(&wanted) => up.map_err(|error| Failure::machine(format!("{error:#}")))?,
            () = stop.cancelled() => return Err(Failure::machine("interrupted")),
            () = abandoned() => {
                register.forget(&options.name)?;
                return Err(Failure::machine("whoever asked for the cluster is gone"));
            }
        };
        let held = hold(up, &options, &wanted, state, &stop).await;
        register.forget(&options.name)?;
        held
    })
}

/// What [`run`] would bring up, of programs that need not be there.
pub(crate) fn rehearsed(options: &UpOptions, seldon: Seldon, cache: &Cache) -> Result<Play, Failure> {
    let kind = match options.cluster {
        ClusterOption::Embedded => PlayKind::Embedded,
        ClusterOption::Kubernetes => {
            let programs = unprovisioned_kubernetes(cache, with_calico(options.cni.into()));
            let programs = Box::new(programs.map_err(Failure::machine)?);
            PlayKind::Kubernetes { programs, cache: cache.clone(), own: None }
        }
        ClusterOption::Given | ClusterOption::K3d | ClusterOption::K3s => {
            return Err(unheld(options.cluster));
        }
    };
    let programs = unprovisioned(cache).map_err(Failure::machine)?;
    wanted(options, programs, kind, seldon, &Register::of(cache))
}

fn wanted(
    options: &UpOptions,
    programs: Programs,
    kind: PlayKind,
    seldon: Seldon,
    register: &Register,
) -> Result<Play, Failure> {
    Ok(Play {
        programs,
        kind,
        seldon,
        profile: options.cni.into(),
        topology: options.mesh.topology(),
        pace: options.pace.into(),
        patience: Patience::from_environment(options.pace.into()).map_err(Failure::usage)?,
        host_address: options.address(),
        api_port: options.api_port,
        host_ports: HostPorts::NodePorts,
        directory: register.home(&options.name),
        model: MODEL,
    })
}

/// Says how to reach the cluster and ends it when asked to.
async fn hold(
    up: Playground,
    options: &UpOptions,
    wanted: &Play,
    state: File,
    stop: &CancellationToken,
) -> Result<ExitCode, Failure> {
    let file = wanted.directory.join("kubeconfig");
    let access =
        up.cluster().access().ok_or_else(|| Failure::machine("the cluster is not this program's"))?;
    write_secret(&file, &kubeconfig(&options.name, access)).map_err(Failure::machine)?;
    let standing = Standing {
        name: options.name.clone(),
        pid: std::process::id(),
        kind: options.cluster.word().to_owned(),
        cni: wanted.profile.to_string(),
        server: access.server.clone(),
        kubeconfig: file,
        mesh: up.request().map(str::to_owned),
    };
    announce(&state, &standing)?;
    tokio::select! {
        () = stop.cancelled() => {}
        () = up.cluster().ended() => return Err(Failure::machine("the cluster ended by itself")),
    }
    up.end().await.map_err(|error| Failure::machine(format!("{error:#}")))?;
    Ok(ExitCode::AllPassed)
}

/// A kubeconfig holds the administrator's token.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// Returns when nobody reads standard output any more.
async fn abandoned() {
    let (tell, told) = oneshot::channel();
    // Blocks until then, or until this process ends.
    std::thread::spawn(move || {
        if wait_until_unread(stdout()).is_ok() {
            let _ = tell.send(());
        }
    });
    if told.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Writes the state file, and the same line to whoever waits for it.
fn announce(mut state: &File, standing: &Standing) -> Result<(), Failure> {
    let line = serde_json::to_string(standing).map_err(Failure::machine)?;
    state.write_all(line.as_bytes()).map_err(Failure::machine)?;
    let mut output = stdout();
    // Whoever started this may have gone; the cluster stays all the same.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    Ok(())
}
