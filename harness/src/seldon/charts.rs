//! Seldon's charts on this machine: somebody's directories, or a release fetched into the cache once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clusters::{Cache, CacheError, CommandError, FETCH, Helm, HelmError, Interrupted, Onlooker};
use sha2::{Digest, Sha256};

use super::image::ImageOverride;
use super::release::Chart;
use super::{Release, Seldon, SeldonSource};

/// Seldon's chart repository.
const REPOSITORY: &str = "https://seldonio.github.io/helm-charts";

/// Why Seldon cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum SeldonError {
    /// A directory of charts lacks one.
    #[error(
        "{} holds no chart {chart}; --seldon charts:DIR names a directory with {} in it, as `k8s/helm-charts` of \
         Seldon's repository is one",
        .directory.display(),
        Chart::ALL.map(Chart::name).join(", ")
    )]
    NoChart {
        /// The directory.
        directory: PathBuf,
        /// What it lacks.
        chart: &'static str,
    },
    /// Images of one's own beside stand-ins.
    #[error(
        "--seldon-image names an image for a chart, and the stand-ins come without charts; say which with --seldon"
    )]
    ImagesOfStandIns,
    /// This release's controller cannot do it.
    #[error(
        "the controller of Seldon {release} cannot watch a list of namespaces, which this mesh needs; 2.9.1 can"
    )]
    CannotWatchLists {
        /// The release.
        release: &'static str,
    },
    /// Values cannot be written.
    #[error("cannot write a chart's values: {0}")]
    Values(String),
    /// There is no helm.
    #[error(transparent)]
    Helm(#[from] HelmError),
    /// The cache directory is at fault.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A chart cannot be fetched.
    #[error(
        "cannot fetch the charts of Seldon {release}: {source}; without the network, or for a release that the \
         repository does not have: `git clone --depth 1 --branch v{release} https://github.com/SeldonIO/seldon-core`, \
         and --seldon charts:seldon-core/k8s/helm-charts"
    )]
    Fetch {
        /// The release.
        release: &'static str,
        /// What helm said.
        source: CommandError,
    },
    /// A fetched chart is not the pinned one.
    #[error("{file} has SHA-256 {found} instead of {pinned}; nothing was installed")]
    Digest {
        /// The archive.
        file: String,
        /// What it hashes to.
        found: String,
        /// What it should.
        pinned: &'static str,
    },
    /// Nobody has written down what this release's charts hash to.
    #[error(
        "what the charts of Seldon {release} hash to is not known here: `git clone --depth 1 --branch v{release} \
         https://github.com/SeldonIO/seldon-core`, look at them, and say --seldon charts:seldon-core/k8s/helm-charts"
    )]
    Unpinned {
        /// The release.
        release: &'static str,
    },
    /// A fetched chart cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    Unreadable {
        /// The archive.
        file: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Whoever waited wants it no more.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// SHA-256 of the archives of a release's charts, in the order of [`Chart::ALL`], as the repository's index states them.
fn digests(release: Release) -> Result<[&'static str; 4], SeldonError> {
    match release {
        Release::V2_9_0 => Ok([
            "2d00baab10d003b003d150b5a18e25bd7bd68a03b825bc6346e542a08a652a89",
            "7c1f116627579793f8f97a44f1e16e669fc2a1118d0c144eb1fcfea5a35b6624",
            "eb5e80d99c8d466433636a64d86aaceedafb647f079b818ad24e60ce03f6b300",
            "083c84aa33dd1d3f8c07b0c253b01362b868594e004e4220128040f5d921fbb1",
        ]),
        Release::V2_9_1 => Ok([
            "1e52a3b6f6b3ebf02be34ace3b2a6af602677299b2c6c476ce92d93e24713b78",
            "c92254aec0b5dae5f04ac8f9fc16811417ae3d7b90b307fce7d025dc91b8ca30",
            "0e9091eac26bdb42d4e2d10e78485ae83af1b9b0eacdbcc030944f96fb79c8bf",
            "707a8227d96bc8f8fe406e74509add380b4b6e9770ef965e4fa6f47b887164d7",
        ]),
        // The index ended with 2.9.1 when this was written.
        Release::V2_10_2 => Err(SeldonError::Unpinned { release: release.version() }),
    }
}

/// Four charts, the helm that installs them, and images that stand in the place of theirs.
#[derive(Debug, Clone)]
pub struct Charts {
    helm: Helm,
    release: Option<Release>,
    directory: PathBuf,
    images: Vec<ImageOverride>,
}

impl Charts {
    pub(super) fn helm(&self) -> &Helm {
        &self.helm
    }

    /// Which release they are, where that is known.
    pub(super) fn release(&self) -> Option<Release> {
        self.release
    }

    /// How images of the same release are tagged; somebody's directories are taken for the release that is stood in for.
    pub(crate) fn tag(&self) -> &'static str {
        self.release.unwrap_or(Release::V2_9_1).version()
    }

    pub(super) fn images(&self) -> &[ImageOverride] {
        &self.images
    }

    /// A chart's directory or archive.
    pub(super) fn place(&self, chart: Chart) -> PathBuf {
        match self.release {
            Some(release) => self.directory.join(archive(release, chart)),
            None => self.directory.join(chart.name()),
        }
    }
}

