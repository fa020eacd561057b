//! Programs from Debian's packages, unpacked into the cache; and `nft`, which is the system's where it has one.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::lock::{DebianPackage, DebianPrograms};
use crate::cache::{self, CacheError};
use crate::command::{Command, CommandError, FETCH, QUESTION};
use crate::onlooker::Onlooker;

/// File below the unpacked packages that runs their `nft` with their libraries.
pub(crate) const LAUNCHER: &str = "nft";

/// Below the place of packages, while they are fetched.
const DOWNLOADS: &str = "downloads";

/// The system's `nft`, also where an ordinary user's `PATH` does not look, and what it says of its version.
pub(crate) fn system_nft(onlooker: &Onlooker<'_>) -> Option<(PathBuf, String)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places
        .map(|place| place.join("nft"))
        .filter(|nft| nft.is_file())
        .find_map(|nft| version(&nft, onlooker).ok().map(|version| (nft, version)))
}

/// `v1.0.6` of `nftables v1.0.6 (Lester Gooch #5)`.
fn version(nft: &Path, onlooker: &Onlooker<'_>) -> Result<String, CommandError> {
    let ask = Command::new(nft.to_string_lossy()).arg("--version").within(QUESTION);
    let said = ask.run_for(onlooker)?.stdout;
    Ok(said.split_whitespace().nth(1).unwrap_or("of an unknown version").to_owned())
}

/// Whether the pinned packages are this machine's.
///
/// # Errors
/// Why they are not.
pub(crate) fn fit_this_machine(packages: &DebianPrograms, onlooker: &Onlooker<'_>) -> Result<(), String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let architecture = Command::new("dpkg").arg("--print-architecture").within(QUESTION).run_for(onlooker);
    fit(packages, &release, architecture.map(|output| output.stdout).unwrap_or_default().trim())?;
    let apt = Command::new("apt-get").arg("--version").within(QUESTION).run_for(onlooker);
    apt.map(drop).map_err(|error| format!("the pinned packages are fetched by apt-get: {error}"))
}

fn fit(packages: &DebianPrograms, os_release: &str, architecture: &str) -> Result<(), String> {
    let codename = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    if codename == Some(packages.release.as_str()) && architecture == packages.architecture {
        Ok(())
    } else {
        Err(format!("the pinned packages are for Debian {} on {}", packages.release, packages.architecture))
    }
}

/// Why packages could not be unpacked into the cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DebianError {
    /// They are not for this machine.
    #[error("{0}")]
    Unfit(String),
    /// A command failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A package is not the pinned one.
    #[error("{file} has SHA-256 {found} instead of {pinned}; nothing was installed")]
    Hash { file: String, found: String, pinned: String },
    /// The cache cannot be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Downloads the pinned packages of `program` without root, checks them and unpacks them into `place`.
pub(crate) fn provide(
    program: &str,
    packages: &DebianPrograms,
    place: &Path,
    onlooker: &Onlooker<'_>,
) -> Result<(), DebianError> {
    fit_this_machine(packages, onlooker).map_err(DebianError::Unfit)?;
    let configuration = dump().run_for(onlooker)?.stdout;
    unpack(program, packages, &without_hooks(&configuration), place, onlooker)
}

/// The commands of [`provide`], in order.
pub(crate) fn commands(packages: &DebianPrograms, place: &Path) -> Vec<Command> {
    let downloads = place.join(DOWNLOADS);
    let apt = Apt::below(&downloads);
    let files = packages.packages.iter().map(|package| downloads.join(package.file(&packages.architecture)));
    let extracted = files.map(|file| extract(&file, place));
    [dump(), apt.update(), apt.download(&packages.packages)].into_iter().chain(extracted).collect()
}

fn dump() -> Command {
    Command::new("apt-config").arg("dump").within(QUESTION)
}

fn extract(file: &Path, place: &Path) -> Command {
    Command::new("dpkg-deb").arg("-x").arg(file).arg(place).within(FETCH)
}

/// Puts a script beside the unpacked packages that runs their `nft` with their libraries, and runs it once.
pub(crate) fn launch_nft(
    packages: &DebianPrograms,
    place: &Path,
    onlooker: &Onlooker<'_>,
) -> Result<(), DebianError> {
    write_launcher(packages, place)
        .map_err(|source| CacheError::Unwritable { directory: place.to_owned(), source })?;
    version(&place.join(LAUNCHER), onlooker)?;
    Ok(())
}

/// The machine's configuration of APT (its sources, proxies, credentials) without what it runs after an update, which
/// works on the machine's own state, and without the indexes of desktop software centres.
fn without_hooks(configuration: &str) -> String {
    let left_out = ["APT::Update::P", "DPkg::P", "Acquire::IndexTargets", "Acquire::Languages"];
    let kept = configuration.lines().filter(|line| !left_out.iter().any(|start| line.starts_with(start)));
    kept.map(|line| format!("{line}\n")).collect()
}

fn unpack(
    program: &str,
    packages: &DebianPrograms,
    configuration: &str,
    place: &Path,
    onlooker: &Onlooker<'_>,
) -> Result<(), DebianError> {
    let unwritable = |source| CacheError::Unwritable { directory: place.to_owned(), source };
    let downloads = place.join(DOWNLOADS);
    let apt = Apt::prepare(configuration, &downloads).map_err(unwritable)?;
    apt.fetch(program, &packages.packages, onlooker)?;
    for package in &packages.packages {
        let file = downloads.join(package.file(&packages.architecture));
        check(package, &file)?;
        extract(&file, place).run_for(onlooker)?;
    }
    fs::remove_dir_all(&downloads).map_err(unwritable)?;
    Ok(())
}

fn check(package: &DebianPackage, file: &Path) -> Result<(), DebianError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let found = cache::digest(file).map_err(|error| {
        DebianError::Unfit(format!("apt-get said it had fetched {name}, and there is no such file: {error}"))
    })?;
    if found == package.sha256 {
        Ok(())
    } else {
        Err(DebianError::Hash { file: name, found, pinned: package.sha256.clone() })
    }
}

/// A script beside the packages, so that a caller needs to know one path and no library search path.
fn write_launcher(packages: &DebianPrograms, place: &Path) -> io::Result<()> {
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
    fn below(downloads: &Path) -> Apt {
        Apt { downloads: downloads.to_owned(), configuration: downloads.join("apt.conf") }
    }

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
        let apt = Apt::below(downloads);
        fs::write(&apt.configuration, format!("{configuration}{own}"))?;
        Ok(apt)
    }

    /// Leaves the packages' files in the downloads' directory.
    fn fetch(
        &self,
        program: &str,
        packages: &[DebianPackage],
        onlooker: &Onlooker<'_>,
    ) -> Result<(), CommandError> {
        let shown = |line: &str| {
            if line.starts_with("Get:") {
                onlooker.tell(&format!("  {program}: {line}"));
            }
        };
        self.update().run_with(onlooker, shown)?;
        self.download(packages).run_with(onlooker, shown)?;
        Ok(())
    }

    fn update(&self) -> Command {
        self.command().arg("update")
    }

    fn download(&self, packages: &[DebianPackage]) -> Command {
        let wanted = packages.iter().map(|package| format!("{}={}", package.name, package.version));
        self.command().arg("download").args(wanted)
    }

    /// `apt-get download` writes into the current directory.
    fn command(&self) -> Command {
        Command::new("apt-get")
            .arg("-q")
            .env("APT_CONFIG", &self.configuration)
            .directory(&self.downloads)
            .within(FETCH)
    }
}

#[cfg(test)]
#[path = "debian_tests.rs"]
mod tests;
