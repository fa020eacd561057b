//! `cluster hold`: the process behind a cluster that is up.

use std::fs::{self, File};
use std::io::{Write, stdout};

use harness::clusters::{Cache, HostPorts, kubeconfig, provision};
use harness::play::{Play, play};
use reports::ExitCode;

use crate::cluster_command::{Standing, home, state_file};
use crate::options::{Failure, UpOptions};
use crate::run_command::{patience, stop_on_interrupt};

/// Name of the Model that a played-with mesh serves.
const MODEL: &str = "iris";

/// Brings the cluster up, says so on standard output, and holds it until SIGTERM.
pub(crate) fn run(options: UpOptions) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let programs = provision(&cache, &|_| {}).map_err(Failure::machine)?;
    let home = home(&cache, &options.name);
    let state = File::create(state_file(&home)).map_err(Failure::machine)?;
    state.lock().map_err(Failure::machine)?;
    let stop = stop_on_interrupt()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    let wanted = Play {
        programs,
        profile: options.cni.into(),
        topology: options.mesh.topology(),
        pace: options.pace.into(),
        patience: patience()?,
        host_address: options.host_address,
        api_port: options.api_port,
        host_ports: HostPorts::NodePorts,
        directory: home.clone(),
        model: MODEL,
    };
    runtime.block_on(async {
        let up = tokio::select! {
            up = play(&wanted) => up.map_err(|error| Failure::machine(format!("{error:#}")))?,
            () = stop.cancelled() => return Err(Failure::machine("interrupted")),
        };
        let file = home.join("kubeconfig");
        fs::write(&file, kubeconfig(&options.name, up.cluster().access())).map_err(Failure::machine)?;
        let standing = Standing {
            name: options.name.clone(),
            pid: std::process::id(),
            cni: wanted.profile.to_string(),
            server: up.cluster().access().server.clone(),
            kubeconfig: file,
            mesh: up.request().map(str::to_owned),
        };
        announce(&state, &standing)?;
        stop.cancelled().await;
        up.end().await.map_err(|error| Failure::machine(format!("{error:#}")))?;
        Ok(ExitCode::AllPassed)
    })
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
