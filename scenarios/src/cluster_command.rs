//! `cluster up`, `cluster list`, `cluster down`.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use harness::clusters::{
    Cache, Interrupted, Onlooker, can_run_kubernetes, provision, provision_kubernetes, try_namespaces,
};
use harness::patience::Patience;
use harness::play::{MESH_PORT, PlayKind};
use reports::ExitCode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::given_command::runtime;
use crate::kubernetes_command::{own_executable, with_calico};
use crate::options::{ClusterOption, Failure, UpOptions};
use crate::run_command::stop_on_interrupt;
use crate::screen::{remark, say};
use crate::seldon_command;
use crate::standing::{Presence, Register, Standing, state_file};
use crate::{real_command, rehearsal_command};

/// Where the holding process writes, below the cluster's home.
const LOG: &str = "hold.log";

/// Starts the holding process and prints how to reach the cluster once it is up.
pub(crate) fn up(options: UpOptions) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    check_name(&options.name)?;
    if options.real.dry_run {
        return rehearse(&options, &cache);
    }
    if let Some(request) = options.request(&cache)? {
        return real_command::up(&options, &request, &cache);
    }
    options.real.refuse_for(options.cluster)?;
    Patience::from_environment(options.pace.into()).map_err(Failure::usage)?;
    seldon_command::check(&options.seldon, &[options.cluster])?;
    let stop = stop_on_interrupt()?;
    let wish = || stop.is_cancelled();
    let onlooker = Onlooker::new(&|line| remark(line), &wish);
    seldon_command::provide(&options.seldon, None, &cache, &onlooker)?;
    // Provisioning speaks to the person; the holding process then finds everything there.
    kind(&options, &cache, &onlooker)?;
    provision(&cache, &onlooker).map_err(Failure::machine)?;
    let register = Register::of(&cache);
    let state = register.claim(&options.name)?;
    let outcome = check_ports(&options).and_then(|()| hold(&register, &options, state, &stop));
    match outcome {
        Ok(standing) => {
            describe(&standing);
            Ok(ExitCode::AllPassed)
        }
        Err(failure) => {
            register.forget(&options.name)?;
            Err(failure)
        }
    }
}

/// `up --dry-run`.
fn rehearse(options: &UpOptions, cache: &Cache) -> Result<ExitCode, Failure> {
    if !options.cluster.is_real() {
        options.real.refuse_for(options.cluster)?;
        seldon_command::check(&options.seldon, &[options.cluster])?;
    }
    rehearsal_command::up(options, cache)
}

/// The command that holds the cluster.
pub(crate) fn holder(options: &UpOptions) -> harness::clusters::Command {
    harness::clusters::Command::new("seldon-conformance")
        .args(["cluster", "hold"])
        .args(hold_arguments(options))
}

/// Starts the process that holds the cluster, and waits until it is up or will never be. Who waits no longer has it end.
fn hold(
    register: &Register,
    options: &UpOptions,
    state: File,
    stop: &CancellationToken,
) -> Result<Standing, Failure> {
    let home = register.home(&options.name);
    let log = File::create(home.join(LOG)).map_err(Failure::machine)?;
    remark(format!("starting cluster {}", options.name));
    let mut holder = Command::new("/proc/self/exe");
    holder.args(["cluster", "hold"]).args(hold_arguments(options));
    holder.stdin(Stdio::from(state)).stdout(Stdio::piped()).stderr(Stdio::from(log)).process_group(0);
    runtime()?.block_on(async {
        let mut holder = holder.spawn().map_err(Failure::machine)?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            // The holder says one line when it is up; its output ends without one when it failed.
            let mut output = BufReader::new(output);
            tokio::select! {
                read = output.read_line(&mut line) => drop(read.map_err(Failure::machine)?),
                () = stop.cancelled() => {
                    // It ends when nobody reads what it says.
                    drop(output);
                    holder.wait().await.map_err(Failure::machine)?;
                    return Err(Failure::machine(Interrupted));
                }
            }
        }
        match serde_json::from_str(&line) {
            Ok(standing) => Ok(standing),
            Err(_) => {
                // It has closed its output, so it is ending.
                let _ = holder.wait().await;
                Err(Failure::machine(format!("the cluster did not come up: {}", last_words(&home.join(LOG)))))
            }
        }
    })
}

/// What is asked for, its programs provisioned.
pub(crate) fn kind(options: &UpOptions, cache: &Cache, onlooker: &Onlooker<'_>) -> Result<PlayKind, Failure> {
    match options.cluster {
        ClusterOption::Embedded => {
            try_namespaces().map_err(Failure::machine)?;
            Ok(PlayKind::Embedded)
        }
        ClusterOption::Kubernetes => {
            can_run_kubernetes().map_err(Failure::machine)?;
            let calico = with_calico(options.cni.into());
            let programs = provision_kubernetes(cache, calico, onlooker).map_err(Failure::machine)?;
            Ok(PlayKind::Kubernetes {
                programs: Box::new(programs),
                cache: cache.clone(),
                own: own_executable(onlooker)?,
            })
        }
        ClusterOption::Given | ClusterOption::K3d | ClusterOption::K3s => Err(unheld(options.cluster)),
    }
}

