//! What the node sees of this machine: directories that programs of a node insist on are its own.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Directories in which kubelet, containerd, runc, CNI plugins and Calico write at fixed places.
const OWN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// Gives the supervisor's mount namespace directories of its own at [`OWN`], without hiding what is in `visible`, and a
/// `/sys` that shows the node's network. Call it in the node's network namespace.
pub(crate) fn set_up(visible: &[PathBuf]) -> anyhow::Result<()> {
    // Opened before anything is hidden: a descriptor leads there afterwards too.
    let kept = visible
        .iter()
        .filter(|path| OWN.iter().any(|own| path.starts_with(own)))
        .map(|path| Ok((path, File::open(path).with_context(|| format!("cannot open {}", path.display()))?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for directory in OWN {
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .with_context(|| format!("cannot give the node a {directory} of its own"))?;
    }
    for (path, open) in kept {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        bind(Path::new(&format!("/proc/self/fd/{}", open.as_raw_fd())), path)?;
    }
    for directory in ["/run/netns", "/run/lock", "/var/lib/kubelet", "/var/lib/calico", "/var/log/pods"] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
    }
    let lock = Path::new("/run/xtables.lock");
    File::create(lock).with_context(|| format!("cannot create {}", lock.display()))?;
    own_sys()
}

/// `/sys/class/net` is of the network namespace in which `/sys` was mounted. The cgroups below it are the machine's.
fn own_sys() -> anyhow::Result<()> {
    let cgroups = Path::new("/sys/fs/cgroup");
    let aside = Path::new("/run/cgroups");
    fs::create_dir_all(aside).context("cannot make a place for cgroups")?;
    bind(cgroups, aside)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)
        .context("cannot mount the node's /sys")?;
    bind(aside, cgroups)?;
    umount2(aside, MntFlags::MNT_DETACH).context("cannot put cgroups back")
}

/// Makes `from` and what is mounted below it appear at `to`.
fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("cannot show {} at {}", from.display(), to.display()))
}
