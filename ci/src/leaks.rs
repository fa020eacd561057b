//! `leaks -- COMMAND…`: what a command leaves on this machine.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::host::{self, Snapshot};
use crate::pause;

/// How long after a command's end what it made may still be there.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the command; its temporary directory is one of its own, which must be empty afterwards.
///
/// # Errors
/// When something is left, or the command fails.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let Some((program, arguments)) = options.command.split_first() else { bail!("no command") };
    host::adopt_orphans()?;
    let scratch = tempfile::tempdir()?;
    let before = Snapshot::take();
    let mut command = Command::new(program);
    command.args(arguments).env("TMPDIR", scratch.path()).stdin(Stdio::null());
    let status = command.status().with_context(|| program.to_string_lossy().into_owned())?;
    ensure_nothing_left(&before, scratch.path())?;
    ensure!(status.success(), "nothing is left, but the command ended with {status}");
    eprintln!("nothing is left");
    Ok(())
}

/// Waits until the machine is as `before` and `scratch` is empty, for [`GRACE`] at most.
///
/// # Errors
/// Naming what is left.
pub(crate) fn ensure_nothing_left(before: &Snapshot, scratch: &std::path::Path) -> anyhow::Result<()> {
    let mut left = Vec::new();
    let clean = pause::until(GRACE, || {
        left = Snapshot::take().differences(before);
        let files = std::fs::read_dir(scratch).into_iter().flatten().filter_map(Result::ok);
        left.extend(files.map(|file| format!("temporary file left: {}", file.path().display())));
        left.is_empty()
    });
    ensure!(clean, "after {} s the machine is not as before:\n  {}", GRACE.as_secs(), left.join("\n  "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_left_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("left"), "").unwrap();
        let error = ensure_nothing_left(&Snapshot::take(), scratch.path()).unwrap_err().to_string();
        assert!(error.contains("temporary file left") && error.contains("/left"), "{error}");
    }
}