/// Why no process of ours holds such a cluster.
pub(crate) fn unheld(cluster: ClusterOption) -> Failure {
    Failure::usage(match cluster {
        ClusterOption::Given => "a given cluster is up already; leave out --cluster".to_owned(),
        _ => format!("a {} cluster is held by its own program", cluster.word()),
    })
}

/// The error a process reported last, which may have several lines, else its last line.
fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let said = match text.rsplit_once("error: ") {
        Some((_, error)) => error,
        None => text.trim_end().lines().last().unwrap_or("it ended without a word"),
    };
    said.trim_end().to_owned()
}

/// The mesh's port and a chosen API port must be free: a cluster that comes up is one that is reached.
fn check_ports(options: &UpOptions) -> Result<(), Failure> {
    let mesh = options.mesh.topology().map(|_| MESH_PORT);
    for port in mesh.into_iter().chain(Some(options.api_port)) {
        TcpListener::bind((options.address(), port)).map_err(|error| {
            Failure::machine(format!(
                "cannot listen on {}:{port}: {error}; end what listens there or name another --host-address, such \
                 as 127.0.0.2",
                options.address()
            ))
        })?;
    }
    Ok(())
}

fn hold_arguments(options: &UpOptions) -> Vec<String> {
    use clap::ValueEnum;
    let word = |value: Option<clap::builder::PossibleValue>| {
        value.map(|v| v.get_name().to_owned()).unwrap_or_default()
    };
    let mut arguments = [
        options.name.clone(),
        "--cluster".into(),
        options.cluster.word().into(),
        "--cni".into(),
        word(options.cni.to_possible_value()),
        "--mesh".into(),
        word(options.mesh.to_possible_value()),
        "--pace".into(),
        word(options.pace.to_possible_value()),
        "--host-address".into(),
        options.address().to_string(),
        "--api-port".into(),
        options.api_port.to_string(),
        "--seldon".into(),
        options.seldon.seldon.to_string(),
        "--model-server".into(),
        options.seldon.model_server.word().into(),
    ]
    .to_vec();
    for image in &options.seldon.seldon_image {
        arguments.extend(["--seldon-image".to_owned(), image.to_string()]);
    }
    arguments
}

fn describe(standing: &Standing) {
    say(format!("cluster {} is up ({}, process {})", standing.name, standing.cni, standing.pid));
    say(format!("  export KUBECONFIG={}", standing.kubeconfig.display()));
    if let Some(mesh) = &standing.mesh {
        say(format!("  {mesh}"));
    }
    say(format!("  seldon-conformance cluster down {}", standing.name));
}

/// Names become directories.
fn check_name(name: &str) -> Result<(), Failure> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.len() <= 63 && name.chars().all(fine) {
        Ok(())
    } else {
        Err(Failure::usage(format!(
            "{name:?} is no name for a cluster: use lower-case letters, digits and dashes"
        )))
    }
}

/// Prints the clusters that are up.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let mut lines: Vec<String> = Register::of(&cache).all()?.iter().map(line_of).collect();
    lines.extend(real_command::listed(&cache)?);
    if lines.is_empty() {
        remark("no cluster is up");
    }
    lines.sort();
    lines.into_iter().for_each(say);
    Ok(ExitCode::AllPassed)
}

fn line_of(standing: &Standing) -> String {
    let Standing { name, kind, cni, server, .. } = standing;
    listing(name, kind, cni, &format!("up (process {})", standing.pid), server, &standing.kubeconfig)
}

/// A cluster as it is listed.
pub(crate) fn listing(
    name: &str,
    kind: &str,
    network: &str,
    state: &str,
    server: &str,
    kubeconfig: &Path,
) -> String {
    format!("{name:<20} {kind:<13} {network:<8} {state:<28} {server:<28} {}", kubeconfig.display())
}

/// Ends a cluster and waits until its process is gone.
pub(crate) fn down(name: &str) -> Result<ExitCode, Failure> {
    check_name(name)?;
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let register = Register::of(&cache);
    let standing = match register.presence(name)? {
        Presence::Up(standing) => standing,
        Presence::ComingUp => {
            return Err(Failure::usage(format!(
                "cluster {name} is still coming up; wait for it, or interrupt its `up`"
            )));
        }
        Presence::Absent => return real_command::down(name, &cache),
    };
    let handle = File::open(state_file(&register.home(name))).map_err(Failure::machine)?;
    harness::clusters::end_process(standing.pid).map_err(Failure::machine)?;
    // The holder's lock is given back by the kernel when it has ended.
    handle.lock().map_err(Failure::machine)?;
    register.forget(name)?;
    is_down(name);
    Ok(ExitCode::AllPassed)
}

/// Says so.
pub(crate) fn is_down(name: &str) {
    say(format!("cluster {name} is down"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing("", "it ended without a word")]
    #[case::one_line("noise\nerror: no room\n", "no room")]
    #[case::several_lines("error: first\nerror: no room:\n  here\n", "no room:\n  here")]
    #[case::no_error("noise\nkilled\n", "killed")]
    fn the_last_error_is_what_is_said(#[case] log: &str, #[case] said: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), log).unwrap();
        assert_eq!(last_words(file.path()), said);
    }
}
