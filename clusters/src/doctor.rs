//! What this machine has and lacks, each with the command that helps: for an embedded cluster, and for those that programs
//! of others start.

use std::fs;

use nix::sys::statvfs::statvfs;

use crate::cache::Cache;
use crate::helm::{self, Helm};
use crate::kubernetes_cluster::can_run_kubernetes;
use crate::onlooker::Onlooker;
use crate::programs::{self, Found, Inspected, ProvisionError, Python};
use crate::tool::{self, CURL, DOCKER, Daemon, GO, K3D, K3S, KUBECTL, Tool};

/// How one need stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There, in the version or state given.
    Present(String),
    /// Not there; the text says what to do.
    Missing(String),
    /// Not there yet; the next run fetches it.
    OnDemand(String),
    /// Not there, and not needed for an embedded cluster; the text says what to do.
    Absent(String),
}

/// One need and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `user namespaces`, `nft`, …
    pub need: String,
    /// How it stands.
    pub state: State,
}

/// Space that the programs and their installation need, in bytes.
const DISK: u64 = 2 << 30;

/// Looks at every need; changes nothing, fetches nothing.
pub fn examine(cache: &Cache) -> Vec<Finding> {
    let mut findings =
        vec![user_namespaces(), kernel_module("br_netfilter", "/proc/sys/net/bridge"), python()];
    findings.extend(cached_programs(cache));
    findings.push(helm(cache));
    findings.push(disk(cache));
    findings.push(root());
    findings.extend(kubernetes(cache));
    findings.push(tool(&GO));
    findings.extend([tool(&DOCKER), docker_daemon()]);
    findings.extend([&K3D, &K3S, &CURL, &KUBECTL].map(tool));
    findings
}

/// Only a real Kubernetes of this machine's needs it.
fn root() -> Finding {
    let state = match can_run_kubernetes() {
        Ok(()) => State::Present("for --cluster kubernetes".into()),
        Err(error) => State::Absent(error.to_string()),
    };
    finding("root", state)
}

/// The programs of such a Kubernetes: whoever does not want one needs none of them.
fn kubernetes(cache: &Cache) -> Vec<Finding> {
    let mut findings = inspected("kubernetes", programs::inspect_kubernetes(cache));
    for finding in &mut findings {
        if let State::Missing(why) = &finding.state {
            finding.state = State::Absent(why.clone());
        }
    }
    findings
}

/// A program that only real clusters need.
fn tool(tool: &Tool) -> Finding {
    let state = match tool.check() {
        Ok(version) => State::Present(version.to_string()),
        Err(error) => State::Absent(error.to_string()),
    };
    finding(tool.name, state)
}

fn docker_daemon() -> Finding {
    let state = match tool::daemon() {
        Daemon::Answers(version) => State::Present(version),
        Daemon::NoClient => State::Absent("there is no docker to ask it with".into()),
        Daemon::Silent => State::Absent(
            "docker is installed, but no daemon answers: start it (`systemctl start docker`) or set DOCKER_HOST".into(),
        ),
        Daemon::Forbidden => State::Absent(
            "there is a daemon, but not for this user: add it to the group (`usermod -aG docker $USER`, then log in again) \
             or run as root"
                .into(),
        ),
    };
    finding("docker daemon", state)
}

fn finding(need: &str, state: State) -> Finding {
    Finding { need: need.into(), state }
}

fn user_namespaces() -> Finding {
    let state = match embedded::try_namespaces() {
        Ok(()) => State::Present("allowed".into()),
        Err(reason) => State::Missing(reason),
    };
    finding("user namespaces", state)
}

/// `br_netfilter` makes bridged packets pass the packet rules, as on a k3s node; without it pods are routed instead.
fn kernel_module(module: &str, sign: &str) -> Finding {
    let state = if fs::metadata(sign).is_ok() {
        State::Present("loaded".into())
    } else {
        State::Present(format!(
            "not loaded; pods are routed instead of bridged (`modprobe {module}` as root for bridged)"
        ))
    };
    finding(module, state)
}

fn python() -> Finding {
    let state = match Python::find(&Onlooker::patient(&|_| {})) {
        Ok(python) => State::Present(format!("{} ({})", python.version, python.executable.display())),
        Err(error) => State::Missing(error.to_string()),
    };
    finding("python", state)
}

fn cached_programs(cache: &Cache) -> Vec<Finding> {
    inspected("programs", programs::inspect(cache))
}

fn inspected(what: &str, inspected: Result<Vec<Inspected>, ProvisionError>) -> Vec<Finding> {
    let inspected = match inspected {
        Ok(inspected) => inspected,
        Err(error) => return vec![finding(what, State::Missing(error.to_string()))],
    };
    let state = |program: Inspected| {
        let state = match program.found {
            Found::Present(version) => State::Present(version),
            Found::OnDemand(how) => State::OnDemand(how),
            Found::Missing(why) => State::Missing(why),
        };
        finding(program.name, state)
    };
    inspected.into_iter().map(state).collect()
}

/// Only charts need it: a machine without it runs everything else.
fn helm(cache: &Cache) -> Finding {
    let state = match Helm::inspect(cache) {
        Ok(helm::Inspected::There(version)) => State::Present(version),
        Ok(helm::Inspected::Built(version)) => {
            State::OnDemand(format!("{version} is built from its Go module when charts are asked for"))
        }
        Err(error) => State::OnDemand(format!("for charts only: {error}")),
    };
    finding("helm", state)
}

fn disk(cache: &Cache) -> Finding {
    let existing = cache.directory().ancestors().find(|path| path.exists());
    let free = existing
        .and_then(|path| statvfs(path).ok())
        .map(|stat| stat.blocks_available() * stat.fragment_size());
    let place = cache.directory().display();
    let state = match free {
        Some(free) if free >= DISK => State::Present(format!("{} GiB free at {place}", free >> 30)),
        Some(free) => State::Missing(format!(
            "{} MiB free at {place}, 2048 needed: set {} to a larger file system",
            free >> 20,
            Cache::VARIABLE
        )),
        None => State::Missing(format!("cannot look at {place}")),
    };
    finding("disk", state)
}
