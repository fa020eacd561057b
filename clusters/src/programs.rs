//! The programs an embedded cluster runs: found in the cache, or fetched into it once.
//!
//! Versions and hashes stand in `clusters/programs.lock`. Nothing of the system is changed and nothing needs root.

mod debian;
pub(crate) mod go;
mod kubernetes;
pub(crate) mod lock;
mod python;
mod rehearsal;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::cache::{Cache, CacheError, Guard};
use crate::command::{Command, CommandError, FETCH};
use crate::onlooker::{Interrupted, Onlooker};
use crate::tool::GO;
use debian::DebianError;
pub(crate) use kubernetes::inspect_kubernetes;
pub use kubernetes::{KubernetesPrograms, WithCalico, provision_kubernetes, unprovisioned_kubernetes};
use lock::{DebianPrograms, Lock, WheelProgram};
pub(crate) use python::Python;
pub use rehearsal::{rehearse_provisioning, rehearse_provisioning_kubernetes, unprovisioned};

/// Where each program is. All paths are absolute.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Envoy.
    pub envoy: PathBuf,
    /// rclone.
    pub rclone: PathBuf,
    /// MLServer's launcher script.
    pub mlserver: PathBuf,
    /// MLServer's packages, for `PYTHONPATH`.
    pub mlserver_packages: PathBuf,
    /// The Python that runs MLServer.
    pub python: PathBuf,
    /// Directories of that Python's own modules.
    pub python_library: Vec<PathBuf>,
    /// `nft`.
    pub nft: PathBuf,
    /// A directory of buckets of model artefacts (`models/iris`).
    pub artefacts: PathBuf,
    /// An empty directory for the supervisor to mount over.
    pub mountpoint: PathBuf,
}

