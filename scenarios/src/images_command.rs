//! `images write` and `images push`: the images that pods of the harness run from, as a file and in a registry.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use harness::Pace;
use harness::clusters::{
    Cache, Onlooker, ProgramImage, Programs, RegistryPlace, Transport, images_fingerprint, provision,
    push_images, write_images,
};
use harness::images::{needed, own};
use harness::seldon::SeldonSource;
use reports::ExitCode;
use tokio_util::sync::CancellationToken;

use crate::given_command::runtime;
use crate::kubernetes_command::own_executable;
use crate::options::{Failure, ImagesAction, ImagesOptions};
use crate::real_options::{ARCHIVES, archive};
use crate::run_command::stop_on_interrupt;
use crate::screen::{remark, say};

/// How long an archive is kept that no run writes again.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Does what `action` says.
pub(crate) fn run(action: &ImagesAction) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let stop = stop_on_interrupt()?;
    match action {
        ImagesAction::Write { file, what } => {
            let seldon = what.source()?;
            make(&seldon, what.pace.into(), &cache, file, &stop)?;
            say(format!("{} holds:", file.display()));
            needed(&seldon).iter().for_each(|image| say(format!("  {image}")));
        }
        ImagesAction::Push { registry, plain_http, what } => {
            let transport = if *plain_http { Transport::PlainHttp } else { Transport::Https };
            push(registry, transport, what, &cache, &stop)?;
        }
    }
    Ok(ExitCode::AllPassed)
}

/// Puts them into a registry, by an archive that is kept.
fn push(
    registry: &RegistryPlace,
    transport: Transport,
    what: &ImagesOptions,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let seldon = what.source()?;
    let archive = kept(&seldon, what.pace.into(), cache, stop)?;
    runtime()?.block_on(async {
        tokio::select! {
            pushed = push_images(&archive, registry, transport, &|line| remark(line)) => pushed.map_err(Failure::machine),
            () = stop.cancelled() => Err(Failure::machine("interrupted; images that were told before the last are there")),
        }
    })?;
    say(format!("{registry} has:"));
    needed(&seldon).iter().for_each(|image| say(format!("  {}", registry.name_of(image))));
    Ok(())
}

/// Writes what a mesh of `seldon` needs to `file`.
fn make(
    seldon: &SeldonSource,
    pace: Pace,
    cache: &Cache,
    file: &Path,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let wish = || stop.is_cancelled();
    let (images, executable) = ingredients(seldon, pace, cache, &Onlooker::new(&|line| remark(line), &wish))?;
    remark("making images of the provisioned programs");
    write_images(&images, &executable, file).map_err(Failure::machine)
}

/// The archive of what a mesh of `seldon` needs, in the cache under a name that tells what it holds: written once.
pub(crate) fn kept(
    seldon: &SeldonSource,
    pace: Pace,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<PathBuf, Failure> {
    let wish = || stop.is_cancelled();
    let onlooker = Onlooker::new(&|line| remark(line), &wish);
    let (images, executable) = ingredients(seldon, pace, cache, &onlooker)?;
    let content = images_fingerprint(&images, &executable)
        .map_err(|(file, error)| Failure::machine(format!("cannot read {}: {error}", file.display())))?;
    let file = archive(cache, &content);
    // Another run may be about to write it, too.
    let _guard = cache.lock(&onlooker).map_err(Failure::machine)?;
    if !is_kept(&file).map_err(Failure::machine)? {
        forget_old_archives(cache);
        remark("making images of the provisioned programs");
        write_images(&images, &executable, &file).map_err(Failure::machine)?;
    }
    Ok(file)
}

/// Whether an archive is there; to whoever removes old ones it is then one of today's.
fn is_kept(file: &Path) -> io::Result<bool> {
    match File::options().append(true).open(file) {
        Ok(archive) => archive.set_modified(SystemTime::now()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes archives that no run has wanted today: one that a run of now loads is younger.
fn forget_old_archives(cache: &Cache) {
    for entry in fs::read_dir(cache.directory()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let is_old = written.and_then(|written| written.elapsed().ok()).is_some_and(|age| age > A_DAY);
        if is_old && name.starts_with(ARCHIVES) && name.ends_with(".tar") {
            // It takes room and does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn ingredients(
    seldon: &SeldonSource,
    pace: Pace,
    cache: &Cache,
    onlooker: &Onlooker<'_>,
) -> Result<(Vec<ProgramImage>, PathBuf), Failure> {
    let programs = provision(cache, onlooker).map_err(Failure::machine)?;
    let executable = match own_executable(onlooker)? {
        Some(own) => own,
        None => std::env::current_exe().map_err(Failure::machine)?,
    };
    Ok((images(&programs, seldon, pace), executable))
}

/// The images of them.
pub(crate) fn images(programs: &Programs, seldon: &SeldonSource, pace: Pace) -> Vec<ProgramImage> {
    let mut images = own(programs, pace, seldon.model_server());
    images.retain(|image| needed(seldon).contains(&image.reference.as_str()));
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_wanted_again_is_not_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let [wanted, old, other] = ["images-a.tar", "images-b.tar", "manifest.tar"].map(|name| {
            let file = directory.path().join(name);
            File::create(&file).unwrap().set_modified(SystemTime::now() - 3 * A_DAY).unwrap();
            file
        });
        assert!(is_kept(&wanted).unwrap());
        assert!(!is_kept(&directory.path().join("images-c.tar")).unwrap());
        forget_old_archives(&cache);
        assert_eq!([&wanted, &old, &other].map(|file| file.exists()), [true, false, true]);
    }
}
