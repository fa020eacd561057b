//! Mount points where the host has none.
//!
//! A directory of the host is read-only and must not be changed. To put something new into it, it is covered by a small
//! writable directory that shows every old entry again by a bind mount of its own.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use super::root::bind;

/// Makes sure that `path` is a directory.
pub(super) fn ensure_directory(path: &Path) -> anyhow::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => anyhow::bail!("{} is a file", path.display()),
        Err(_) => {
            let parent = path.parent().with_context(|| format!("{} has no parent", path.display()))?;
            ensure_directory(parent)?;
            in_writable(parent, || fs::create_dir(path)).with_context(|| format!("make {}", path.display()))
        }
    }
}

/// Makes sure that something can be mounted over the file `path`: it is there, and is no symbolic link.
pub(super) fn ensure_file(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        _ => ensure_own_file(path),
    }
}

/// Makes sure that `path` is an empty file of the container's own, whatever the host has there.
pub(super) fn ensure_own_file(path: &Path) -> anyhow::Result<()> {
    let parent = path.parent().with_context(|| format!("{} has no parent", path.display()))?;
    ensure_directory(parent)?;
    cover_unless_writable(parent)?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => anyhow::bail!("{} is a directory", path.display()),
        Ok(metadata) if metadata.is_symlink() => fs::remove_file(path)?,
        Ok(_) => {
            // A bind mount of the host's file, made by `cover`: take it away, the empty file below it stays.
            let _ = nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH);
        }
        Err(_) => {}
    }
    fs::write(path, "").with_context(|| format!("make {}", path.display()))
}

fn in_writable(directory: &Path, act: impl Fn() -> std::io::Result<()>) -> anyhow::Result<()> {
    match act() {
        Err(error) if refused(&error) => {
            cover(directory)?;
            Ok(act()?)
        }
        other => Ok(other?),
    }
}

fn refused(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied)
}

fn cover_unless_writable(directory: &Path) -> anyhow::Result<()> {
    let trial = directory.join(".trial");
    in_writable(directory, || fs::write(&trial, ""))?;
    Ok(fs::remove_file(&trial)?)
}

/// Covers a read-only directory by a writable one with the same entries.
fn cover(directory: &Path) -> anyhow::Result<()> {
    let directory = fs::canonicalize(directory)?;
    let words = || format!("{} belongs to the host and cannot be added to", directory.display());
    let entries =
        fs::read_dir(&directory).with_context(words)?.collect::<Result<Vec<_>, _>>().with_context(words)?;
    let old =
        nix::fcntl::open(&directory, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).with_context(words)?;
    let links: Vec<_> = entries.iter().map(|entry| fs::read_link(entry.path()).ok()).collect();
    let kinds =
        entries.iter().map(fs::DirEntry::file_type).collect::<Result<Vec<_>, _>>().with_context(words)?;
    mount(Some("tmpfs"), &directory, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .with_context(words)?;
    for ((entry, link), kind) in entries.iter().zip(links).zip(kinds) {
        let target = directory.join(entry.file_name());
        if let Some(link) = link {
            symlink(link, &target)?;
            continue;
        }
        if kind.is_dir() {
            fs::create_dir(&target)?;
        } else {
            fs::write(&target, "")?;
        }
        let source = format!("/proc/self/fd/{}/{}", old.as_raw_fd(), entry.file_name().to_string_lossy());
        bind(&source, &target).with_context(|| format!("show {} again", target.display()))?;
    }
    Ok(())
}
