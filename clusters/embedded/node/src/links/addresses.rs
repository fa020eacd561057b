//! Addresses of pods: the next free one of 10.42.0.0/24, round and round, so that a freed address rests for long.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use ipnet::Ipv4Net;

/// host-local's way of handing out addresses: in order, beginning after the last one given.
#[derive(Debug)]
pub(crate) struct Addresses {
    subnet: Ipv4Net,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u32,
    taken: BTreeSet<Ipv4Addr>,
}

impl Addresses {
    /// Addresses of `subnet` from the second host on (the first is the bridge's).
    pub(crate) fn new(subnet: Ipv4Net) -> Addresses {
        let last = u32::from(subnet.network()) + 1;
        Addresses { subnet, state: Mutex::new(State { last, taken: BTreeSet::new() }) }
    }

    fn take(&self) -> Option<Ipv4Addr> {
        let first = u32::from(self.subnet.network()) + 2;
        let end = u32::from(self.subnet.broadcast());
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let start = state.last + 1;
        let address = (start..end)
            .chain(first..start.min(end))
            .map(Ipv4Addr::from)
            .find(|it| !state.taken.contains(it))?;
        state.last = u32::from(address);
        state.taken.insert(address);
        Some(address)
    }

    /// The next free address, given back unless it is kept; `None` when all are taken.
    pub(crate) fn lease(&self) -> Option<Lease<'_>> {
        Some(Lease { pool: self, address: self.take()? })
    }

    /// Gives an address back.
    pub(crate) fn give_back(&self, address: Ipv4Addr) {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).taken.remove(&address);
    }
}

/// An address until somebody keeps it: whoever is broken off before leaves none behind.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    pool: &'a Addresses,
    address: Ipv4Addr,
}

impl Lease<'_> {
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The address, to be given back by hand.
    pub(crate) fn keep(self) -> Ipv4Addr {
        std::mem::ManuallyDrop::new(self).address
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.give_back(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(subnet: &str) -> Addresses {
        Addresses::new(subnet.parse().unwrap())
    }

    #[test]
    fn in_order_and_not_the_bridges() {
        let pool = addresses("10.42.0.0/24");
        assert_eq!(pool.take().unwrap().to_string(), "10.42.0.2");
        assert_eq!(pool.take().unwrap().to_string(), "10.42.0.3");
    }

    #[test]
    fn an_address_that_nobody_kept_is_free_again() {
        let pool = addresses("10.42.0.0/30");
        drop(pool.lease().unwrap());
        let kept = pool.lease().unwrap().keep();
        assert_eq!(kept.to_string(), "10.42.0.2");
        assert!(pool.lease().is_none());
        pool.give_back(kept);
        assert!(pool.lease().is_some());
    }

    #[test]
    fn a_freed_address_comes_again_only_after_all_others() {
        let pool = addresses("10.42.0.0/29");
        let first = pool.take().unwrap();
        pool.give_back(first);
        let rest: Vec<_> = std::iter::from_fn(|| pool.take()).map(|it| it.to_string()).collect();
        assert_eq!(rest, ["10.42.0.3", "10.42.0.4", "10.42.0.5", "10.42.0.6", "10.42.0.2"]);
    }
}
