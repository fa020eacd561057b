//! A container's file system: the host's directories, read-only, under a root of the container's own.
//!
//! There are no image layers. What an image holds that matters (programs, a few files) comes from the image table; the rest is
//! the host's `/usr` and its like. `/tmp`, `/run`, `/mnt` and whatever else is made under `/` are the container's own and
//! vanish with it.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::mount_point;
use super::spec::{Access, ContainerSpec, MountSpec};

const NONE: Option<&str> = None;
/// Where the host's root is while the container's is built.
const HOST: &str = "/.host";
/// Entries of the host's root that a container has of its own.
const OWN: [&str; 7] = ["proc", "sys", "dev", "tmp", "run", "mnt", "lost+found"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Builds the root and moves into it. The calling process must be process 1 of a new PID namespace.
pub(super) fn build(spec: &ContainerSpec) -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).context("make mounts private")?;
    // Opened while their paths still mean what the node meant.
    let sources = spec.mounts.iter().map(|it| open_source(&it.source)).collect::<anyhow::Result<Vec<_>>>()?;
    mount(Some("tmpfs"), &spec.staging, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .with_context(|| format!("mount a tmpfs on {}", spec.staging.display()))?;
    fs::create_dir(spec.staging.join(&HOST[1..]))?;
    nix::unistd::pivot_root(&spec.staging, &spec.staging.join(&HOST[1..])).context("pivot_root")?;
    std::env::set_current_dir("/")?;
    bind_host_directories()?;
    make_own_directories()?;
    for path in &spec.visible {
        if !path.exists() {
            fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
            bind_read_only(&format!("{HOST}{}", path.display()), path)?;
        }
    }
    for (wanted, source) in spec.mounts.iter().zip(sources) {
        bind_volume(wanted, source)?;
    }
    for (path, text) in &spec.files {
        write_file(path, text).with_context(|| format!("write the image's file {path}"))?;
    }
    umount2(HOST, MntFlags::MNT_DETACH).context("leave the host's root")?;
    fs::remove_dir(HOST).context("remove the host's root")
}

fn open_source(path: &Path) -> anyhow::Result<OwnedFd> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .with_context(|| format!("open {} to mount it", path.display()))
}

fn bind_host_directories() -> anyhow::Result<()> {
    for entry in fs::read_dir(HOST).context("list the host's root")? {
        let entry = entry?;
        let name = entry.file_name();
        let own = name.to_str().is_some_and(|name| OWN.contains(&name) || HOST.ends_with(name));
        let target = Path::new("/").join(&name);
        let kind = entry.file_type()?;
        if own || target.exists() {
            continue;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_dir() {
            fs::create_dir(&target)?;
            bind_read_only(&entry.path().to_string_lossy(), &target)?;
        }
    }
    Ok(())
}

fn make_own_directories() -> anyhow::Result<()> {
    for (path, mode) in
        [("/proc", 0o755), ("/sys", 0o755), ("/dev", 0o755), ("/dev/shm", 0o1777), ("/dev/pts", 0o755)]
            .into_iter()
            .chain([("/tmp", 0o1777), ("/run", 0o755), ("/mnt", 0o755)])
    {
        fs::create_dir(path).with_context(|| format!("make {path}"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, NONE).context("mount /proc")?;
    // Not every host shows /sys, and nothing here needs it.
    let _ = bind_read_only(&format!("{HOST}/sys"), Path::new("/sys"));
    for device in DEVICES {
        let (source, target) = (format!("{HOST}/dev/{device}"), format!("/dev/{device}"));
        fs::write(&target, "")?;
        bind(&source, Path::new(&target)).with_context(|| format!("bind {target}"))?;
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ] {
        symlink(target, link)?;
    }
    // Terminals opened inside need it; an exec's own terminal comes from the node.
    let _ = mount(
        Some("devpts"),
        "/dev/pts",
        Some("devpts"),
        MsFlags::MS_NOSUID,
        Some("newinstance,ptmxmode=0666,mode=0620"),
    );
    Ok(())
}

fn bind_volume(wanted: &MountSpec, source: OwnedFd) -> anyhow::Result<()> {
    let path = format!("/proc/self/fd/{}", source.as_raw_fd());
    let target = Path::new(&wanted.target);
    let made = if fs::metadata(&path)?.is_dir() {
        mount_point::ensure_directory(target)
    } else {
        mount_point::ensure_file(target)
    };
    made.with_context(|| format!("make the mount point {} for {}", wanted.target, wanted.source.display()))?;
    bind(&path, target).with_context(|| format!("bind {} at {}", wanted.source.display(), wanted.target))?;
    match wanted.access {
        Access::ReadWrite => Ok(()),
        Access::ReadOnly => make_read_only(target),
    }
}

fn write_file(path: &str, text: &str) -> anyhow::Result<()> {
    let target = Path::new(path);
    mount_point::ensure_own_file(target)?;
    fs::write(target, text)?;
    let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
    fs::set_permissions(target, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Recursive, because mounts that came from a more privileged namespace are locked together.
pub(super) fn bind(source: &str, target: &Path) -> nix::Result<()> {
    mount(Some(source), target, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
}

fn bind_read_only(source: &str, target: &Path) -> anyhow::Result<()> {
    bind(source, target).with_context(|| format!("bind {source} at {}", target.display()))?;
    make_read_only(target)
}

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Makes a mount and all below it read-only (`mount_setattr`, Linux 5.12).
#[expect(unsafe_code, reason = "nix has no wrapper for mount_setattr")]
fn make_read_only(target: &Path) -> anyhow::Result<()> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let path = std::ffi::CString::new(target.to_string_lossy().into_owned())?;
    let attributes = MountAttributes { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path is a C string and the structure is the kernel's first version of `mount_attr`, with its size.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    Errno::result(result).map(drop).with_context(|| format!("make {} read-only", target.display()))
}
