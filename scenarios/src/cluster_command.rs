//! `cluster up`, `cluster list`, `cluster down`.
//!
//! A cluster that is up is a process (`cluster hold`) that holds a lock on its state file: whoever can take the lock
//! knows that the process is gone, however it ended, and removes what is left of it in the cache directory.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::clusters::Cache;
use reports::ExitCode;
use serde::{Deserialize, Serialize};

use crate::options::{Failure, UpOptions};

/// What is known of a cluster that is up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Its name.
    pub(crate) name: String,
    /// Process that holds it.
    pub(crate) pid: u32,
    /// Network.
    pub(crate) cni: String,
    /// API server.
    pub(crate) server: String,
    /// Kubeconfig file.
    pub(crate) kubeconfig: PathBuf,
    /// How the mesh is reached from the host, if there is one.
    pub(crate) mesh: Option<String>,
}

/// Directory of a cluster's files.
pub(crate) fn home(cache: &Cache, name: &str) -> PathBuf {
    cache.directory().join("clusters").join(name)
}

/// The file whose lock says that the cluster is up.
pub(crate) fn state_file(home: &Path) -> PathBuf {
    home.join("state.json")
}

/// Starts the holding process and prints how to reach the cluster once it is up.
pub(crate) fn up(options: UpOptions) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    check_name(&options.name)?;
    // Provisioning speaks to the person; the holding process then finds everything there.
    harness::clusters::provision(&cache, &|line| eprintln!("{line}")).map_err(Failure::machine)?;
    let home = home(&cache, &options.name);
    if let Some(standing) = standing(&home)? {
        return Err(Failure::usage(format!(
            "cluster {} is up (process {}); end it with `seldon-conformance cluster down {}` or choose another name",
            standing.name, standing.pid, standing.name
        )));
    }
    fs::create_dir_all(&home).map_err(|error| Failure::machine(format!("{}: {error}", home.display())))?;
    let log = File::create(home.join("hold.log")).map_err(Failure::machine)?;
    let mut holder = Command::new("/proc/self/exe")
        .args(["cluster", "hold"])
        .args(hold_arguments(&options))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log))
        .process_group(0)
        .spawn()
        .map_err(Failure::machine)?;
    let mut line = String::new();
    if let Some(output) = holder.stdout.take() {
        // The holder says one line when it is up and closes its output; nothing when it failed.
        BufReader::new(output).read_line(&mut line).map_err(Failure::machine)?;
    }
    let Ok(standing) = serde_json::from_str::<Standing>(&line) else {
        let reason = fs::read_to_string(home.join("hold.log")).unwrap_or_default();
        let _ = holder.wait();
        let _ = fs::remove_dir_all(&home);
        let said = reason.lines().last().unwrap_or("it ended without a word").trim_start_matches("error: ").to_owned();
        return Err(Failure::machine(format!("the cluster did not come up: {said}")));
    };
    describe(&standing);
    Ok(ExitCode::AllPassed)
}

fn hold_arguments(options: &UpOptions) -> Vec<String> {
    use clap::ValueEnum;
    let word = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned()).unwrap_or_default();
    [
        options.name.clone(),
        "--cni".into(),
        word(options.cni.to_possible_value()),
        "--mesh".into(),
        word(options.mesh.to_possible_value()),
        "--pace".into(),
        word(options.pace.to_possible_value()),
        "--host-address".into(),
        options.host_address.to_string(),
        "--api-port".into(),
        options.api_port.to_string(),
    ]
    .to_vec()
}

fn describe(standing: &Standing) {
    println!("cluster {} is up ({}, process {})", standing.name, standing.cni, standing.pid);
    println!("  export KUBECONFIG={}", standing.kubeconfig.display());
    if let Some(mesh) = &standing.mesh {
        println!("  {mesh}");
    }
    println!("  seldon-conformance cluster down {}", standing.name);
}

/// Names become directories.
fn check_name(name: &str) -> Result<(), Failure> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.len() <= 63 && name.chars().all(fine) {
        Ok(())
    } else {
        Err(Failure::usage(format!("{name:?} is no name for a cluster: use lower-case letters, digits and dashes")))
    }
}

/// The cluster in `home` if it is up; what a dead one left is removed.
fn standing(home: &Path) -> Result<Option<Standing>, Failure> {
    let file = state_file(home);
    let Ok(handle) = File::open(&file) else { return Ok(None) };
    match handle.try_lock() {
        Ok(()) => {
            fs::remove_dir_all(home).map_err(|error| Failure::machine(format!("{}: {error}", home.display())))?;
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => {
            let text = fs::read_to_string(&file).map_err(Failure::machine)?;
            // A cluster that is still coming up has not said yet how to reach it.
            Ok(serde_json::from_str(&text).ok())
        }
        Err(TryLockError::Error(error)) => Err(Failure::machine(format!("{}: {error}", file.display()))),
    }
}

/// Prints the clusters that are up.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let Ok(entries) = fs::read_dir(cache.directory().join("clusters")) else { return Ok(ExitCode::AllPassed) };
    for entry in entries.filter_map(Result::ok) {
        if let Some(standing) = standing(&entry.path())? {
            println!("{:<20} {:<8} {:<28} {}", standing.name, standing.cni, standing.server, standing.kubeconfig.display());
        }
    }
    Ok(ExitCode::AllPassed)
}

/// Ends a cluster and waits until its process is gone.
pub(crate) fn down(name: &str) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let home = home(&cache, name);
    let Some(standing) = standing(&home)? else {
        return Err(Failure::usage(format!("there is no cluster {name}; `seldon-conformance cluster list` shows those that are up")));
    };
    let handle = File::open(state_file(&home)).map_err(Failure::machine)?;
    harness::clusters::end_process(standing.pid).map_err(Failure::machine)?;
    // The holder's lock is given back by the kernel when it has ended.
    handle.lock().map_err(Failure::machine)?;
    fs::remove_dir_all(&home).map_err(Failure::machine)?;
    println!("cluster {name} is down");
    Ok(ExitCode::AllPassed)
}
