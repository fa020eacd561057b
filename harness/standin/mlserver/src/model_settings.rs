//! `model-settings.json`: which models a repository has.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::log;

const FILE: &str = "model-settings.json";

/// What a file says of its model.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ModelSettings {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) implementation: String,
    #[serde(default)]
    pub(crate) platform: String,
    #[serde(default)]
    pub(crate) versions: Vec<String>,
    #[serde(default)]
    pub(crate) inputs: Vec<Value>,
    #[serde(default)]
    pub(crate) outputs: Vec<Value>,
    #[serde(default)]
    pub(crate) parameters: Parameters,
    /// The directory it is in.
    #[serde(skip)]
    pub(crate) directory: PathBuf,
}

/// Its parameters, as far as anything here depends on them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) uri: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) content_type: Option<String>,
    #[serde(default)]
    pub(crate) extra: Map<String, Value>,
}

impl ModelSettings {
    fn read(file: &Path) -> Result<ModelSettings, String> {
        let text = fs::read(file).map_err(|error| error.to_string())?;
        let mut settings: ModelSettings = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        settings.directory = file.parent().unwrap_or(Path::new("/")).to_owned();
        if settings.name.is_empty() {
            let folder = settings.directory.file_name().unwrap_or_default();
            settings.name = folder.to_string_lossy().into_owned();
        }
        Ok(settings)
    }

    /// Where the artefact should be; the settings' own directory when they do not say.
    pub(crate) fn artefact(&self) -> PathBuf {
        let uri = self.parameters.uri.as_deref().unwrap_or_default();
        normal(&self.directory.join(uri.strip_prefix("file://").unwrap_or(uri)))
    }
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut folded = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                folded.pop();
            }
            other => folded.push(other),
        }
    }
    folded
}

/// Every model below `root`. Files that are no settings are left out, and said.
pub(crate) fn all_below(root: &Path) -> Vec<ModelSettings> {
    let mut files = Vec::new();
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    collect(&root, &mut files);
    let read = |file: &PathBuf| match ModelSettings::read(file) {
        Ok(settings) => Some(settings),
        Err(error) => {
            let file = file.display();
            log::error("mlserver", &format!("Failed load model settings at {file}.\n{error}"));
            None
        }
    };
    files.iter().filter_map(read).collect()
}

/// The files of a directory and of those below it; hidden ones are nobody's.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            collect(&path, files);
        } else if entry.file_name() == FILE && path.is_file() {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_wherever_they_are_and_broken_ones_left_out() {
        let root = tempfile::tempdir().unwrap();
        let write = |place: &str, text: &str| {
            let directory = root.path().join(place);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(FILE), text).unwrap();
        };
        write(
            "iris_1/1",
            r#"{"name": "iris_1", "implementation": "a.B", "parameters": {"uri": "./m", "version": "1"}}"#,
        );
        write("unnamed", r#"{"implementation": "a.B"}"#);
        write("broken", "{");
        write("without", r#"{"name": "x"}"#);
        write(".hidden", r#"{"name": "y", "implementation": "a.B"}"#);
        let mut all = all_below(root.path());
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let names: Vec<&str> = all.iter().map(|settings| settings.name.as_str()).collect();
        assert_eq!(names, ["iris_1", "unnamed"]);
        assert_eq!(all[0].artefact(), root.path().join("iris_1/1/m"));
        assert_eq!(all[1].artefact(), root.path().join("unnamed"));
    }
}
