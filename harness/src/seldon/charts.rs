//! Seldon's charts on this machine: somebody's directories, or a release fetched into the cache once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clusters::{
    Cache, CacheError, CommandError, Helm, HelmError, ImagesLock, Interrupted, LockedChart, Onlooker,
    ReleaseLock, mirror_of_charts as charts,
};
use sha2::{Digest, Sha256};

use super::image::ImageOverride;
use super::release::Chart;
use super::{Release, Seldon, SeldonSource};

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
        release: String,
        /// What helm said.
        source: CommandError,
    },
    /// A fetched chart is not the pinned one.
    #[error("{} has SHA-256 {found} instead of {pinned}; nothing was installed", .file.display())]
    Digest {
        /// The archive.
        file: PathBuf,
        /// What it hashes to.
        found: String,
        /// What it should.
        pinned: String,
    },
    /// A mirror lacks a chart.
    #[error("there is no chart {}; `seldon-conformance mirror pull {} --seldon {release}` fetches it", .file.display(), .mirror.display())]
    NotMirrored {
        /// The archive.
        file: PathBuf,
        /// The mirror.
        mirror: PathBuf,
        /// The release.
        release: String,
    },
    /// The lock file in this executable cannot be read.
    #[error("images.lock is not valid: {0}")]
    Lock(String),
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

/// What a release is made of.
///
/// # Errors
/// That nobody has written it down.
pub fn locked(release: Release) -> Result<ReleaseLock, SeldonError> {
    let lock = ImagesLock::read().map_err(|error| SeldonError::Lock(error.to_string()))?;
    lock.release(release.version()).cloned().ok_or(SeldonError::Unpinned { release: release.version() })
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
    /// and `onlooker` is told. The charts of a release are those of `mirror` where there is one.
    ///
    /// # Errors
    /// [`SeldonError`], with the remedy.
    pub fn provide(
        source: &SeldonSource,
        images: &[ImageOverride],
        mirror: Option<&Path>,
        cache: &Cache,
        onlooker: &Onlooker<'_>,
    ) -> Result<Seldon, SeldonError> {
        let helm = || Ok(Helm::provide(cache, onlooker)?);
        Seldon::of(source, images, helm, |release, helm| match mirror {
            Some(mirror) => mirrored(release, mirror),
            None => fetched(release, helm, cache, onlooker),
        })
    }

    /// The same without finding or fetching anything, and what would be done to fetch it.
    ///
    /// # Errors
    /// As [`Seldon::provide`], for what can be known without helm and without the charts of a release.
    pub fn rehearse(
        source: &SeldonSource,
        images: &[ImageOverride],
        mirror: Option<&Path>,
        cache: &Cache,
    ) -> Result<(Seldon, clusters::Plan), SeldonError> {
        let (found, mut plan) = Helm::unprovided(cache)?;
        let seldon = Seldon::of(
            source,
            images,
            || Ok(found),
            |release, helm| {
                if let Some(mirror) = mirror {
                    return Ok(charts(mirror));
                }
                let name = directory_of(&release.version);
                let place = cache.workplace(&name);
                let there = cache.directory().join(name);
                for chart in &release.charts {
                    let what = format!("fetch {}, unless it is in {}", chart.name, there.display());
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
        charts: impl FnOnce(&ReleaseLock, &Helm) -> Result<PathBuf, SeldonError>,
    ) -> Result<Seldon, SeldonError> {
        let (release, directory) = match source {
            SeldonSource::StandIn(server) if images.is_empty() => return Ok(Seldon::StandIn(*server)),
            SeldonSource::StandIn(_) => return Err(SeldonError::ImagesOfStandIns),
            SeldonSource::Charts(directory) => (None, complete(directory)?),
            SeldonSource::Release(release) => (Some((*release, locked(*release)?)), PathBuf::new()),
        };
        let helm = helm()?;
        let directory = match &release {
            Some((_, locked)) => charts(locked, &helm)?,
            None => directory,
        };
        let release = release.map(|(release, _)| release);
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
fn directory_of(release: &str) -> String {
    format!("seldon-charts-{release}")
}

/// The directory of a mirror in which the charts of `release` are, each looked at.
fn mirrored(release: &ReleaseLock, mirror: &Path) -> Result<PathBuf, SeldonError> {
    let place = charts(mirror);
    for chart in &release.charts {
        let file = place.join(release.archive(&chart.name));
        if !file.is_file() {
            let (mirror, release) = (mirror.to_owned(), release.version.clone());
            return Err(SeldonError::NotMirrored { file, mirror, release });
        }
        see_pinned(&file, chart)?;
    }
    std::path::absolute(&place).map_err(|source| SeldonError::Unreadable { file: place, source })
}

fn fetched(
    release: &ReleaseLock,
    helm: &Helm,
    cache: &Cache,
    onlooker: &Onlooker<'_>,
) -> Result<PathBuf, SeldonError> {
    let name = directory_of(&release.version);
    if let Some(place) = cache.find(&name)? {
        return Ok(place);
    }
    let guard = cache.lock(onlooker)?;
    if let Some(place) = cache.find(&name)? {
        return Ok(place);
    }
    onlooker.tell(&format!("fetching the charts of Seldon {} (once, hashes checked)", release.version));
    cache.install(&guard, &name, |place| {
        release
            .charts
            .iter()
            .try_for_each(|chart| onlooker.unless_stopped(fetch((release, chart), helm, place, onlooker)))
    })
}

fn pull(release: &ReleaseLock, chart: &LockedChart, helm: &Helm, place: &Path) -> clusters::Command {
    helm.pull(&release.repository, &chart.name, &release.version, place)
}

fn unreadable(file: &Path) -> impl FnOnce(io::Error) -> SeldonError {
    let file = file.to_owned();
    move |source| SeldonError::Unreadable { file, source }
}

fn fetch(
    (release, chart): (&ReleaseLock, &LockedChart),
    helm: &Helm,
    place: &Path,
    onlooker: &Onlooker<'_>,
) -> Result<(), SeldonError> {
    let ran = pull(release, chart, helm, place).run_for(onlooker);
    let home = place.join(Helm::HOME);
    if home.exists() {
        fs::remove_dir_all(&home).map_err(unreadable(&home))?;
    }
    ran.map_err(|source| SeldonError::Fetch { release: release.version.clone(), source })?;
    see_pinned(&place.join(release.archive(&chart.name)), chart)
}

/// # Errors
/// That the archive in `file` is another than the one that is written down.
fn see_pinned(file: &Path, chart: &LockedChart) -> Result<(), SeldonError> {
    let bytes = fs::read(file).map_err(unreadable(file))?;
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    match found == chart.sha256 {
        true => Ok(()),
        false => Err(SeldonError::Digest { file: file.to_owned(), found, pinned: chart.sha256.clone() }),
    }
}

#[cfg(test)]
#[path = "charts_tests.rs"]
mod tests;
