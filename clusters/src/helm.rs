//! `helm`: the one on `PATH`, or one built from its Go module into the cache, once.
//!
//! What is installed with it is the caller's business.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::{Cache, CacheError};
use crate::command::{Command, CommandError, FETCH, QUESTION};
use crate::onlooker::{Interrupted, Onlooker};
use crate::plan::{Plan, Task};
use crate::programs::ProvisionError;
use crate::programs::go::{self, Go};
use crate::programs::lock::{GoProgram, Lock};
use crate::tool::GO;

/// The oldest minor version of helm 3 whose options are used here. Helm 4 names some of them otherwise.
const OLDEST_MINOR: u32 = 12;

/// helm as it is looked for on `PATH`.
const ON_PATH: &str = "helm";

/// Why there is no helm.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// Neither helm nor a Go to build it with.
    #[error(
        "there is no usable `helm` ({why}), and no Go to build helm {version} with ({go}); install helm 3 \
         (https://helm.sh/docs/intro/install), or Go: `{}`",
        GO.install
    )]
    Neither {
        /// What is wrong with `helm`.
        why: String,
        /// The version that would be built.
        version: String,
        /// What is wrong with Go.
        go: String,
    },
    /// Go could not build it.
    #[error("{0}; or install helm 3 yourself (https://helm.sh/docs/intro/install)")]
    Build(#[source] Box<ProvisionError>),
    /// The cache directory is at fault.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The lock file in this executable cannot be read.
    #[error("programs.lock is not valid: {0}")]
    Lock(#[from] toml::de::Error),
    /// Whoever waited wants it no more.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// A helm that runs.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    version: String,
}

/// The cluster that a helm command is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmTarget {
    /// Its kubeconfig; the machine's when absent.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: String,
    /// Where helm keeps what it learns of the cluster: nothing of it may be believed of the next one.
    pub discovery: PathBuf,
}

impl Helm {
    /// The helm on `PATH`, or the cache's, which is built when it is not there yet; `onlooker` is told so.
    ///
    /// # Errors
    /// [`HelmError`], with the remedy.
    pub fn provide(cache: &Cache, onlooker: &Onlooker<'_>) -> Result<Helm, HelmError> {
        let why = match on_path(onlooker) {
            Ok(helm) => return Ok(helm),
            Err(why) => why,
        };
        onlooker.go_on()?;
        let wanted = Lock::read()?.helm;
        let name = wanted.directory();
        if let Some(place) = cache.find(&name)? {
            return Ok(built(&place, &wanted));
        }
        let go = match onlooker.unless_stopped(Go::find(onlooker)) {
            Ok(go) => go,
            Err(ProvisionError::Interrupted(wish)) => return Err(wish.into()),
            Err(go) => return Err(HelmError::Neither { why, version: wanted.version, go: no_go(go) }),
        };
        let guard = cache.lock(onlooker)?;
        let place = match cache.find(&name)? {
            Some(place) => place,
            None => {
                onlooker.tell(&format!(
                    "building helm {} (once, from its Go module, checksums checked; minutes)",
                    wanted.version
                ));
                cache.install(&guard, &name, |place| {
                    onlooker.unless_stopped(build(&go, place, &wanted, onlooker))
                })?
            }
        };
        Ok(built(&place, &wanted))
    }

    /// What [`Helm::provide`] would find or do, in words, without doing it.
    pub(crate) fn inspect(cache: &Cache) -> Result<Inspected, HelmError> {
        let onlooker = Onlooker::patient(&|_| {});
        let why = match on_path(&onlooker) {
            Ok(helm) => return Ok(Inspected::There(format!("{} (on PATH)", helm.version))),
            Err(why) => why,
        };
        let wanted = Lock::read()?.helm;
        if cache.find(&wanted.directory())?.is_some() {
            return Ok(Inspected::There(format!("{} (built from its Go module)", wanted.version)));
        }
        match Go::find(&onlooker) {
            Ok(_) => Ok(Inspected::Built(wanted.version)),
            Err(go) => Err(HelmError::Neither { why, version: wanted.version, go: no_go(go) }),
        }
    }

    /// What [`Helm::provide`] would give, whatever is there: a helm on `PATH`, in the version that would be built otherwise;
    /// and how it would be built.
    ///
    /// # Errors
    /// That the lock file in this executable cannot be read.
    pub fn unprovided(cache: &Cache) -> Result<(Helm, Plan), HelmError> {
        let wanted = Lock::read()?.helm;
        let name = wanted.directory();
        let mut plan = Plan::new();
        let there = cache.directory().join(&name);
        let what = format!("build helm, unless one is on PATH or in {}", there.display());
        plan.run(what, Task::new(go::install(&module(&wanted), &cache.workplace(&name))));
        Ok((Helm::at(ON_PATH, &wanted.version), plan))
    }

