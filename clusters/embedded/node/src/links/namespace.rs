//! New network namespaces.

use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, unshare};

use super::netlink::{LinkError, Netlink};
use super::sysctl;

/// A network namespace held open, with a netlink socket inside it.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) fd: OwnedFd,
    pub(super) netlink: Netlink,
}

impl Namespace {
    /// Makes a namespace without IPv6. A thread of its own enters it and ends; the caller stays where it is.
    pub(super) fn create() -> Result<Namespace, LinkError> {
        let enter = || {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|error| LinkError::system("create a network namespace", error))?;
            sysctl::set_if_there("ipv6/conf/all/disable_ipv6", "1")?;
            sysctl::set_if_there("ipv6/conf/default/disable_ipv6", "1")?;
            let fd = std::fs::File::open("/proc/thread-self/ns/net")
                .map_err(|error| LinkError::system("open /proc/thread-self/ns/net", error))?;
            Ok(Namespace { fd: fd.into(), netlink: Netlink::open()? })
        };
        std::thread::Builder::new()
            .name("new-namespace".to_owned())
            .spawn(enter)
            .map_err(|error| LinkError::system("start a thread for a network namespace", error))?
            .join()
            .unwrap_or_else(|_| {
                Err(LinkError::system(
                    "create a network namespace",
                    std::io::Error::other("its thread panicked"),
                ))
            })
    }
}
