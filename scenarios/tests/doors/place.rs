//! A home for one test: a working directory and a cache that shares the provisioned programs and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use harness::clusters::{Cache, provision};

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct Place(tempfile::TempDir);

/// The provisioned cache: once per test process, as every user's first command does it.
fn provisioned() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let cache = Cache::from_environment().unwrap();
        provision(&cache, &|line| eprintln!("{line}")).unwrap();
        cache.directory().to_owned()
    })
}

impl Place {
    /// With every program.
    pub(crate) fn new() -> Place {
        let place = Place::empty();
        for entry in fs::read_dir(provisioned()).unwrap() {
            let entry = entry.unwrap();
            // Programs are the directories with a manifest.
            if entry.path().join(".manifest.json").exists() {
                symlink(entry.path(), place.cache().join(entry.file_name())).unwrap();
            }
        }
        place
    }

    /// Without any program.
    pub(crate) fn empty() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for directory in [place.cache(), place.temporary()] {
            fs::create_dir(directory).unwrap();
        }
        place
    }

    /// The working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// The cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// `TMPDIR`.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.0.path().join("temporary")
    }

    /// Path of the cached program whose directory begins with `name`.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let found = fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path());
        found
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(name))
            .max()
            .unwrap_or_else(|| panic!("no program {name}"))
    }

    /// Everything in the place, relative, except what is inside cached programs.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut pending = vec![self.0.path().to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    pending.push(path.clone());
                }
                files.push(path.strip_prefix(self.0.path()).unwrap().display().to_string());
            }
        }
        files.sort();
        files
    }

    /// What is here now and was not in `before`, except `but` and what stands below it.
    pub(crate) fn added(&self, before: &[String], but: &[&str]) -> Vec<String> {
        let expected =
            |file: &String| but.iter().any(|one| file == one || file.starts_with(&format!("{one}/")));
        self.files().into_iter().filter(|file| !before.contains(file) && !expected(file)).collect()
    }
}
