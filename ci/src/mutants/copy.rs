//! A copy of the repository, in which lines can be broken while the repository stays whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Where the copy and its programs are: below the target directory.
#[derive(Debug)]
pub(super) struct Place {
    target: PathBuf,
}

impl Place {
    /// `mutants` in the target directory of the repository at `root`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn beside_target(root: &Path) -> anyhow::Result<Place> {
        let target = std::path::absolute(super::target_directory(root))?;
        fs::create_dir_all(target.join("mutants/tree"))?;
        Ok(Place { target })
    }

    /// The target directory of ordinary builds.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// The copy.
    pub(super) fn tree(&self) -> PathBuf {
        self.target.join("mutants/tree")
    }

    /// Where its programs go.
    pub(super) fn programs(&self) -> PathBuf {
        self.target.join("mutants/programs")
    }

    /// Makes the copy as the repository is now. Files that are as they should be are left alone, so that cargo builds
    /// nothing twice.
    ///
    /// # Errors
    /// When git cannot list the repository, or a file cannot be written.
    pub(super) fn refresh(&self, root: &Path) -> anyhow::Result<()> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(root)
            .output()
            .context("git")?;
        ensure!(
            listing.status.success(),
            "git ls-files: {}",
            String::from_utf8_lossy(&listing.stderr).trim()
        );
        let names = String::from_utf8(listing.stdout)?;
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let copy = self.tree().join(name);
            match fs::read(root.join(name)) {
                Ok(bytes) if fs::read(&copy).is_ok_and(|old| old == bytes) => {}
                Ok(bytes) => {
                    copy.parent().map(fs::create_dir_all).transpose()?;
                    fs::write(&copy, bytes).with_context(|| copy.display().to_string())?;
                }
                // Listed, but deleted since.
                Err(_) if copy.exists() => fs::remove_file(&copy)?,
                Err(_) => {}
            }
        }
        Ok(())
    }
}