    /// The helm at `program`, of that version.
    pub fn at(program: impl Into<PathBuf>, version: &str) -> Helm {
        Helm { program: program.into(), version: version.to_owned() }
    }

    /// Its version, without the `v`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A helm command without arguments.
    pub fn command(&self) -> Command {
        Command::new(self.program.to_string_lossy())
    }

    /// `helm pull` of a chart's archive into `place`, by the repository's address alone: no repository is added to the
    /// user's. What helm keeps for itself is in `place`, too, below [`Helm::HOME`].
    pub fn pull(&self, repository: &str, chart: &str, version: &str, place: &Path) -> Command {
        let mut pull = self.command().args(["pull", chart, "--repo", repository]);
        pull = pull.args(["--version", version, "--destination"]).arg(place).within(FETCH);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            pull = pull.env(variable, place.join(Helm::HOME));
        }
        pull
    }

    /// Where a pull has helm keep what it wants to keep.
    pub const HOME: &str = "helm-home";

    /// A helm command for a cluster: `arguments`, then which cluster, and how long it may take.
    pub fn on<S: AsRef<std::ffi::OsStr>>(
        &self,
        target: &HelmTarget,
        arguments: impl IntoIterator<Item = S>,
        limit: Duration,
    ) -> Command {
        let mut command = self.command().args(arguments);
        if let Some(file) = &target.kubeconfig {
            command = command.arg("--kubeconfig").arg(file);
        }
        command
            .args(["--kube-context", &target.context, "--timeout"])
            .arg(format!("{}s", limit.as_secs().max(1)))
            .env("KUBECACHEDIR", &target.discovery)
    }
}

fn no_go(error: ProvisionError) -> String {
    match error {
        ProvisionError::NoGo { why } => why,
        other => other.to_string(),
    }
}

/// What stands for helm on this machine.
pub(crate) enum Inspected {
    /// It, in this version.
    There(String),
    /// A Go that will build this version.
    Built(String),
}

fn on_path(onlooker: &Onlooker<'_>) -> Result<Helm, String> {
    let ask = Command::new(ON_PATH).args(["version", "--template", "{{.Version}}"]).within(QUESTION);
    let said = match ask.run_for(onlooker) {
        Ok(output) => output.stdout,
        Err(CommandError::Start { .. }) => return Err("none is on PATH".into()),
        Err(error) => return Err(error.to_string()),
    };
    let version = said.trim().trim_start_matches('v').to_owned();
    if is_usable(&version) {
        Ok(Helm::at(ON_PATH, &version))
    } else {
        Err(format!("the one on PATH is {version:?}, not 3.{OLDEST_MINOR} or a later 3"))
    }
}

fn is_usable(version: &str) -> bool {
    let mut parts = version.split('.');
    let major = parts.next().and_then(|part| part.parse::<u32>().ok());
    let minor = parts.next().and_then(|part| part.parse::<u32>().ok());
    matches!((major, minor), (Some(3), Some(minor)) if minor >= OLDEST_MINOR)
}

fn built(place: &Path, wanted: &GoProgram) -> Helm {
    Helm::at(place.join(&wanted.main), &wanted.version)
}

fn module(wanted: &GoProgram) -> String {
    format!("{}@v{}", wanted.package, wanted.version)
}

/// Go checks what it downloads against the public checksum database, and the module's own sums.
fn build(go: &Go, place: &Path, wanted: &GoProgram, onlooker: &Onlooker<'_>) -> Result<(), HelmError> {
    go.install("helm", &module(wanted), place, onlooker).map_err(|error| HelmError::Build(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::pinned("3.18.4", true)]
    #[case::oldest("3.12.0", true)]
    #[case::older("3.11.3", false)]
    #[case::newer_major("4.0.0", false)]
    #[case::two("2.17.0", false)]
    #[case::unreadable("unknown", false)]
    fn usable_versions_are_told_from_others(#[case] version: &str, #[case] usable: bool) {
        assert_eq!(is_usable(version), usable);
    }

    #[test]
    fn a_command_names_its_cluster_and_its_limit() {
        let helm = Helm::at("/c/helm", "3.18.4");
        let target =
            HelmTarget { kubeconfig: Some("/k/config".into()), context: "c".into(), discovery: "/d".into() };
        let command = helm.on(&target, ["list"], Duration::from_secs(90));
        assert_eq!(
            command.to_string(),
            "KUBECACHEDIR=/d /c/helm list --kubeconfig /k/config --kube-context c --timeout 90s"
        );
        let command = helm.on(&HelmTarget { kubeconfig: None, ..target }, ["list"], Duration::ZERO);
        assert_eq!(command.to_string(), "KUBECACHEDIR=/d /c/helm list --kube-context c --timeout 1s");
    }
}
