//! The cgroups of clusters: one directory in each hierarchy, named after the cluster, removed when it has ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How the name of a cluster's cgroup begins.
const PREFIX: &str = "seldon-conformance-";

/// Where the machine's cgroups are.
const ROOT: &str = "/sys/fs/cgroup";

/// The cgroup of the cluster called `name`, as the kubelet takes it (`cgroupRoot`).
pub fn of(name: &str) -> String {
    format!("/{PREFIX}{name}")
}

/// Makes the cluster's cgroup in every hierarchy. With cgroup v1, a new group may use no processor until it is told which.
pub(crate) fn make(name: &str) -> io::Result<()> {
    for hierarchy in hierarchies(Path::new(ROOT))? {
        let own = hierarchy.join(format!("{PREFIX}{name}"));
        fs::create_dir_all(&own)?;
        for setting in ["cpuset.cpus", "cpuset.mems"] {
            // Version 2 inherits them.
            if hierarchy != Path::new(ROOT) && hierarchy.join(setting).exists() {
                fs::write(own.join(setting), fs::read(hierarchy.join(setting))?)?;
            }
        }
    }
    Ok(())
}

/// Removes the cgroups of the cluster called `name`. Those in which a process still is stay.
pub fn remove(name: &str) {
    remove_below(Path::new(ROOT), &format!("{PREFIX}{name}"));
}

fn remove_below(root: &Path, name: &str) {
    for hierarchy in hierarchies(root).unwrap_or_default() {
        remove_tree(&hierarchy.join(name));
    }
}

/// Names of clusters that cgroups are left of, running or not.
pub fn remaining() -> Vec<String> {
    let hierarchies = hierarchies(Path::new(ROOT)).unwrap_or_default();
    let entries = hierarchies.iter().filter_map(|hierarchy| fs::read_dir(hierarchy).ok()).flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix(PREFIX).map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The roots of all hierarchies: of version 2 there is one, of version 1 one for each controller.
fn hierarchies(root: &Path) -> io::Result<Vec<PathBuf>> {
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        // Controllers that share a hierarchy are links to one directory.
        if !path.is_symlink() && path.join("cgroup.procs").exists() {
            found.push(path);
        }
    }
    Ok(found)
}

/// A cgroup is removed as a directory, the innermost first; its files are the kernel's.
fn remove_tree(group: &Path) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // One that is still in use stays; it is found again by its name.
    let _ = fs::remove_dir(group);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_cluster_goes_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        for hierarchy in ["cpu", "memory"] {
            let hierarchy = root.path().join(hierarchy);
            fs::create_dir_all(hierarchy.join("seldon-conformance-a/kubepods/pod1")).unwrap();
            fs::create_dir_all(hierarchy.join("seldon-conformance-ab")).unwrap();
            fs::write(hierarchy.join("cgroup.procs"), "").unwrap();
        }
        remove_below(root.path(), "seldon-conformance-a");
        for hierarchy in ["cpu", "memory"] {
            let hierarchy = root.path().join(hierarchy);
            assert!(!hierarchy.join("seldon-conformance-a").exists());
            assert!(hierarchy.join("seldon-conformance-ab").exists());
        }
    }

    #[test]
    fn version_2_has_one_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu memory").unwrap();
        assert_eq!(hierarchies(root.path()).unwrap(), [root.path().to_owned()]);
    }
}