impl Seldon {
    /// What `source` names, with `images` in the place of its own; what is not on this machine is fetched into `cache`,
    /// and `onlooker` is told.
    ///
    /// # Errors
    /// [`SeldonError`], with the remedy.
    pub fn provide(
        source: &SeldonSource,
        images: &[ImageOverride],
        cache: &Cache,
        onlooker: &Onlooker<'_>,
    ) -> Result<Seldon, SeldonError> {
        let helm = || Ok(Helm::provide(cache, onlooker)?);
        Seldon::of(source, images, helm, |release, helm| fetched(release, helm, cache, onlooker))
    }

    /// The same without finding or fetching anything, and what would be done to fetch it.
    ///
    /// # Errors
    /// As [`Seldon::provide`], for what can be known without helm and without the charts of a release.
    pub fn rehearse(
        source: &SeldonSource,
        images: &[ImageOverride],
        cache: &Cache,
    ) -> Result<(Seldon, clusters::Plan), SeldonError> {
        let (found, mut plan) = Helm::unprovided(cache)?;
        let seldon = Seldon::of(
            source,
            images,
            || Ok(found),
            |release, helm| {
                let name = directory_of(release);
                let place = cache.workplace(&name);
                let there = cache.directory().join(name);
                for chart in Chart::ALL {
                    let what = format!("fetch {}, unless it is in {}", chart.name(), there.display());
                    plan.run(what, clusters::Task::new(pull(release, chart, helm, &place)));
                }
                Ok(there)
            },
        )?;
        match seldon {
            Seldon::StandIn(_) => Ok((seldon, clusters::Plan::new())),
            Seldon::Charts(_) => Ok((seldon, plan)),
        }
    }

    /// Of a helm, and of the directory in which the charts of a release are.
    fn of(
        source: &SeldonSource,
        images: &[ImageOverride],
        helm: impl FnOnce() -> Result<Helm, SeldonError>,
        charts: impl FnOnce(Release, &Helm) -> Result<PathBuf, SeldonError>,
    ) -> Result<Seldon, SeldonError> {
        let (release, directory) = match source {
            SeldonSource::StandIn(server) if images.is_empty() => return Ok(Seldon::StandIn(*server)),
            SeldonSource::StandIn(_) => return Err(SeldonError::ImagesOfStandIns),
            SeldonSource::Charts(directory) => (None, complete(directory)?),
            SeldonSource::Release(release) => {
                digests(*release)?;
                (Some(*release), PathBuf::new())
            }
        };
        let helm = helm()?;
        let directory = match release {
            Some(release) => charts(release, &helm)?,
            None => directory,
        };
        let images = images.to_vec();
        Ok(Seldon::Charts(Box::new(Charts { helm, release, directory, images })))
    }
}

/// A directory in which all charts are.
fn complete(directory: &Path) -> Result<PathBuf, SeldonError> {
    for chart in Chart::ALL {
        if !directory.join(chart.name()).join("Chart.yaml").is_file() {
            return Err(SeldonError::NoChart { directory: directory.to_owned(), chart: chart.name() });
        }
    }
    std::path::absolute(directory)
        .map_err(|source| SeldonError::Unreadable { file: directory.to_owned(), source })
}

fn archive(release: Release, chart: Chart) -> String {
    format!("{}-{}.tgz", chart.name(), release.version())
}

/// The cache's directory of a release's charts.
fn directory_of(release: Release) -> String {
    format!("seldon-charts-{}", release.version())
}

fn fetched(
    release: Release,
    helm: &Helm,
    cache: &Cache,
    onlooker: &Onlooker<'_>,
) -> Result<PathBuf, SeldonError> {
    let name = directory_of(release);
    if let Some(place) = cache.find(&name)? {
        return Ok(place);
    }
    let guard = cache.lock(onlooker)?;
    if let Some(place) = cache.find(&name)? {
        return Ok(place);
    }
    onlooker.tell(&format!("fetching the charts of Seldon {} (once, hashes checked)", release.version()));
    cache.install(&guard, &name, |place| {
        let pinned = Chart::ALL.into_iter().zip(digests(release)?);
        pinned.into_iter().try_for_each(|(chart, digest)| {
            onlooker.unless_stopped(fetch((release, chart), digest, helm, place, onlooker))
        })
    })
}

/// `helm pull` of a chart, by the repository's address alone: no repository is added to the user's.
fn pull(release: Release, chart: Chart, helm: &Helm, place: &Path) -> clusters::Command {
    let mut pull = helm.command().args(["pull", chart.name(), "--repo", REPOSITORY]);
    pull = pull.args(["--version", release.version(), "--destination"]).arg(place).within(FETCH);
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        pull = pull.env(variable, place.join("helm-home"));
    }
    pull
}

fn fetch(
    (release, chart): (Release, Chart),
    pinned: &'static str,
    helm: &Helm,
    place: &Path,
    onlooker: &Onlooker<'_>,
) -> Result<(), SeldonError> {
    let ran = pull(release, chart, helm, place).run_for(onlooker);
    let home = place.join("helm-home");
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |source| SeldonError::Unreadable { file, source }
    };
    if home.exists() {
        fs::remove_dir_all(&home).map_err(unreadable(&home))?;
    }
    ran.map_err(|source| SeldonError::Fetch { release: release.version(), source })?;
    let file = place.join(archive(release, chart));
    let bytes = fs::read(&file).map_err(unreadable(&file))?;
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    match found == pinned {
        true => Ok(()),
        false => Err(SeldonError::Digest { file: archive(release, chart), found, pinned }),
    }
}

#[cfg(test)]
#[path = "charts_tests.rs"]
mod tests;
