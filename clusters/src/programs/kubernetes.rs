//! The programs of a real Kubernetes: built from Go modules and taken from Debian's packages, once.

use std::fs;
use std::path::{Path, PathBuf};

use kubernetes::{CNI_PLUGINS, CalicoPrograms, NodePrograms};

use super::debian::{self, DebianError};
use super::go::{Go, Module, source_of};
use super::lock::{DebianPrograms, KubernetesPins, Lock};
use super::{Found, Inspected, Installer, ProvisionError, nobody};
use crate::cache::Cache;
use crate::onlooker::Onlooker;
use crate::tool::GO;

/// Names that programs call iptables' two multi-call programs by; Debian's package leaves the shorter ones to the system's
/// alternatives.
const IPTABLES: [&str; 6] =
    ["iptables", "iptables-restore", "iptables-save", "ip6tables", "ip6tables-restore", "ip6tables-save"];

/// What our modules and their programs are called.
const KUBE: &str = "kube";
const CALICO: &str = "calico-node";
const BUILT: &str = "built from its Go module";
/// The published module of Calico, whose definitions are copied.
pub(super) const CALICO_MODULE: &str = "github.com/projectcalico/calico";

/// Where the programs of a real Kubernetes are.
#[derive(Debug, Clone)]
pub struct KubernetesPrograms {
    /// Those of the node.
    pub node: NodePrograms,
    /// CoreDNS, which runs in a pod.
    pub coredns: PathBuf,
    /// Calico's, where they were asked for.
    pub calico: Option<CalicoPrograms>,
}

/// Whether Calico is wanted: it takes minutes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithCalico {
    /// Yes.
    Yes,
    /// No.
    No,
}

pub(super) fn kube(pins: &KubernetesPins) -> Module {
    let version = &pins.version;
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let settings = |package: &str| {
        [
            format!("{package}.gitVersion=v{version}"),
            format!("{package}.gitMajor={major}"),
            format!("{package}.gitMinor={minor}"),
            format!("{package}.gitTreeState=clean"),
        ]
    };
    Module {
        name: KUBE,
        files: [
            ("go.mod", include_str!("../../kubernetes/programs/kube/go.mod")),
            ("go.sum", include_str!("../../kubernetes/programs/kube/go.sum")),
            ("main.go", include_str!("../../kubernetes/programs/kube/main.go")),
        ],
        variables: ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
            .into_iter()
            .flat_map(settings)
            .collect(),
    }
}

pub(super) fn calico(pins: &KubernetesPins) -> Module {
    Module {
        name: CALICO,
        files: [
            ("go.mod", include_str!("../../kubernetes/programs/calico/go.mod")),
            ("go.sum", include_str!("../../kubernetes/programs/calico/go.sum")),
            ("main.go", include_str!("../../kubernetes/programs/calico/main.go")),
        ],
        variables: vec![format!(
            "github.com/projectcalico/calico/node/pkg/lifecycle/startup.VERSION=v{}",
            pins.calico
        )],
    }
}

/// Finds every program of a real Kubernetes, building and fetching those that are missing; `onlooker` is told each step in
/// a line. Without anything cached it takes about ten minutes on two processors, three more with Calico.
///
/// # Errors
/// [`ProvisionError`], each with the remedy. A failure leaves no half-made program.
pub fn provision_kubernetes(
    cache: &Cache,
    with_calico: WithCalico,
    onlooker: &Onlooker<'_>,
) -> Result<KubernetesPrograms, ProvisionError> {
    let lock = Lock::read()?;
    // Before minutes of fetching.
    if !built(&lock.kubernetes, with_calico).into_iter().all(|name| is_there(cache, &name)) {
        onlooker.unless_stopped(Go::find(onlooker))?;
    }
    let mut installer = Installer { cache, guard: None, onlooker };
    let containers = installer.containers(&lock.containers)?;
    let kube = installer.kube(&lock.kubernetes)?;
    let coredns = installer.coredns(&lock.kubernetes.coredns)?;
    let calico = match with_calico {
        WithCalico::Yes => Some(installer.calico(&lock.kubernetes)?),
        WithCalico::No => None,
    };
    Ok(laid_out(&lock, &containers, &kube, &coredns, calico.as_deref()))
}

