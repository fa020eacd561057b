//! Programs built from Go modules into the cache.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ProvisionError;
use crate::CacheError;
use crate::command::{BUILD, Command, CommandError, QUESTION};
use crate::onlooker::Onlooker;
use crate::tool::{GO, Version};

/// A module of ours that is built in a directory of the cache.
pub(crate) struct Module {
    /// What it is called in progress and errors.
    pub(crate) name: &'static str,
    /// Its files: `go.mod`, `go.sum` with the hashes of everything it needs, `main.go`.
    pub(crate) files: [(&'static str, &'static str); 3],
    /// Settings of variables at link time, `-X` each.
    pub(crate) variables: Vec<String>,
}

impl Module {
    /// Changes with whatever it is built from.
    pub(crate) fn digest(&self) -> String {
        let text: String = self
            .files
            .iter()
            .map(|(_, text)| *text)
            .chain(self.variables.iter().map(String::as_str))
            .collect();
        hex::encode(&Sha256::digest(text)[..4])
    }
}

/// Go, found on `PATH` and new enough.
#[derive(Debug)]
pub(crate) struct Go(());

impl Go {
    /// # Errors
    /// [`ProvisionError::NoGo`], with the remedy.
    pub(crate) fn find(onlooker: &Onlooker<'_>) -> Result<Go, ProvisionError> {
        let version = match ask().run_for(onlooker) {
            Ok(output) => output.stdout.trim().to_owned(),
            Err(CommandError::Start { .. }) => return Err(ProvisionError::NoGo { why: "not found".into() }),
            Err(error) => return Err(ProvisionError::NoGo { why: error.to_string() }),
        };
        if is_new_enough(&version) { Ok(Go(())) } else { Err(ProvisionError::NoGo { why: version }) }
    }

    /// Builds `module` in `place` as a program called by the module's name.
    pub(crate) fn build(
        &self,
        module: &Module,
        place: &Path,
        onlooker: &Onlooker<'_>,
    ) -> Result<(), ProvisionError> {
        let source = source_of(module, place);
        let write = || {
            fs::create_dir_all(&source)?;
            module.files.iter().try_for_each(|(name, text)| fs::write(source.join(name), text))
        };
        write().map_err(|source| CacheError::Unwritable { directory: place.to_owned(), source })?;
        self.run(module.name, build(module, place), onlooker)
    }

    /// Builds the program of a published module, `path@version`, into `place`; the checksum database vouches for it.
    pub(crate) fn install(
        &self,
        name: &'static str,
        module: &str,
        place: &Path,
        onlooker: &Onlooker<'_>,
    ) -> Result<(), ProvisionError> {
        self.run(name, install(module, place), onlooker)
    }

    /// The directory of a module that `source`'s `go.mod` asks for.
    pub(crate) fn module_directory(
        &self,
        module: &str,
        source: &Path,
        onlooker: &Onlooker<'_>,
    ) -> Result<String, CommandError> {
        Ok(list(module, source).run_for(onlooker)?.stdout.trim().to_owned())
    }

    fn run(
        &self,
        name: &'static str,
        command: Command,
        onlooker: &Onlooker<'_>,
    ) -> Result<(), ProvisionError> {
        let mut packages = 0;
        let shown = |line: &str| {
            packages += 1;
            if packages % 100 == 0 {
                onlooker.tell(&format!("  {name}: {packages} packages, {line}"));
            }
        };
        command
            .run_with(onlooker, shown)
            .map(drop)
            .map_err(|source| ProvisionError::Fetch { program: name, source })
    }
}

/// The command that says which Go there is.
pub(crate) fn ask() -> Command {
    Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").within(QUESTION)
}

/// The directory of a module's files while it is built in `place`.
pub(crate) fn source_of(module: &Module, place: &Path) -> PathBuf {
    place.join(format!("{}.source", module.name))
}

/// The command that builds `module` in `place`.
pub(crate) fn build(module: &Module, place: &Path) -> Command {
    let variables: String = module.variables.iter().map(|variable| format!(" -X {variable}")).collect();
    go().args(["build", "-v", "-trimpath", "-ldflags"])
        .arg(format!("-s -w{variables}"))
        .arg("-o")
        .arg(place.join(module.name))
        .arg(".")
        .directory(source_of(module, place))
}

/// The command that builds the program of a published module, `path@version`, into `place`.
pub(crate) fn install(module: &str, place: &Path) -> Command {
    go().args(["install", "-v", "-trimpath", "-ldflags", "-s -w", module]).env("GOBIN", place)
}

/// The command that names the directory of a module that `source`'s `go.mod` asks for.
pub(crate) fn list(module: &str, source: &Path) -> Command {
    go().args(["list", "-m", "-f", "{{.Dir}}", module]).directory(source)
}

fn go() -> Command {
    Command::new("go")
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .within(BUILD)
}

/// Whether `go1.26.8` is one that builds our modules. What is no number is somebody's own build, and may try.
fn is_new_enough(version: &str) -> bool {
    let numbers = version.trim_start_matches("go");
    let mut parts = numbers.split(['.', 'r', 'b', '-']).map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => Version(major, minor, 0) >= GO.oldest,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("go1.26.8", true)]
    #[case("go1.24", true)]
    #[case("go1.24rc1", true)]
    #[case("go1.23.12", false)]
    #[case("go2.0", true)]
    #[case("devel +abc", true)]
    fn versions(#[case] version: &str, #[case] enough: bool) {
        assert_eq!(is_new_enough(version), enough);
    }
}
