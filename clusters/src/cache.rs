//! The cache directory: where provisioned programs live, whole or not at all.
//!
//! A program is installed into a temporary directory beside its place and renamed: a killed download leaves no half
//! program. A manifest of every file lets later runs see damage without reading the files. One lock serialises
//! installers; readers need none.

mod lock;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::onlooker::Interrupted;
pub(crate) use lock::Guard;

const VARIABLE: &str = Cache::VARIABLE;
const MANIFEST: &str = ".manifest.json";

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No variable says where it could be.
    #[error(
        "there is no place for a cache: set {VARIABLE} to a writable directory (HOME and XDG_CACHE_HOME are unset)"
    )]
    Homeless,
    /// It cannot be written.
    #[error("cannot write to the cache directory {}: {source}; set {VARIABLE} to a writable directory with 3 GB free", .directory.display())]
    Unwritable {
        /// The cache directory.
        directory: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file of a program is not what was installed.
    #[error("the cached program in {} is damaged: {what}; remove that directory (`rm -r {}`) and run again", .directory.display(), .directory.display())]
    Damaged {
        /// The program's directory.
        directory: PathBuf,
        /// Which file and how.
        what: String,
    },
    /// Whoever waited for another installer does so no more.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// The cache directory.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct ManifestEntry {
    path: PathBuf,
    size: u64,
    modified_nanoseconds: u128,
    sha256: String,
}

impl Cache {
    /// Environment variable that names the cache directory.
    pub const VARIABLE: &str = "SELDON_CONFORMANCE_CACHE";

    /// `SELDON_CONFORMANCE_CACHE`, else `$XDG_CACHE_HOME/seldon-conformance`, else `~/.cache/seldon-conformance`.
    ///
    /// # Errors
    /// [`CacheError::Homeless`] when none of them is set.
    pub fn from_environment() -> Result<Cache, CacheError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = set(VARIABLE)
            .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("seldon-conformance")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/seldon-conformance")))
            .ok_or(CacheError::Homeless)?;
        Ok(Cache::at(std::path::absolute(&directory).unwrap_or(directory)))
    }

    /// The cache in `directory`.
    pub fn at(directory: PathBuf) -> Cache {
        Cache { directory }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// An always empty directory over which each supervisor mounts its own file system.
    ///
    /// # Errors
    /// [`CacheError::Unwritable`].
    pub fn mountpoint(&self) -> Result<PathBuf, CacheError> {
        let path = self.future_mountpoint();
        if !path.is_dir() {
            fs::create_dir_all(&path).map_err(|source| self.unwritable(source))?;
        }
        fs::canonicalize(&path).map_err(|source| self.unwritable(source))
    }

    /// Where that directory is, or will be.
    pub(crate) fn future_mountpoint(&self) -> PathBuf {
        self.directory.join("mountpoint")
    }

    /// Where `name` is while it is being made.
    pub fn workplace(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.partial"))
    }

    /// The program in `name`, when it is there and undamaged.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] when a file is missing or differs from what was installed.
    pub fn find(&self, name: &str) -> Result<Option<PathBuf>, CacheError> {
        let directory = self.directory.join(name);
        let text = match fs::read_to_string(directory.join(MANIFEST)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.exists() => return Ok(None),
            Err(error) => return Err(damaged(&directory, format!("its manifest: {error}"))),
        };
        let entries: Vec<ManifestEntry> = serde_json::from_str(&text)
            .map_err(|error| damaged(&directory, format!("its manifest: {error}")))?;
        for entry in &entries {
            check(&directory, entry).map_err(|what| damaged(&directory, what))?;
        }
        // Containers see other mounts than we do: a link that leads through one of them leads nowhere there.
        let place = fs::canonicalize(&directory).map_err(|error| damaged(&directory, error.to_string()))?;
        Ok(Some(place))
    }

    /// Makes `name` by letting `fill` write into a temporary directory, which then takes its place at once.
    ///
    /// # Errors
    /// What `fill` says, or [`CacheError::Unwritable`].
    pub fn install<E: From<CacheError>>(
        &self,
        _guard: &Guard,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let unwritable = |source| E::from(self.unwritable(source));
        // Whoever held the lock before and was killed left its half-made directory under this name.
        let temporary = self.workplace(name);
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(unwritable)?;
        }
        fs::create_dir_all(&temporary).map_err(unwritable)?;
        let discard = Discard(temporary.clone());
        fill(&temporary)?;
        let entries = manifest(&temporary).map_err(unwritable)?;
        let text = serde_json::to_string(&entries).map_err(|error| unwritable(error.into()))?;
        fs::write(temporary.join(MANIFEST), text).map_err(unwritable)?;
        let place = self.directory.join(name);
        fs::rename(&temporary, &place).map_err(unwritable)?;
        std::mem::forget(discard);
        fs::canonicalize(&place).map_err(unwritable)
    }

    pub(crate) fn unwritable(&self, source: io::Error) -> CacheError {
        CacheError::Unwritable { directory: self.directory.clone(), source }
    }
}

