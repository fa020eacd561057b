//! Processes below a process, by parent and never by name.

use std::collections::HashMap;
use std::fs;

/// One process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// `Z` has ended and only waits for its parent.
    pub(crate) state: char,
    /// Clock ticks since boot: with the number, it names a process for good.
    pub(crate) began: u64,
    /// What it runs, cut to 15 characters by the kernel.
    pub(crate) name: String,
}

impl Process {
    /// The process `pid`, if there is one.
    pub(crate) fn find(pid: i32) -> Option<Process> {
        parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether this very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        Process::find(self.pid).is_some_and(|now| now.began == self.began && now.state != 'Z')
    }

    /// Memory it holds, in KiB, shared pages counted in part where the kernel says so; 0 when it is gone.
    pub(crate) fn memory_kib(&self) -> u64 {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid)).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        field("smaps_rollup", "Pss:").or_else(|| field("status", "VmRSS:")).unwrap_or(0)
    }
}

/// `pid (name) state parent …`; the name may hold anything, brackets too.
fn parse(stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    Some(Process {
        pid: pid.trim().parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        state: fields.first()?.chars().next()?,
        began: fields.get(19)?.parse().ok()?,
        name: name.to_owned(),
    })
}

/// The children of every process, ended ones too.
fn families() -> HashMap<i32, Vec<Process>> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in pids.filter_map(Process::find) {
        children.entry(process.parent).or_default().push(process);
    }
    children
}

/// Everything below `pid` that has not ended, parents before children.
pub(crate) fn below(pid: i32) -> Vec<Process> {
    let mut children = families();
    let mut found: Vec<Process> = children.remove(&pid).unwrap_or_default();
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|process| process.pid) {
        found.extend(children.remove(&parent).unwrap_or_default());
        next += 1;
    }
    found.retain(|process| process.state != 'Z');
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn names_with_brackets_and_blanks() {
        let stat = "12 (a) (b c) S 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 4242 0";
        let process = parse(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.state, process.began), (12, 7, 'S', 4242));
        assert_eq!(process.name, "a) (b c");
    }

    #[test]
    fn a_child_is_below_until_it_is_gone() {
        // cat waits for its input to end.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let seen = below(own).into_iter().find(|process| process.pid == pid).unwrap();
        assert!(seen.is_alive());
        drop(child.stdin.take());
        // A test beside this one may have taken leave of it already: the process has one list of children.
        let _ = child.wait();
        assert!(!seen.is_alive());
        assert!(!below(own).iter().any(|process| process.pid == pid));
    }
}
