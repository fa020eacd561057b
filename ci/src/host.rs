//! What a program can leave on a machine, seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use nix::sys::prctl;
use nix::unistd::Uid;
use regex::Regex;

use crate::process_tree;

/// The machine at one moment: for each kind of thing, what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<&'static str, BTreeSet<String>>);

impl Snapshot {
    /// Interfaces, named network namespaces, mounts, packet rules, shared memory, and processes below this one.
    pub(crate) fn take() -> Snapshot {
        let own = i32::try_from(std::process::id()).unwrap_or(1);
        let processes = process_tree::below(own);
        Snapshot(BTreeMap::from([
            ("network interface", listing("/sys/class/net")),
            ("network namespace", listing("/run/netns")),
            ("mount", mounts()),
            ("packet rule", rules()),
            ("shared memory", listing("/dev/shm")),
            (
                "process",
                processes.into_iter().map(|process| format!("{} ({})", process.pid, process.name)).collect(),
            ),
        ]))
    }

    /// What is here and was not in `before`, and the other way round, a line each.
    pub(crate) fn differences(&self, before: &Snapshot) -> Vec<String> {
        let mut found = Vec::new();
        for (kind, now) in &self.0 {
            let then = before.0.get(kind).cloned().unwrap_or_default();
            found.extend(now.difference(&then).map(|thing| format!("{kind} left: {thing}")));
            found.extend(then.difference(now).map(|thing| format!("{kind} gone: {thing}")));
        }
        found
    }
}

/// From now on, processes whose parents end become children of this one instead of vanishing from its sight. Those that
/// have ended are not waited for: which of them are somebody's `Child` cannot be told.
///
/// # Errors
/// The kernel's.
pub(crate) fn adopt_orphans() -> anyhow::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

fn listing(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

/// Mount points of this mount namespace with what is mounted there.
fn mounts() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    table.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect()
}

/// The host's nftables, for who may see them; counters count on and are left out.
fn rules() -> BTreeSet<String> {
    if !Uid::effective().is_root() {
        return BTreeSet::new();
    }
    let Ok(output) = Command::new("nft").args(["list", "ruleset"]).output() else { return BTreeSet::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Ok(counter) = Regex::new(r"counter packets \d+ bytes \d+") else { return BTreeSet::new() };
    let mut table = String::new();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with("table") {
            line.clone_into(&mut table);
        }
        found.insert(format!("{table} {}", counter.replace(line.trim(), "counter")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(kind: &'static str, things: &[&str]) -> Snapshot {
        Snapshot(BTreeMap::from([(kind, things.iter().map(|thing| (*thing).to_owned()).collect())]))
    }

    #[test]
    fn differences_are_named_both_ways() {
        let found = snapshot("mount", &["a", "b"]).differences(&snapshot("mount", &["b", "c"]));
        assert_eq!(found, ["mount left: a", "mount gone: c"]);
        assert_eq!(snapshot("mount", &["a"]).differences(&snapshot("mount", &["a"])), [""; 0]);
    }

    #[test]
    fn this_machine_has_a_loopback_and_mounts() {
        assert!(listing("/sys/class/net").contains("lo"));
        assert!(!mounts().is_empty());
    }
}