impl Programs {
    /// The cache directory that they were found in.
    pub fn cache(&self) -> &Path {
        // It is in there: see `Cache::mountpoint`.
        self.mountpoint.parent().unwrap_or(&self.mountpoint)
    }
}

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The cache directory is at fault.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No Python that can run MLServer.
    #[error(
        "no Python between 3.10 and 3.12 with pip was found ({tried}); install one: `apt-get install python3 python3-pip`"
    )]
    NoPython {
        /// Each candidate and why it will not do.
        tried: String,
    },
    /// Neither the system nor a package gives `nft`.
    #[error("there is no usable `nft`: {why}; install it: `apt-get install nftables`")]
    NoNft {
        /// What was tried.
        why: String,
    },
    /// `nft` could not be fetched from Debian's packages, or what was fetched does not run.
    #[error("cannot provision nft from Debian's packages: {0}; install it: `apt-get install nftables`")]
    FetchNft(#[source] CommandError),
    /// No Go that can build the programs of a real Kubernetes.
    #[error(
        "the programs of a real Kubernetes are built with Go {} or later ({why}); install it: `{}`",
        GO.oldest,
        GO.install
    )]
    NoGo {
        /// What was found.
        why: String,
    },
    /// The packages of containerd and its companions are not for this machine.
    #[error(
        "there is no containerd for a real Kubernetes: {why}; use such a machine, or --cluster embedded, k3d or k3s"
    )]
    NoContainers {
        /// Why.
        why: String,
    },
    /// Fetching or unpacking failed.
    #[error("cannot provision {program}: {source}")]
    Fetch {
        /// Which program.
        program: &'static str,
        /// The command that failed, and why.
        source: CommandError,
    },
    /// A downloaded file is not the pinned one.
    #[error("{file} has SHA-256 {found} instead of {pinned}; nothing was installed")]
    Hash {
        /// The downloaded file's name.
        file: String,
        /// What it hashes to.
        found: String,
        /// What the lock file says.
        pinned: String,
    },
    /// The lock file in this executable cannot be read.
    #[error("programs.lock is not valid: {0}")]
    Lock(#[from] toml::de::Error),
    /// Whoever waited wants it no more.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Finds every program, fetching those that are missing; `onlooker` is told each step in a line.
///
/// # Errors
/// [`ProvisionError`], each with the remedy. A failure leaves no half-made program.
pub fn provision(cache: &Cache, onlooker: &Onlooker<'_>) -> Result<Programs, ProvisionError> {
    let lock = Lock::read()?;
    let python = Python::find(onlooker)?;
    let mut installer = Installer { cache, guard: None, onlooker };
    let mountpoint = cache.mountpoint()?;
    let envoy = installer.wheels("envoy", &lock.envoy, &python)?;
    let rclone = installer.wheels("rclone", &lock.rclone, &python)?;
    let mlserver = installer.wheels("mlserver", &lock.mlserver, &python)?;
    let artefacts = installer.artefacts(&lock, &python, &mlserver)?;
    let nft = match debian::system_nft(onlooker) {
        Some((path, _)) => path,
        None => installer.nft(&lock.nft)?,
    };
    let places = Places { envoy, rclone, mlserver, artefacts, nft, mountpoint };
    Ok(places.programs(&lock, python.executable, python.library))
}

/// The cache's directories, and what else was found.
struct Places {
    envoy: PathBuf,
    rclone: PathBuf,
    mlserver: PathBuf,
    artefacts: PathBuf,
    nft: PathBuf,
    mountpoint: PathBuf,
}

impl Places {
    fn programs(self, lock: &Lock, python: PathBuf, python_library: Vec<PathBuf>) -> Programs {
        Programs {
            envoy: self.envoy.join(&lock.envoy.main),
            rclone: self.rclone.join(&lock.rclone.main),
            mlserver: self.mlserver.join(&lock.mlserver.main),
            mlserver_packages: self.mlserver,
            python,
            python_library,
            nft: self.nft,
            artefacts: self.artefacts,
            mountpoint: self.mountpoint,
        }
    }
}

/// What there is to say of packages that give no `nft`.
fn nft_error(error: DebianError) -> ProvisionError {
    match error {
        DebianError::Unfit(why) => no_nft(&why),
        DebianError::Command(error) => ProvisionError::FetchNft(error),
        DebianError::Hash { file, found, pinned } => ProvisionError::Hash { file, found, pinned },
        DebianError::Cache(error) => error.into(),
    }
}

fn no_nft(why: &str) -> ProvisionError {
    ProvisionError::NoNft { why: format!("the system has none, and {why}") }
}

/// A program that embedded clusters need, and whether it is there.
pub(crate) struct Inspected {
    pub(crate) name: &'static str,
    pub(crate) found: Found,
}

/// Where a program would come from.
pub(crate) enum Found {
    /// It is there, in this version.
    Present(String),
    /// The first run gets it; the text says how.
    OnDemand(String),
    /// It is not there and will not come by itself; the text names the remedy.
    Missing(String),
}

impl Found {
    fn in_cache(found: Result<Option<PathBuf>, CacheError>, version: String, otherwise: String) -> Found {
        match found {
            Ok(Some(_)) => Found::Present(version),
            Ok(None) => Found::OnDemand(otherwise),
            Err(error) => Found::Missing(error.to_string()),
        }
    }
}

/// Nobody waits for what is only looked at.
fn nobody() -> Onlooker<'static> {
    Onlooker::patient(&|_| {})
}

/// The system's `nft` comes first, then the cache's; Debian's package is fetched where it fits.
fn nft(cache: &Cache, packages: &DebianPrograms) -> Inspected {
    let found = match (debian::system_nft(&nobody()), cache.find(&packages.directory("nft"))) {
        (Some((path, version)), _) => Found::Present(format!("{version} ({})", path.display())),
        (None, Ok(None)) => match debian::fit_this_machine(packages, &nobody()) {
            Ok(()) => Found::OnDemand(
                "is fetched from Debian's packages at the first run, or `apt-get install nftables`".into(),
            ),
            Err(why) => Found::Missing(no_nft(&why).to_string()),
        },
        (None, cached) => Found::in_cache(
            cached,
            format!("v{} (Debian's package in the cache)", packages.version),
            String::new(),
        ),
    };
    Inspected { name: "nft", found }
}

/// What of [`provision`] is already there, without fetching.
pub(crate) fn inspect(cache: &Cache) -> Result<Vec<Inspected>, ProvisionError> {
    let lock = Lock::read()?;
    let python = Python::find(&nobody()).ok();
    let look = |name, program: &WheelProgram| {
        let found = match &python {
            Some(python) => cache.find(&format!("{name}-{}", program.directory_suffix(python))),
            None => Ok(None),
        };
        let otherwise = format!("{} is fetched from PyPI at the first run", program.version);
        Inspected { name, found: Found::in_cache(found, program.version.clone(), otherwise) }
    };
    let trained = match &python {
        Some(python) => cache.find(&artefacts_directory(&lock, python)),
        None => Ok(None),
    };
    let model = Inspected {
        name: "iris model",
        found: Found::in_cache(trained, "trained".into(), "is trained at the first run".into()),
    };
    Ok(vec![
        nft(cache, &lock.nft),
        look("envoy", &lock.envoy),
        look("rclone", &lock.rclone),
        look("mlserver", &lock.mlserver),
        model,
    ])
}