/// The cache's directories of what is built with Go.
fn built(pins: &KubernetesPins, with_calico: WithCalico) -> Vec<String> {
    let calico = (with_calico == WithCalico::Yes).then(|| directory(&calico(pins), &pins.calico));
    [directory(&kube(pins), &pins.version), coredns_directory(&pins.coredns)]
        .into_iter()
        .chain(calico)
        .collect()
}

/// What is damaged is there: who uses it says so.
fn is_there(cache: &Cache, name: &str) -> bool {
    !matches!(cache.find(name), Ok(None))
}

/// What of [`provision_kubernetes`] is already there, without fetching; what cannot be had says why.
pub(crate) fn inspect_kubernetes(cache: &Cache) -> Result<Vec<Inspected>, ProvisionError> {
    let lock = Lock::read()?;
    let (pins, nobody) = (&lock.kubernetes, nobody());
    let go = Go::find(&nobody).map(drop);
    let go = go.map_err(|_| {
        format!("is not built, and there is no Go {} or later to build it with: see go", GO.oldest)
    });
    let fit = debian::fit_this_machine(&lock.containers, &nobody);
    let fit = fit.map_err(|why| ProvisionError::NoContainers { why }.to_string());
    let look = |name, directory: String, version: &str, how: &str, can: &Result<(), String>| {
        let later = || {
            format!("{version} is {how} at the first run, or by `seldon-conformance provision kubernetes`")
        };
        let found = match (cache.find(&directory), can) {
            (Ok(None), Err(why)) => Found::Missing(why.clone()),
            (found, _) => Found::in_cache(found, version.to_owned(), later()),
        };
        Inspected { name, found }
    };
    let containers = lock.containers.directory("containers");
    let coredns = coredns_directory(&pins.coredns);
    Ok(vec![
        look("containerd", containers, &lock.containers.version, "fetched from Debian's packages", &fit),
        look(KUBE, directory(&kube(pins), &pins.version), &pins.version, BUILT, &go),
        look("coredns", coredns, &pins.coredns, BUILT, &go),
        look(CALICO, directory(&calico(pins), &pins.calico), &pins.calico, BUILT, &go),
    ])
}

/// Where [`provision_kubernetes`] would put them, whether they are there or not.
///
/// # Errors
/// That the lock file in this executable cannot be read.
pub fn unprovisioned_kubernetes(
    cache: &Cache,
    with_calico: WithCalico,
) -> Result<KubernetesPrograms, ProvisionError> {
    let lock = Lock::read()?;
    let at = |name: String| cache.directory().join(name);
    let pins = &lock.kubernetes;
    let calico = (with_calico == WithCalico::Yes).then(|| at(directory(&calico(pins), &pins.calico)));
    let containers = at(lock.containers.directory("containers"));
    let kube = at(directory(&kube(pins), &pins.version));
    Ok(laid_out(&lock, &containers, &kube, &at(coredns_directory(&pins.coredns)), calico.as_deref()))
}

/// Where programs are in their directories.
fn laid_out(
    lock: &Lock,
    containers: &Path,
    kube: &Path,
    coredns: &Path,
    calico: Option<&Path>,
) -> KubernetesPrograms {
    let at = |below: &str| containers.join(below);
    let libraries = containers.join(&lock.containers.libraries);
    let node = NodePrograms {
        kube: kube.join(KUBE),
        path: vec![at("links"), at("usr/sbin"), at("usr/bin")],
        xtables: Some(libraries.join("xtables")),
        libraries: vec![libraries],
        cni: at("cni"),
    };
    let calico = calico
        .map(|place| CalicoPrograms { calico: place.join(CALICO), definitions: place.join("definitions") });
    KubernetesPrograms { node, coredns: coredns.join("coredns"), calico }
}

