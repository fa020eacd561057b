//! The executable of our own image, built from this project's sources: static and small.

use std::path::{Path, PathBuf};

use clusters::{BUILD, Command, CommandError, Interrupted, Onlooker};
use serde_json::Value;

/// The target whose programs run in any image of a Linux machine.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where the sources were when this program was built.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Why there is no small executable. Images can hold this whole program instead.
#[derive(Debug, thiserror::Error)]
pub enum OwnProgramError {
    /// The sources are not where they were.
    #[error("the project's sources are not in {}", .0.display())]
    NoSources(PathBuf),
    /// It cannot be built.
    #[error(transparent)]
    Build(#[from] CommandError),
    /// The build says nothing of what it built.
    #[error("`{0}` names no executable")]
    Unnamed(String),
    /// Whoever waited wants it no more.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Builds it where it is not as new as the sources, which takes minutes the first time, and tells its path. `onlooker` hears
/// of it when that may be so.
///
/// # Errors
/// [`OwnProgramError`].
pub fn own_program(onlooker: &Onlooker<'_>) -> Result<PathBuf, OwnProgramError> {
    let workspace = Path::new(WORKSPACE);
    if !workspace.join("Cargo.lock").is_file() {
        return Err(OwnProgramError::NoSources(workspace.to_owned()));
    }
    onlooker.tell("building the executable of our own image (minutes the first time)");
    let build = own_build();
    let said = onlooker.unless_stopped(build.run_for(onlooker).map_err(OwnProgramError::from))?.stdout;
    executable(&said).ok_or_else(|| OwnProgramError::Unnamed(build.to_string()))
}

/// The command that builds it.
pub fn own_build() -> Command {
    Command::new("cargo")
        .args(["build", "--locked", "--quiet", "--profile", "image", "--target", TARGET])
        .args(["--package", "standin-programs", "--message-format", "json"])
        // Nothing of the machine is needed beside it.
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        .directory(WORKSPACE)
        .within(BUILD)
}

/// The executable in cargo's messages, one JSON document a line.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_one_that_cargo_names() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\nnoise\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/conformance-programs\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/conformance-programs")));
        assert_eq!(executable(""), None);
    }
}
