//! `nft`: the system's, else Debian's package unpacked into the cache.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ProvisionError;
use super::lock::{DebianPackage, NftPackages};
use crate::cache;
use crate::command::{Command, CommandError};

/// File below the unpacked packages that runs their `nft` with their libraries.
pub(crate) const LAUNCHER: &str = "nft";

/// The system's `nft`, also where an ordinary user's `PATH` does not look, and what it says of its version.
pub(crate) fn system_nft() -> Option<(PathBuf, String)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places
        .map(|place| place.join("nft"))
        .filter(|nft| nft.is_file())
        .find_map(|nft| version(&nft).ok().map(|version| (nft, version)))
}

/// `v1.0.6` of `nftables v1.0.6 (Lester Gooch #5)`.
fn version(nft: &Path) -> Result<String, CommandError> {
    let said = Command::new(nft.to_string_lossy()).arg("--version").run()?.stdout;
    Ok(said.split_whitespace().nth(1).unwrap_or("of an unknown version").to_owned())
}

/// Whether the pinned packages are this machine's.
///
/// # Errors
/// Why they are not.
pub(crate) fn fit_this_machine(packages: &NftPackages) -> Result<(), String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let architecture = Command::new("dpkg").arg("--print-architecture").run();
    fit(packages, &release, architecture.map(|output| output.stdout).unwrap_or_default().trim())
}

fn fit(packages: &NftPackages, os_release: &str, architecture: &str) -> Result<(), String> {
    let codename = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    if codename == Some(packages.release.as_str()) && architecture == packages.architecture {
        Ok(())
    } else {
        Err(format!(
            "the system has none, and the pinned packages are for Debian {} on {}",
            packages.release, packages.architecture
        ))
    }
}

/// Downloads the pinned packages without root, checks them and unpacks them into `place`.
pub(crate) fn provide(
    packages: &NftPackages,
    place: &Path,
    progress: &dyn Fn(&str),
) -> Result<(), ProvisionError> {
    fit_this_machine(packages).map_err(|why| ProvisionError::NoNft { why })?;
    let configuration =
        Command::new("apt-config").arg("dump").run().map_err(ProvisionError::FetchNft)?.stdout;
    unpack(packages, &without_hooks(&configuration), place, progress)
}

/// The machine's configuration of APT (its sources, proxies, credentials) without what it runs after an update, which
/// works on the machine's own state, and without the indexes of desktop software centres.
fn without_hooks(configuration: &str) -> String {
    let left_out = ["APT::Update::P", "DPkg::P", "Acquire::IndexTargets", "Acquire::Languages"];
    let kept = configuration.lines().filter(|line| !left_out.iter().any(|start| line.starts_with(start)));
    kept.map(|line| format!("{line}\n")).collect()
}

fn unpack(
    packages: &NftPackages,
    configuration: &str,
    place: &Path,
    progress: &dyn Fn(&str),
) -> Result<(), ProvisionError> {
    let unwritable =
        |source| ProvisionError::Cache(crate::CacheError::Unwritable { directory: place.to_owned(), source });
    let downloads = place.join("downloads");
    let apt = Apt::prepare(configuration, &downloads).map_err(unwritable)?;
    apt.fetch(&packages.packages, progress).map_err(ProvisionError::FetchNft)?;
    for package in &packages.packages {
        let file = downloads.join(package.file(&packages.architecture));
        check(package, &file)?;
        let unpacked = Command::new("dpkg-deb").arg("-x").arg(&file).arg(place).run();
        unpacked.map_err(ProvisionError::FetchNft)?;
    }
    fs::remove_dir_all(&downloads).map_err(unwritable)?;
    write_launcher(packages, place).map_err(unwritable)?;
    version(&place.join(LAUNCHER)).map(drop).map_err(ProvisionError::FetchNft)
}

fn check(package: &DebianPackage, file: &Path) -> Result<(), ProvisionError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let found = cache::digest(file).map_err(|error| ProvisionError::NoNft {
        why: format!("apt-get said it had fetched {name}, and there is no such file: {error}"),
    })?;
    if found == package.sha256 {
        Ok(())
    } else {
        Err(ProvisionError::Hash { file: name, found, pinned: package.sha256.clone() })
    }
}

/// A script beside the packages, so that a caller needs to know one path and no library search path.
fn write_launcher(packages: &NftPackages, place: &Path) -> io::Result<()> {
    let script = format!(
        "#!/bin/sh\nhere=${{0%/*}}\nLD_LIBRARY_PATH=\"$here/{}\" exec \"$here/{}\" \"$@\"\n",
        packages.libraries.display(),
        packages.main.display()
    );
    let file = place.join(LAUNCHER);
    fs::write(&file, script)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
}

/// `apt-get` with state and caches of its own, so that it needs no root and leaves the system's alone.
struct Apt {
    downloads: PathBuf,
    configuration: PathBuf,
}

impl Apt {
    fn prepare(configuration: &str, downloads: &Path) -> io::Result<Apt> {
        for directory in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(downloads.join(directory))?;
        }
        let place = downloads.display();
        // The last word counts. The machine's own files are in `configuration` already.
        let own = format!(
            "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\nDir::State::lists \"{place}/lists\";\n\
             Dir::State::status \"/var/lib/dpkg/status\";\nDir::Cache \"{place}\";\n\
             Dir::Cache::archives \"{place}/archives\";\nDebug::NoLocking \"1\";\nAPT::Sandbox::User \"\";\n\
             Acquire::Languages \"none\";\n"
        );
        let file = downloads.join("apt.conf");
        fs::write(&file, format!("{configuration}{own}"))?;
        Ok(Apt { downloads: downloads.to_owned(), configuration: file })
    }

    /// Leaves the packages' files in the downloads' directory.
    fn fetch(&self, packages: &[DebianPackage], progress: &dyn Fn(&str)) -> Result<(), CommandError> {
        let shown = |line: &str| {
            if line.starts_with("Get:") {
                progress(&format!("  nft: {line}"));
            }
        };
        self.command().arg("update").run_with(shown)?;
        let wanted = packages.iter().map(|package| format!("{}={}", package.name, package.version));
        self.command().arg("download").args(wanted).run_with(shown)?;
        Ok(())
    }

    /// `apt-get download` writes into the current directory.
    fn command(&self) -> Command {
        Command::new("apt-get").arg("-q").env("APT_CONFIG", &self.configuration).directory(&self.downloads)
    }
}

#[cfg(test)]
#[path = "debian_tests.rs"]
mod tests;