/// The cache's directory of a module that is built.
pub(super) fn directory(module: &Module, version: &str) -> String {
    format!("{}-{version}-{}", module.name, module.digest())
}

/// The published module of CoreDNS.
pub(super) fn coredns_module(version: &str) -> String {
    format!("github.com/coredns/coredns@v{version}")
}

pub(super) fn coredns_directory(version: &str) -> String {
    format!("coredns-{version}")
}

impl Installer<'_> {
    fn containers(&mut self, packages: &DebianPrograms) -> Result<PathBuf, ProvisionError> {
        let announcement = format!(
            "provisioning containerd {}, runc, iptables and CNI plugins (once, from Debian's packages, hashes checked)",
            packages.version
        );
        self.ensure(&packages.directory("containers"), &announcement, |place, onlooker| {
            debian::provide("containers", packages, place, onlooker).map_err(containers_error)?;
            link(place).map_err(|source| {
                crate::CacheError::Unwritable { directory: place.to_owned(), source }.into()
            })
        })
    }

    fn kube(&mut self, pins: &KubernetesPins) -> Result<PathBuf, ProvisionError> {
        let (module, version) = (kube(pins), &pins.version);
        let announcement =
            format!("building {} {version} (once, from Go modules, hashes checked)", module.name);
        let directory = directory(&module, version);
        self.ensure(&directory, &announcement, |place, onlooker| {
            Go::find(onlooker)?.build(&module, place, onlooker)
        })
    }

    fn coredns(&mut self, version: &str) -> Result<PathBuf, ProvisionError> {
        let announcement = format!("building CoreDNS {version} (once, from its Go module)");
        let module = coredns_module(version);
        self.ensure(&coredns_directory(version), &announcement, |place, onlooker| {
            Go::find(onlooker)?.install("coredns", &module, place, onlooker)
        })
    }

    fn calico(&mut self, pins: &KubernetesPins) -> Result<PathBuf, ProvisionError> {
        let module = calico(pins);
        let directory = directory(&module, &pins.calico);
        let announcement =
            format!("building Calico {} (once, from its Go module, hashes checked)", pins.calico);
        self.ensure(&directory, &announcement, |place, onlooker| {
            let go = Go::find(onlooker)?;
            go.build(&module, place, onlooker)?;
            let fetched = go
                .module_directory(CALICO_MODULE, &source_of(&module, place), onlooker)
                .map_err(|source| ProvisionError::Fetch { program: "Calico's definitions", source })?;
            copy_definitions(Path::new(&fetched), &place.join("definitions")).map_err(|source| {
                crate::CacheError::Unwritable { directory: place.to_owned(), source }.into()
            })
        })
    }
}

fn containers_error(error: DebianError) -> ProvisionError {
    match error {
        DebianError::Unfit(why) => ProvisionError::NoContainers { why },
        DebianError::Command(source) => ProvisionError::Fetch { program: "containerd", source },
        DebianError::Hash { file, found, pinned } => ProvisionError::Hash { file, found, pinned },
        DebianError::Cache(error) => error.into(),
    }
}

/// The names that are missing in unpacked packages, and a directory of the CNI plugins that are used.
fn link(place: &Path) -> std::io::Result<()> {
    let (links, cni) = (place.join("links"), place.join("cni"));
    fs::create_dir_all(&links)?;
    fs::create_dir_all(&cni)?;
    for name in IPTABLES {
        std::os::unix::fs::symlink("../usr/sbin/xtables-nft-multi", links.join(name))?;
    }
    for name in CNI_PLUGINS {
        std::os::unix::fs::symlink(format!("../usr/lib/cni/{name}"), cni.join(name))?;
    }
    Ok(())
}

fn copy_definitions(module: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(module.join("libcalico-go/config/crd"))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            fs::write(to.join(entry.file_name()), fs::read(entry.path())?)?;
        }
    }
    Ok(())
}
