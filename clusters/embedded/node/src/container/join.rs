//! Entering a running container.

use std::fs::File;
use std::os::fd::OwnedFd;

use anyhow::Context;
use nix::sched::{CloneFlags, setns};

/// The namespaces of a container, opened; the PID namespace is already entered (it holds for children only).
pub(super) struct Namespaces {
    others: Vec<(&'static str, OwnedFd, CloneFlags)>,
}

impl Namespaces {
    /// Those of process `pid`. Call before the fork.
    pub(super) fn of(pid: i32) -> anyhow::Result<Namespaces> {
        let open = |name: &'static str| -> anyhow::Result<OwnedFd> {
            let path = format!("/proc/{pid}/ns/{name}");
            File::open(&path).map(OwnedFd::from).with_context(|| format!("open {path}"))
        };
        let others = vec![
            ("net", open("net")?, CloneFlags::CLONE_NEWNET),
            ("uts", open("uts")?, CloneFlags::CLONE_NEWUTS),
            ("ipc", open("ipc")?, CloneFlags::CLONE_NEWIPC),
            // Last: afterwards `/` is the container's.
            ("mnt", open("mnt")?, CloneFlags::CLONE_NEWNS),
        ];
        setns(open("pid")?, CloneFlags::CLONE_NEWPID).context("enter the container's PID namespace")?;
        Ok(Namespaces { others })
    }

    /// Enters them. Call in the child.
    pub(super) fn enter(self) -> anyhow::Result<()> {
        for (name, namespace, flag) in self.others {
            setns(namespace, flag).with_context(|| format!("enter the container's {name} namespace"))?;
        }
        Ok(())
    }
}
