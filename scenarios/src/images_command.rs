//! `images write`: the images that pods of the harness run from, as a file.

use std::path::Path;

use harness::Pace;
use harness::clusters::{Cache, ProgramImage, Programs, provision, write_images};
use harness::images::{needed, own};
use harness::seldon::SeldonSource;
use reports::ExitCode;

use crate::kubernetes_command::own_executable;
use crate::options::{Failure, ImagesAction};
use crate::screen::{remark, say};

/// Does what `action` says.
pub(crate) fn run(action: &ImagesAction) -> Result<ExitCode, Failure> {
    let ImagesAction::Write { file, seldon, pace } = action;
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    make(seldon, (*pace).into(), &cache, file)?;
    say(format!("{} holds:", file.display()));
    needed(seldon).iter().for_each(|image| say(format!("  {image}")));
    Ok(ExitCode::AllPassed)
}

/// Writes what a mesh of `seldon` needs to `file`.
pub(crate) fn make(seldon: &SeldonSource, pace: Pace, cache: &Cache, file: &Path) -> Result<(), Failure> {
    let tell = |line: &str| remark(line);
    let programs = provision(cache, &tell).map_err(Failure::machine)?;
    let executable = match own_executable(&tell) {
        Some(own) => own,
        None => std::env::current_exe().map_err(Failure::machine)?,
    };
    tell("making images of the provisioned programs");
    // Another run may be about to write them too.
    let _guard = cache.lock(|| tell("waiting for another run")).map_err(Failure::machine)?;
    write_images(&images(&programs, seldon, pace), &executable, file).map_err(Failure::machine)
}

/// The images of them.
pub(crate) fn images(programs: &Programs, seldon: &SeldonSource, pace: Pace) -> Vec<ProgramImage> {
    let mut images = own(programs, pace);
    images.retain(|image| needed(seldon).contains(&image.reference.as_str()));
    images
}
