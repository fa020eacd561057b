//! `clusters/programs.lock`: versions and hashes of everything that is fetched.

use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::python::Python;

/// The parsed lock file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    pub(crate) envoy: WheelProgram,
    pub(crate) rclone: WheelProgram,
    pub(crate) mlserver: WheelProgram,
    pub(crate) nft: DebianPrograms,
    pub(crate) kubernetes: KubernetesPins,
    pub(crate) containers: DebianPrograms,
    pub(crate) helm: GoProgram,
}

/// A program made of Python packages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WheelProgram {
    pub(crate) version: String,
    /// The program's file, below its directory.
    pub(crate) main: PathBuf,
    /// pip requirements, every one with hashes.
    pub(crate) requirements: String,
}

/// Versions of what a real Kubernetes is built from. Those of modules stand in `clusters/kubernetes/programs/go.sum`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KubernetesPins {
    pub(crate) version: String,
    pub(crate) coredns: String,
    pub(crate) calico: String,
}

/// Programs and the libraries they need, of one Debian release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DebianPrograms {
    pub(crate) version: String,
    /// The program that shows whether they run, below their directory.
    pub(crate) main: PathBuf,
    pub(crate) libraries: PathBuf,
    pub(crate) release: String,
    pub(crate) architecture: String,
    pub(crate) packages: Vec<DebianPackage>,
}

/// A program built from its Go module, which Go's checksum database vouches for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoProgram {
    pub(crate) version: String,
    /// The package to build.
    pub(crate) package: String,
    /// The program's file, below its directory.
    pub(crate) main: PathBuf,
}

/// One Debian package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DebianPackage {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
}

impl Lock {
    /// The lock file compiled into this executable.
    pub(crate) fn read() -> Result<Lock, toml::de::Error> {
        toml::from_str(include_str!("../../programs.lock"))
    }
}

impl DebianPrograms {
    /// The cache's directory for these very packages, called `name`.
    pub(crate) fn directory(&self, name: &str) -> String {
        let pins: String = self.packages.iter().map(|package| package.sha256.as_str()).collect();
        let digest = hex::encode(Sha256::digest(pins));
        format!("{name}-{}-{}-{}", self.version, self.release, &digest[..8])
    }
}

impl GoProgram {
    /// The cache's directory for this version.
    pub(crate) fn directory(&self) -> String {
        format!("{}-{}", self.main.display(), self.version)
    }
}

impl DebianPackage {
    /// The file that `apt-get download` writes.
    pub(crate) fn file(&self, architecture: &str) -> String {
        format!("{}_{}_{architecture}.deb", self.name, self.version.replace(':', "%3a"))
    }
}

impl WheelProgram {
    /// Version, Python and requirements decide the directory's name: a changed pin never reuses an old one.
    pub(crate) fn directory_suffix(&self, python: &Python) -> String {
        let digest =
            hex::encode(Sha256::digest(format!("{}\n{}", python.executable.display(), self.requirements)));
        format!("{}-{}-{}", self.version, python.tag, &digest[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_and_package_has_hashes() {
        let lock = Lock::read().unwrap();
        for program in [&lock.envoy, &lock.rclone, &lock.mlserver] {
            assert!(program.requirements.contains(&program.version));
            for requirement in
                program.requirements.replace("\\\n", " ").lines().filter(|l| !l.trim().is_empty())
            {
                assert!(
                    requirement.contains("==") && requirement.contains("--hash=sha256:"),
                    "{requirement}"
                );
            }
        }
        for programs in [&lock.nft, &lock.containers] {
            assert!(programs.packages.iter().all(|package| package.sha256.len() == 64));
        }
    }
}
