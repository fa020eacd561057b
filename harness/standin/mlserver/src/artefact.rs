//! Looking at an artefact without running it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::model_settings::ModelSettings;

/// The one runtime that is stood in for.
const RUNTIME: &str = "mlserver_sklearn.SKLearnModel";

/// What it looks for in a directory.
const WELL_KNOWN: [&str; 3] = ["model.joblib", "model.pickle", "model.pkl"];

/// How pickles begin, and what joblib compresses them with: zlib, gzip, bzip2, xz, lzma, lz4.
const BEGINNINGS: [&[u8]; 7] = [
    &[0x80],
    &[0x78],
    &[0x1f, 0x8b],
    b"BZ",
    &[0xfd, b'7', b'z', b'X', b'Z'],
    &[0x5d, 0x00],
    &[0x04, 0x22, 0x4d, 0x18],
];

/// # Errors
/// As MLServer fails to load what these settings name.
pub(crate) fn look(settings: &ModelSettings) -> Result<(), Failure> {
    if settings.implementation != RUNTIME {
        let module = settings.implementation.split('.').next().unwrap_or_default();
        return Err(Failure::raised("ModuleNotFoundError", format!("No module named '{module}'")));
    }
    let file = found(settings)?;
    let mut beginning = [0; 8];
    let read = File::open(&file).and_then(|mut file| file.read(&mut beginning));
    let read = read.map_err(|error| Failure::raised("OSError", format!("{}: {error}", file.display())))?;
    match BEGINNINGS.iter().any(|known| beginning[..read].starts_with(known)) {
        true => Ok(()),
        false => Err(Failure::value_error(format!("{} does not begin as a pickle does", file.display()))),
    }
}

/// The artefact's file; in a directory, one of the well-known.
fn found(settings: &ModelSettings) -> Result<PathBuf, Failure> {
    let path = settings.artefact();
    if path.is_dir() {
        let inside = WELL_KNOWN.iter().map(|name| path.join(name)).find(|file| file.is_file());
        return inside.ok_or_else(|| is_directory(&path));
    }
    match path.is_file() {
        true => Ok(path),
        false => Err(Failure::NoArtefact { name: settings.name.clone(), path }),
    }
}

fn is_directory(path: &Path) -> Failure {
    Failure::raised("IsADirectoryError", format!("[Errno 21] Is a directory: '{}'", path.display()))
}