/// Removes a half-made directory when installing fails.
struct Discard(PathBuf);

impl Drop for Discard {
    fn drop(&mut self) {
        // The next installer removes it otherwise.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn damaged(directory: &Path, what: String) -> CacheError {
    CacheError::Damaged { directory: directory.to_owned(), what }
}

/// Size and time of change tell an untouched file; only a touched one is read again.
fn check(directory: &Path, entry: &ManifestEntry) -> Result<(), String> {
    let path = directory.join(&entry.path);
    let name = entry.path.display();
    let metadata = fs::metadata(&path).map_err(|error| format!("{name}: {error}"))?;
    if metadata.len() != entry.size {
        return Err(format!("{name} has {} bytes instead of {}", metadata.len(), entry.size));
    }
    let touched =
        modified(&metadata).map_err(|error| format!("{name}: {error}"))? != entry.modified_nanoseconds;
    if touched && digest(&path).map_err(|error| format!("{name}: {error}"))? != entry.sha256 {
        return Err(format!("{name} has other contents than were installed"));
    }
    Ok(())
}

fn modified(metadata: &fs::Metadata) -> io::Result<u128> {
    Ok(metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos())
}

fn manifest(root: &Path) -> io::Result<Vec<ManifestEntry>> {
    let mut entries = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                pending.push(path);
            } else if metadata.is_file() && !is_the_machines(&path) {
                let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
                let modified_nanoseconds = modified(&metadata)?;
                let sha256 = digest(&path)?;
                entries.push(ManifestEntry {
                    path: relative,
                    size: metadata.len(),
                    modified_nanoseconds,
                    sha256,
                });
            }
        }
    }
    Ok(entries)
}

/// Bundles of certificate authorities belong to the machine: some add their own authority to every one they find.
fn is_the_machines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "pem")
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onlooker::Onlooker;

    fn installed(cache: &Cache) -> PathBuf {
        let guard = cache.lock(&Onlooker::patient(&|_| {})).unwrap();
        cache
            .install::<CacheError>(&guard, "thing-1", |place| {
                fs::create_dir(place.join("bin")).unwrap();
                fs::write(place.join("bin/thing"), "contents").unwrap();
                Ok(())
            })
            .unwrap()
    }

    #[test]
    fn an_installed_program_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().join("cache"));
        assert_eq!(cache.find("thing-1").unwrap(), None);
        let place = installed(&cache);
        assert_eq!(cache.find("thing-1").unwrap(), Some(place));
    }

    #[test]
    fn a_program_behind_a_link_is_found_where_it_really_is() {
        let directory = tempfile::tempdir().unwrap();
        let real = installed(&Cache::at(directory.path().join("cache")));
        std::os::unix::fs::symlink(directory.path().join("cache"), directory.path().join("link")).unwrap();
        let linked = Cache::at(directory.path().join("link"));
        assert_eq!(linked.find("thing-1").unwrap(), Some(real));
        assert_eq!(
            linked.mountpoint().unwrap(),
            fs::canonicalize(directory.path().join("cache/mountpoint")).unwrap()
        );
    }

    #[test]
    fn a_failed_installation_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let guard = cache.lock(&Onlooker::patient(&|_| {})).unwrap();
        let result = cache.install::<CacheError>(&guard, "thing-1", |place| {
            fs::write(place.join("half"), "…").unwrap();
            Err(CacheError::Homeless)
        });
        assert!(result.is_err());
        assert_eq!(cache.find("thing-1").unwrap(), None);
        assert!(!directory.path().join("thing-1.partial").exists());
    }

    #[test]
    fn a_killed_installer_is_cleaned_up_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        fs::create_dir(directory.path().join("thing-1.partial")).unwrap();
        fs::write(directory.path().join("thing-1.partial/half"), "…").unwrap();
        let place = installed(&cache);
        assert!(!place.join("half").exists());
    }

    #[test]
    fn damage_is_seen_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let place = installed(&cache);
        fs::write(place.join("bin/thing"), "cont3nts").unwrap();
        let error = cache.find("thing-1").unwrap_err().to_string();
        assert!(error.contains("bin/thing has other contents") && error.contains("rm -r"), "{error}");
        fs::write(place.join("bin/thing"), "short").unwrap();
        assert!(cache.find("thing-1").unwrap_err().to_string().contains("5 bytes instead of 8"));
        fs::remove_file(place.join("bin/thing")).unwrap();
        assert!(cache.find("thing-1").unwrap_err().to_string().contains("bin/thing: No such file"));
    }

    #[test]
    fn an_unwritable_cache_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::at(file.join("cache")).lock(&Onlooker::patient(&|_| {})).unwrap_err().to_string();
        assert!(error.contains("SELDON_CONFORMANCE_CACHE"), "{error}");
    }
}
