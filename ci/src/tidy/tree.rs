//! The repository's text files, as git knows them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::source::Source;

/// One text file.
#[derive(Debug)]
pub(super) struct File {
    /// From the root, with slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// What the compiler sees, for Rust.
    pub(super) source: Option<Source>,
}

impl File {
    pub(super) fn new(path: &str, text: String) -> File {
        let source = path.ends_with(".rs").then(|| Source::of(path, &text));
        File { path: path.into(), text, source }
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Lines of the file.
    pub(super) fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// Every text file that is tracked, or would be after `git add`.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

impl Tree {
    /// Reads the repository at `root`. Files that are no UTF-8 text are left out.
    ///
    /// # Errors
    /// When git cannot list it.
    pub(super) fn read(root: &Path) -> anyhow::Result<Tree> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(root)
            .output()
            .context("git is needed to list the repository's files")?;
        ensure!(
            listing.status.success(),
            "git ls-files: {}",
            String::from_utf8_lossy(&listing.stderr).trim()
        );
        let names = String::from_utf8(listing.stdout).context("a file name is no UTF-8")?;
        let read = |name: &str| Some(File::new(name, std::fs::read_to_string(root.join(name)).ok()?));
        Ok(Tree { files: names.split('\0').filter(|name| !name.is_empty()).filter_map(read).collect() })
    }

    /// A small tree for a test.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| File::new(path, (*text).to_owned())).collect() }
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}
