//! Real clusters that this program starts: what is asked of them, and what is known of one that runs.

mod ledger;
mod listing;
mod owned;
mod ports;
mod sweep;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded::Profile;

use crate::images_lock::{ImagesLock, LockedImage};
use crate::plan::Plan;
use crate::{k3d, k3s};

pub use ledger::{Stamp, real_clusters};
pub use listing::{Listed, Usage, list_real};
pub use owned::{Lease, RealCluster, RealError};
pub use ports::{ApiPlace, HostPort, NoHostPort};
pub use sweep::{Swept, sweep};

/// Who starts a real cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The program k3d, in Docker.
    K3d,
    /// The program k3s on this machine.
    K3s,
    /// k3s in a container of its own.
    K3sContainer,
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Provider::K3d => "k3d",
            Provider::K3s => "k3s",
            Provider::K3sContainer => "k3s-container",
        })
    }
}

/// What is asked of a real cluster before it exists.
#[derive(Debug, Clone)]
pub struct RealRequest {
    /// Its name.
    pub name: RealName,
    /// Who starts it.
    pub provider: Provider,
    /// Its network plugin.
    pub network: Profile,
    /// Nodes beside the server's.
    pub agents: u8,
    /// Where its API is on the host.
    pub api: ApiPlace,
    /// Ports of its server's node that are reached from the host.
    pub ports: Vec<HostPort>,
    /// Images that its nodes must have.
    pub images: Vec<ImageSource>,
    /// Addresses that MetalLB gives to Services, if it is to.
    pub balancer: Option<String>,
    /// Tag of k3s's image; the lock's when absent.
    pub k3s_tag: Option<String>,
    /// How long it may take to be Ready.
    pub limit: Duration,
    /// What `mirror pull` has left: manifests and images are taken from there.
    pub mirror: Option<PathBuf>,
}

impl RealRequest {
    /// The image of k3s's nodes. The lock knows the digest of its own one only.
    pub(crate) fn k3s_image(&self, lock: &ImagesLock) -> LockedImage {
        let locked = lock.k3s_image();
        match &self.k3s_tag {
            Some(tag) if *tag != locked.tag => LockedImage { tag: tag.clone(), digest: None, ..locked },
            Some(_) | None => locked,
        }
    }

    /// How `image` is asked for. One that was loaded from an archive has lost its digest.
    pub(crate) fn reference(&self, image: &LockedImage) -> String {
        if self.mirror.is_some() { image.tagged() } else { image.to_string() }
    }
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// The Docker daemon has it.
    Docker(String),
    /// An archive holds it.
    Archive {
        /// The archive.
        file: PathBuf,
        /// Images in it.
        images: Vec<String>,
    },
}

/// A name that k3d, Docker and the file system take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RealName(String);

/// k3d takes no longer ones.
const LONGEST: usize = 32;

impl RealName {
    /// Reads a name.
    ///
    /// # Errors
    /// What names are made of.
    pub fn parse(name: &str) -> Result<RealName, String> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = !name.starts_with('-') && !name.ends_with('-');
        if !name.is_empty() && name.len() <= LONGEST && ends && name.chars().all(fine) {
            return Ok(RealName(name.to_owned()));
        }
        Err(format!(
            "{name:?} is no name for a cluster: use at most {LONGEST} lower-case letters, digits and dashes"
        ))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RealName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The directory of a real cluster's files.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// Of a cluster below the directory of all of them.
    pub fn of(directory: &Path, name: &RealName) -> Home {
        Home(directory.join(name.as_str()))
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The cluster's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }
}

/// How a cluster begins and how it ends.
#[derive(Debug, Clone)]
pub struct Plans {
    /// From nothing to Ready.
    pub up: Plan,
    /// From whatever there is to nothing. Programs only.
    pub down: Plan,
    /// Its context in its kubeconfig.
    pub context: String,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
}

fn lock() -> Result<ImagesLock, RealError> {
    ImagesLock::read().map_err(|error| RealError::Asked(format!("images.lock: {error}")))
}

/// How `request` is carried out, with files in `home` and labels of `stamp`.
///
/// # Errors
/// What cannot be had together, in a sentence.
pub fn plans(request: &RealRequest, home: &Home, stamp: &Stamp) -> Result<Plans, RealError> {
    let lock = lock()?;
    match request.provider {
        Provider::K3d => Ok(k3d::plans(request, home, stamp, &lock)),
        Provider::K3s => k3s::binary_plans(request, home, &lock),
        Provider::K3sContainer => k3s::container_plans(request, home, stamp, &lock),
    }
}

/// How the cluster of a ledger ends, whatever was asked of it.
fn down(entry: &ledger::Entry, home: &Home) -> Plan {
    match entry.provider {
        Provider::K3d => k3d::down(&entry.name, home, &entry.owner),
        Provider::K3s => k3s::binary_down(&entry.name, home),
        Provider::K3sContainer => k3s::container_down(&entry.name, &entry.owner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("conformance-0", true)]
    #[case("", false)]
    #[case("Conf", false)]
    #[case("../x", false)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("a23456789012345678901234567890123", false)]
    fn names_are_those_that_k3d_takes(#[case] name: &str, #[case] fine: bool) {
        assert_eq!(RealName::parse(name).is_ok(), fine);
    }
}
