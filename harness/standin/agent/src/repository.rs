//! The model repository on disk: `<folder>/models/<internal name>/<pinned version>/…`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use seldon_proto::scheduler::ModelSpec;

use crate::model_settings::{self, FILE};
use crate::names::PINNED_VERSION;
use crate::rclone::Rclone;
use crate::storage::Remote;

/// Downloads models and lays them out for MLServer.
#[derive(Clone)]
pub(crate) struct Repository {
    folder: PathBuf,
    rclone: Rclone,
}

impl Repository {
    pub(crate) fn new(folder: PathBuf, rclone: Rclone) -> Repository {
        Repository { folder, rclone }
    }

    pub(crate) fn rclone(&self) -> &Rclone {
        &self.rclone
    }

    /// Fetches a model and writes its settings; the directory of the download that was chosen.
    ///
    /// # Errors
    /// The text the scheduler is told.
    pub(crate) async fn download(
        &self,
        model: &str,
        spec: &ModelSpec,
        remote: Option<&Remote>,
    ) -> Result<PathBuf, String> {
        let download = self.rclone.copy(model, &spec.uri, remote).await?;
        let laid_out = self.lay_out(model, spec, &download);
        let purged = self.rclone.purge(&download).await;
        match (laid_out, purged) {
            (Ok(chosen), Ok(())) => Ok(chosen),
            (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
            (Err(first), Err(second)) => Err(format!("{first}\n{second}")),
        }
    }

    fn lay_out(&self, model: &str, spec: &ModelSpec, download: &Path) -> Result<PathBuf, String> {
        let chosen = choose_version(model, spec.artifact_version, download)?;
        let target = self.folder.join(model).join(PINNED_VERSION.to_string());
        let written = |error: io::Error| format!("open {}: {error}", target.display());
        if target.exists() {
            fs::remove_dir_all(&target).map_err(written)?;
        }
        copy_tree(&chosen, &target).map_err(written)?;
        model_settings::complete(&target, model, PINNED_VERSION, spec)?;
        Ok(chosen)
    }

    /// Removes a model's directory; an absent one is fine.
    ///
    /// # Errors
    /// The system's text.
    pub(crate) fn remove(&self, model: &str) -> Result<(), String> {
        match fs::remove_dir_all(self.folder.join(model)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        }
    }
}

/// The directory with the artefact: the top level when it has settings, else the wanted or the highest version
/// folder that has them, else the top level when no version was asked for.
fn choose_version(model: &str, wanted: Option<u32>, download: &Path) -> Result<PathBuf, String> {
    if download.join(FILE).is_file() {
        return Ok(download.to_owned());
    }
    let mut found = Vec::new();
    with_settings(download, &mut found).map_err(|error| error.to_string())?;
    let number =
        |folder: &Path| folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    let mut versions: Vec<(u32, PathBuf)> =
        found.into_iter().filter_map(|folder| Some((number(&folder)?, folder))).collect();
    versions.sort();
    match wanted {
        None => Ok(versions.pop().map_or_else(|| download.to_owned(), |(_, folder)| folder)),
        Some(version) => {
            let matching: Vec<_> = versions.into_iter().filter(|(number, _)| *number == version).collect();
            match matching.as_slice() {
                [(_, folder)] => Ok(folder.clone()),
                [] => Err(format!(
                    "Failed to find an mlserver model-settings.json file for model in {} for {model} for passed in \
                     version {version}",
                    download.display()
                )),
                _ => Err(format!("found multiple folders with version {version} {matching:?}")),
            }
        }
    }
}

fn with_settings(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            with_settings(&entry.path(), found)?;
        } else if entry.file_name() == FILE {
            found.push(folder.to_owned());
        }
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::top_level_wins(&["model-settings.json", "2/model-settings.json"], Some(7), Ok(""))]
    #[case::highest(&["1/model-settings.json", "12/model-settings.json", "3/model-settings.json"], None, Ok("12"))]
    #[case::wanted(&["1/model-settings.json", "12/model-settings.json"], Some(1), Ok("1"))]
    #[case::no_settings(&["model.joblib"], None, Ok(""))]
    #[case::absent(&["1/model-settings.json"], Some(2), Err("for m_1 for passed in version 2"))]
    fn version_folders(
        #[case] files: &[&str],
        #[case] wanted: Option<u32>,
        #[case] expected: Result<&str, &str>,
    ) {
        let download = tempfile::tempdir().unwrap();
        for file in files {
            let path = download.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        match (choose_version("m_1", wanted, download.path()), expected) {
            (Ok(chosen), Ok(folder)) => assert_eq!(chosen, download.path().join(folder)),
            (Err(error), Err(text)) => assert!(error.contains(text), "{error}"),
            (got, _) => panic!("{got:?}"),
        }
    }
}
