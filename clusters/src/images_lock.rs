//! `clusters/images.lock`: what real clusters are made of.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::command::Command;
use crate::plan::{Expectation, Plan, Task};

/// How long one manifest or archive may take to arrive.
const FETCH: Duration = Duration::from_secs(600);

/// Everything that is pinned.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesLock {
    /// k3s.
    pub k3s: K3sLock,
    /// k3d's helper.
    pub k3d_tools: LockedImage,
    /// Calico, by the Tigera operator.
    pub calico: PartLock,
    /// MetalLB.
    pub metallb: PartLock,
    /// The image of the policy probe.
    pub probe: LockedImage,
    /// What is installed by charts.
    pub releases: Vec<ReleaseLock>,
}

/// A release that is installed by charts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseLock {
    /// Its version, which is its charts', too.
    pub version: String,
    /// The repository of its charts.
    pub repository: String,
    /// Its charts, first things first.
    pub charts: Vec<LockedChart>,
    /// The images of its pods.
    pub images: Vec<LockedImage>,
}

/// A chart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedChart {
    /// What the repository calls it.
    pub name: String,
    /// The hash of its archive.
    pub sha256: String,
}

impl ReleaseLock {
    /// What helm calls the archive of one of its charts.
    pub fn archive(&self, chart: &str) -> String {
        format!("{chart}-{}.tgz", self.version)
    }
}

/// k3s.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct K3sLock {
    /// The release, such as `v1.33.1+k3s1`.
    pub version: String,
    /// Its image's name.
    pub name: String,
    /// Its image's tag.
    pub tag: String,
    /// Its image's digest, once known.
    pub digest: Option<String>,
    /// The images that it starts, as one archive.
    pub archive: String,
}

/// Something installed from manifests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartLock {
    /// Its release.
    pub version: String,
    /// Its manifests, first things first.
    pub manifests: Vec<LockedManifest>,
    /// The images they name.
    pub images: Vec<LockedImage>,
}

/// A manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedManifest {
    /// What it is called here.
    pub name: String,
    /// Where it comes from.
    pub url: String,
    /// Its hash, once known.
    pub sha256: Option<String>,
}

/// An image. [`fmt::Display`] writes it as Docker takes it.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// Name with registry.
    pub name: String,
    /// Tag.
    pub tag: String,
    /// Digest, once known.
    pub digest: Option<String>,
}

impl fmt::Display for LockedImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.name, self.tag)?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(formatter, "@{digest}"))
    }
}

impl LockedImage {
    /// Without its digest.
    pub fn tagged(&self) -> String {
        format!("{}:{}", self.name, self.tag)
    }
}

impl ImagesLock {
    /// The lock that this program was built with.
    ///
    /// # Errors
    /// That it cannot be read.
    pub fn read() -> Result<ImagesLock, toml::de::Error> {
        toml::from_str(include_str!("../images.lock"))
    }

    /// The image of k3s's nodes.
    pub fn k3s_image(&self) -> LockedImage {
        let K3sLock { name, tag, digest, .. } = self.k3s.clone();
        LockedImage { name, tag, digest }
    }

    /// All images, each once.
    pub fn images(&self) -> Vec<LockedImage> {
        let parts = self.calico.images.iter().chain(&self.metallb.images);
        let own = [self.k3s_image(), self.k3d_tools.clone()];
        own.into_iter().chain(parts.cloned()).chain([self.probe.clone()]).collect()
    }

    /// A release that is installed by charts.
    pub fn release(&self, version: &str) -> Option<&ReleaseLock> {
        self.releases.iter().find(|release| release.version == version)
    }

    /// All manifests.
    pub fn manifests(&self) -> impl Iterator<Item = &LockedManifest> {
        self.calico.manifests.iter().chain(&self.metallb.manifests)
    }
}

impl LockedManifest {
    /// Has it fetched into `directory`, and looked at; where it then is.
    pub(crate) fn fetch(&self, plan: &mut Plan, directory: &Path) -> PathBuf {
        let file = directory.join(&self.name);
        let fetch = fetch(&self.url, &file);
        let task = match &self.sha256 {
            Some(hash) => {
                let look = Command::new("sha256sum").arg(&file).within(FETCH);
                Task::new(fetch).proved_by(vec![(look, Expectation::Sha256(hash.clone()))], 2)
            }
            None => Task::new(fetch),
        };
        plan.run(format!("fetch {}", self.name), task);
        file
    }
}

/// Has a file fetched.
pub(crate) fn fetch(url: &str, file: &Path) -> Command {
    let words = ["--fail", "--silent", "--show-error", "--location", "--create-dirs", "--output"];
    Command::new("curl").args(words).arg(file).arg(url).within(FETCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_read_and_names_what_belongs_together() {
        let lock = ImagesLock::read().unwrap();
        // k3d's tags have a dash where k3s's releases have a plus.
        assert_eq!(lock.k3s.version.replace('+', "-"), lock.k3s.tag);
        assert_eq!(lock.k3s_image().to_string(), "rancher/k3s:v1.33.1-k3s1");
        for manifest in lock.manifests() {
            assert!(
                manifest.url.starts_with("https://") && manifest.url.ends_with(&manifest.name),
                "{manifest:?}"
            );
            assert!(manifest.sha256.as_ref().is_none_or(|hash| hash.len() == 64), "{manifest:?}");
        }
        for part in [&lock.calico, &lock.metallb] {
            assert!(
                part.manifests.iter().all(|one| one.url.contains(&format!("/{}/", part.version))),
                "{part:?}"
            );
        }
    }

    #[test]
    fn releases_have_hashes_and_tagged_images() {
        let lock = ImagesLock::read().unwrap();
        assert!(!lock.releases.is_empty());
        for release in &lock.releases {
            assert!(release.charts.iter().all(|chart| chart.sha256.len() == 64), "{release:?}");
            let agent = release.images.iter().find(|image| image.name.ends_with("-agent")).unwrap();
            assert_eq!(agent.tag, release.version);
        }
        assert!(lock.release("0.0.0").is_none());
    }

    #[test]
    fn a_digest_goes_with_the_image() {
        let image = LockedImage { name: "a/b".into(), tag: "1".into(), digest: Some("sha256:cc".into()) };
        assert_eq!((image.to_string(), image.tagged()), ("a/b:1@sha256:cc".into(), "a/b:1".into()));
    }
}
