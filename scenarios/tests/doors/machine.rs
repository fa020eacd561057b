//! What the binary is seen to have on this machine: processes by parentage, mounts, interfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

/// How long after an end something may still be there.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Looks until `done` or until `limit` has passed; whether it was done.
pub(crate) fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !done() {
        if began.elapsed() >= limit {
            return false;
        }
        // Nothing tells when other processes come and go.
        std::thread::park_timeout(Duration::from_millis(20));
    }
    true
}

/// A process, named for good by its number and its beginning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: u32,
    began: String,
}

/// Fields of `/proc/PID/stat` after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<String> = text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
    (fields.first()? != "Z").then_some(fields)
}

fn running() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The direct children of `pid` that run.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let parent = pid.to_string();
    running().into_iter().filter(|&one| stat(one).is_some_and(|fields| fields[1] == parent)).collect()
}

/// Every running process below `pid`.
pub(crate) fn below(pid: u32) -> Vec<u32> {
    let mut families: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for one in running() {
        if let Some(parent) = stat(one).and_then(|fields| fields[1].parse().ok()) {
            families.entry(parent).or_default().push(one);
        }
    }
    let mut found = families.remove(&pid).unwrap_or_default();
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(families.remove(&parent).unwrap_or_default());
        next += 1;
    }
    found
}

/// The outermost process of the cluster that `pid` holds: the child that began as a supervisor and has gone on to make
/// the pid namespace in which everything else lives, and with which the kernel ends it.
pub(crate) fn supervisor(pid: u32) -> Option<u32> {
    let began_as_one = |child: &u32| {
        let words = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        words.split('\0').any(|word| word == "embedded-supervisor")
    };
    children(pid).into_iter().find(|child| began_as_one(child) && !children(*child).is_empty())
}

/// Processes below one process, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Footprint(BTreeSet<Process>);

impl Footprint {
    /// Of everything below `pid`, and of `pid` itself.
    pub(crate) fn of(pid: u32) -> Footprint {
        let mut footprint = Footprint::default();
        for one in below(pid).into_iter().chain([pid]) {
            if let Some(fields) = stat(one) {
                footprint.0.insert(Process { pid: one, began: fields[19].clone() });
            }
        }
        footprint
    }

    /// How many processes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What of it is still there.
    fn left(&self) -> Vec<&Process> {
        let alive = |process: &&Process| stat(process.pid).is_some_and(|fields| fields[19] == process.began);
        self.0.iter().filter(alive).collect()
    }

    /// Panics unless all of it is gone within [`GRACE`].
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        assert!(!self.0.is_empty(), "nothing was seen, so nothing can be seen to be gone");
        let gone = until(GRACE, || self.left().is_empty());
        assert!(gone, "left after {GRACE:?}: {:?}", self.left());
    }
}

/// Interfaces, named network namespaces, and mounts of this test's mount namespace.
pub(crate) fn host() -> BTreeSet<String> {
    let listing = |directory: &str| {
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let label = directory.to_owned();
        entries.map(move |entry| format!("{label}/{}", entry.file_name().display())).collect::<Vec<_>>()
    };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mounts = mounts.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "));
    mounts.chain(listing("/sys/class/net")).chain(listing("/run/netns")).collect()
}

#[test]
fn a_process_is_seen_and_seen_to_go() {
    let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let footprint = Footprint::of(child.id());
    assert_eq!(footprint.len(), 1);
    assert!(children(std::process::id()).contains(&child.id()));
    assert_eq!(footprint.left().len(), 1);
    drop(child.stdin.take());
    child.wait().unwrap();
    footprint.assert_gone();
}
