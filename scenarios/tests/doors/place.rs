//! A home for one test: a working directory and a cache that shares the provisioned programs and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use harness::clusters::{Cache, Onlooker, provision};

const CACHE: &str = "cache";
const TEMPORARY: &str = "temporary";

/// Ends every cluster of the place whose directory is its first word, then removes the place. It begins when its input
/// ends.
const SWEEP: &str = r#"
cat
place=$1
shift
for home in "$place"/cache/clusters/*/; do
    if test -d "$home"; then "$@" cluster down "$(basename "$home")"; fi
done
rm -rf --one-file-system "$place"
"#;

/// Swept when dropped, and when the tester dies without a word: a sweeper waits for the end of a pipe that nobody else
/// holds.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    sweeper: Child,
}

/// The provisioned cache: once per test process, as every user's first command does it.
fn provisioned() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let cache = Cache::from_environment().unwrap();
        provision(&cache, &Onlooker::patient(&|line| eprintln!("{line}"))).unwrap();
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
        let directory = tempfile::tempdir().unwrap();
        for name in [CACHE, TEMPORARY] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", SWEEP, "sh"]).arg(directory.path()).arg(env!("CARGO_BIN_EXE_seldon-conformance"));
        sweeper.env("SELDON_CONFORMANCE_CACHE", directory.path().join(CACHE));
        sweeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What ends the tester's process group does not end this.
        let sweeper = sweeper.process_group(0).spawn().unwrap();
        Place { directory: directory.keep(), sweeper }
    }

    /// The working directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.join(CACHE)
    }

    /// `TMPDIR`.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.directory.join(TEMPORARY)
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
        let mut pending = vec![self.directory.clone()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    pending.push(path.clone());
                }
                files.push(path.strip_prefix(&self.directory).unwrap().display().to_string());
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

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        // A test may be failing already.
        let _ = self.sweeper.wait();
    }
}

#[test]
fn a_place_takes_its_clusters_down() {
    let place = Place::new();
    let up = crate::up::Up::new(&place, "swept", "127.68.0.41", &["--mesh", "none"]);
    let (footprint, directory) = (up.footprint, place.directory().to_owned());
    drop(place);
    footprint.assert_gone();
    assert!(!directory.exists());
}
