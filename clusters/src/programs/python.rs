//! The Python that runs MLServer and pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::ProvisionError;
use crate::command::{BUILD, Command};
use crate::onlooker::Onlooker;

const CANDIDATES: [&str; 5] = ["python3", "python3.12", "python3.11", "python3.10", "/usr/bin/python3"];

/// How long it may take to import pip, also from a disk that is busy.
const IMPORT: Duration = Duration::from_secs(60);

const ABOUT_ITSELF: &str = r#"
import json, os, sys, sysconfig, pip
library = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
print(json.dumps({"executable": sys.executable, "major": sys.version_info[0], "minor": sys.version_info[1],
                  "micro": sys.version_info[2], "library": sorted(library)}))
"#;

/// A usable Python.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    /// Its real executable, not a shim.
    pub(crate) executable: PathBuf,
    /// `cp311`, part of the names of directories that depend on it.
    pub(crate) tag: String,
    /// `3.11.7`.
    pub(crate) version: String,
    /// Directories of its own modules.
    pub(crate) library: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Answer {
    executable: PathBuf,
    major: u32,
    minor: u32,
    micro: u32,
    library: Vec<PathBuf>,
}

impl Python {
    /// The first usable Python on `PATH`: 3.10 to 3.12 (MLServer 1.7.1's range with our pins), with pip.
    pub(crate) fn find(onlooker: &Onlooker<'_>) -> Result<Python, ProvisionError> {
        let mut tried = Vec::new();
        for candidate in CANDIDATES {
            match Python::ask(candidate, onlooker) {
                Ok(python) => return Ok(python),
                Err(reason) => {
                    onlooker.go_on()?;
                    tried.push(format!("{candidate}: {reason}"));
                }
            }
        }
        Err(ProvisionError::NoPython { tried: tried.join("; ") })
    }

    fn ask(candidate: &str, onlooker: &Onlooker<'_>) -> Result<Python, String> {
        let output =
            Command::new(candidate).args(["-c", ABOUT_ITSELF]).within(IMPORT).run_for(onlooker).map_err(
                |error| match error {
                    crate::CommandError::Start { .. } => "not found".to_owned(),
                    crate::CommandError::Expired { .. } => error.to_string(),
                    error => error.stderr().lines().last().unwrap_or("cannot run").trim().to_owned(),
                },
            )?;
        let answer: Answer = serde_json::from_str(output.stdout.trim()).map_err(|error| error.to_string())?;
        let version = format!("{}.{}.{}", answer.major, answer.minor, answer.micro);
        if answer.major != 3 || !(10..=12).contains(&answer.minor) {
            return Err(format!("is {version}"));
        }
        Ok(Python {
            executable: answer.executable,
            tag: format!("cp{}{}", answer.major, answer.minor),
            version,
            library: answer.library,
        })
    }

    /// Installs `requirements` into `place`, binaries only, hashes required.
    pub(crate) fn install(
        &self,
        program: &'static str,
        requirements: &str,
        place: &Path,
        onlooker: &Onlooker<'_>,
    ) -> Result<(), ProvisionError> {
        let file = requirements_of(place);
        fs::write(&file, requirements)
            .map_err(|source| crate::CacheError::Unwritable { directory: place.to_owned(), source })?;
        let install = install(&self.executable, place);
        let shown = |line: &str| {
            let step = line.trim();
            if ["Collecting", "Downloading", "Installing"].iter().any(|verb| step.starts_with(verb)) {
                onlooker.tell(&format!("  {program}: {}", step.chars().take(100).collect::<String>()));
            }
        };
        install
            .run_with(onlooker, shown)
            .map(|_| ())
            .map_err(|source| ProvisionError::Fetch { program, source })
    }
}

/// Where a program's requirements stand.
fn requirements_of(place: &Path) -> PathBuf {
    place.join("requirements.txt")
}

/// The command that installs the requirements in `place` there.
pub(crate) fn install(python: &Path, place: &Path) -> Command {
    Command::new(python.to_string_lossy())
        .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"])
        .args(["--no-warn-script-location", "--progress-bar", "off", "--only-binary", ":all:"])
        .args(["--require-hashes", "--no-deps", "--target"])
        .arg(place)
        .arg("--requirement")
        .arg(requirements_of(place))
        // pip assembles everything in a temporary directory first; the machine's may be small.
        .env("TMPDIR", place)
        .within(BUILD)
}
