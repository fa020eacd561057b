//! `nft`: the system's, else Debian's package unpacked into the cache.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ProvisionError;
use super::lock::{DebianPackage, NftPackages};
use crate::cache;
use crate::command::Command;

/// File below the unpacked packages that runs their `nft` with their libraries.
pub(crate) const LAUNCHER: &str = "nft";

/// The system's `nft`, also where an ordinary user's `PATH` does not look.
pub(crate) fn system_nft() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places
        .map(|place| place.join("nft"))
        .find(|nft| nft.is_file() && Command::new(nft.to_string_lossy()).arg("--version").run().is_ok())
}

/// Downloads the pinned packages without root, checks them and unpacks them into `place`.
pub(crate) fn unpack(
    packages: &NftPackages,
    place: &Path,
    progress: &dyn Fn(&str),
) -> Result<(), ProvisionError> {
    let fetch = |source| ProvisionError::Fetch { program: "nft", source };
    let unwritable =
        |source| ProvisionError::Cache(crate::CacheError::Unwritable { directory: place.to_owned(), source });
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.contains(&format!("VERSION_CODENAME={}", packages.release)) {
        return Err(ProvisionError::NoNft {
            why: format!("the system has none, and the pinned packages are for Debian {}", packages.release),
        });
    }
    let downloads = place.join("downloads");
    for directory in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(downloads.join(directory)).map_err(unwritable)?;
    }
    let apt = || private_apt(&downloads);
    apt().arg("update").run().map_err(fetch)?;
    for package in &packages.packages {
        progress(&format!("  nft: {} {}", package.name, package.version));
        let file = download(apt(), package, &packages.architecture, &downloads)?;
        Command::new("dpkg-deb").arg("-x").arg(&file).arg(place).run().map_err(fetch)?;
    }
    fs::remove_dir_all(&downloads).map_err(unwritable)?;
    launcher(packages, place).map_err(unwritable)
}

/// A script beside the packages, so that a caller needs to know one path and no library search path.
fn launcher(packages: &NftPackages, place: &Path) -> std::io::Result<()> {
    let script = format!(
        "#!/bin/sh\nhere=$(dirname \"$0\")\nLD_LIBRARY_PATH=\"$here/{}\" exec \"$here/{}\" \"$@\"\n",
        packages.libraries.display(),
        packages.main.display()
    );
    let file = place.join(LAUNCHER);
    fs::write(&file, script)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
}

/// `apt-get` with state and caches of its own, so that it needs no root and leaves the system's alone.
fn private_apt(downloads: &Path) -> Command {
    let option = |name: &str, value: PathBuf| format!("{name}={}", value.display());
    Command::new("apt-get")
        .args(["-q", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="])
        .args(["-o", "Dir::State::status=/var/lib/dpkg/status"])
        .arg("-o")
        .arg(option("Dir::State::lists", downloads.join("lists")))
        .arg("-o")
        .arg(option("Dir::Cache", downloads.to_owned()))
}

fn download(
    apt: Command,
    package: &DebianPackage,
    architecture: &str,
    downloads: &Path,
) -> Result<PathBuf, ProvisionError> {
    let fetch = |source| ProvisionError::Fetch { program: "nft", source };
    // `apt-get download` writes into the current directory; a shell changes to the private one first.
    let request = format!("{}={}", package.name, package.version);
    let line = format!("cd \"$1\" && {} download \"$2\"", apt);
    Command::new("sh").arg("-c").arg(line).arg("sh").arg(downloads).arg(request).run().map_err(fetch)?;
    let name = format!("{}_{}_{architecture}.deb", package.name, package.version.replace(':', "%3a"));
    let file = downloads.join(&name);
    let found = cache::digest(&file).map_err(|source| {
        ProvisionError::Cache(crate::CacheError::Unwritable { directory: downloads.to_owned(), source })
    })?;
    if found == package.sha256 {
        Ok(file)
    } else {
        Err(ProvisionError::Hash { file: name, found, pinned: package.sha256.clone() })
    }
}