/// Trains the model that the scenarios serve.
const TRAIN: &str = include_str!("programs/train_iris.py");

/// The command that trains it, with MLServer's `packages`.
fn train(python: &Path, packages: &Path, place: &Path) -> Command {
    Command::new(python.to_string_lossy())
        .args(["-c", TRAIN])
        .arg(place.join("models/iris"))
        .env("PYTHONPATH", packages)
        .within(FETCH)
}

/// The trained model depends on the packages that train it and on the script.
fn artefacts_directory(lock: &Lock, python: &Python) -> String {
    let script = hex::encode(Sha256::digest(TRAIN));
    format!("artefacts-{}-{}", lock.mlserver.directory_suffix(python), &script[..8])
}

/// Looks into the cache first; takes the installers' lock only when something has to be fetched.
struct Installer<'a> {
    cache: &'a Cache,
    guard: Option<Guard>,
    onlooker: &'a Onlooker<'a>,
}

impl Installer<'_> {
    /// `name` from the cache, or made by `fill` under the lock; another process may have made it meanwhile.
    fn ensure(
        &mut self,
        name: &str,
        announcement: &str,
        fill: impl FnOnce(&Path, &Onlooker<'_>) -> Result<(), ProvisionError>,
    ) -> Result<PathBuf, ProvisionError> {
        if let Some(place) = self.cache.find(name)? {
            return Ok(place);
        }
        let guard = match self.guard.take() {
            Some(guard) => guard,
            None => self.cache.lock(self.onlooker)?,
        };
        let found = self.cache.find(name)?;
        let place = match found {
            Some(place) => place,
            None => {
                self.onlooker.tell(announcement);
                let installed = self.cache.install(&guard, name, |place| {
                    // Before it takes its place: what was interrupted may look whole.
                    self.onlooker.unless_stopped(fill(place, self.onlooker))
                });
                installed.map_err(|error| self.full(error))?
            }
        };
        self.guard = Some(guard);
        Ok(place)
    }

    /// A program that ended for want of space says so in many words; the remedy is the cache's.
    fn full(&self, error: ProvisionError) -> ProvisionError {
        match &error {
            ProvisionError::Fetch { source: CommandError::Failed { stderr, .. }, .. }
            | ProvisionError::FetchNft(CommandError::Failed { stderr, .. })
                if stderr.contains("No space left on device") =>
            {
                self.cache.unwritable(nix::errno::Errno::ENOSPC.into()).into()
            }
            _ => error,
        }
    }

    fn wheels(
        &mut self,
        name: &'static str,
        program: &WheelProgram,
        python: &Python,
    ) -> Result<PathBuf, ProvisionError> {
        let directory = format!("{name}-{}", program.directory_suffix(python));
        let announcement =
            format!("provisioning {name} {} (once, from PyPI, hashes checked)", program.version);
        self.ensure(&directory, &announcement, |place, onlooker| {
            python.install(name, &program.requirements, place, onlooker)
        })
    }

    fn nft(&mut self, packages: &DebianPrograms) -> Result<PathBuf, ProvisionError> {
        let announcement =
            format!("provisioning nft {} (once, from Debian's packages, hashes checked)", packages.version);
        let place = self.ensure(&packages.directory("nft"), &announcement, |place, onlooker| {
            debian::provide("nft", packages, place, onlooker)
                .and_then(|()| debian::launch_nft(packages, place, onlooker))
                .map_err(nft_error)
        })?;
        Ok(place.join(debian::LAUNCHER))
    }

    /// A scikit-learn classifier of irises, trained here: small, deterministic, of exactly the installed version.
    fn artefacts(
        &mut self,
        lock: &Lock,
        python: &Python,
        packages: &Path,
    ) -> Result<PathBuf, ProvisionError> {
        self.ensure(
            &artefacts_directory(lock, python),
            "training the iris model that the scenarios serve (once)",
            |place, onlooker| {
                train(&python.executable, packages, place)
                    .run_for(onlooker)
                    .map(|_| ())
                    .map_err(|source| ProvisionError::Fetch { program: "the iris model", source })
            },
        )
    }
}
