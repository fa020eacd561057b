//! Sets of IPv4 addresses as disjoint ranges: exact under union and difference, and written the
//! way nft reads them.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Disjoint ranges, ends included, ascending. Neighbours are not merged, so single pods stay
/// legible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    pub(crate) fn hosts(addresses: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let mut hosts: Vec<u32> = addresses.into_iter().map(u32::from).collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self(hosts.into_iter().map(|host| (host, host)).collect())
    }

    pub(crate) fn block(block: Ipv4Net) -> Self {
        Self(vec![(block.network().into(), block.broadcast().into())])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.0 == [(0, u32::MAX)]
    }

    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&address))
    }

    /// What is in `self` or `other`: pieces of `other` fill what `self` lacks.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(other.minus(self).0);
        all.sort_unstable();
        Self(all)
    }

    /// What is in `self` and not in `other`.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut rest = self.0.clone();
        for (low, high) in &other.0 {
            rest = rest.into_iter().flat_map(|range| cut(range, *low, *high)).collect();
        }
        rest.sort_unstable();
        Self(rest)
    }
}

/// `range` without `low..=high`: at most two pieces.
fn cut(range: (u32, u32), low: u32, high: u32) -> impl Iterator<Item = (u32, u32)> {
    let (from, to) = range;
    let outside = high < from || low > to;
    let before = (!outside && low > from).then(|| (from, low.wrapping_sub(1)));
    let after = (!outside && high < to).then(|| (high.wrapping_add(1), to));
    outside.then_some(range).into_iter().chain(before).chain(after)
}

impl fmt::Display for Ranges {
    /// `a`, `a/24` or `a-b`, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let (first, last) = (Ipv4Addr::from(*low), Ipv4Addr::from(*high));
            match prefix(*low, *high) {
                Some(32) => write!(f, "{comma}{first}")?,
                Some(length) => write!(f, "{comma}{first}/{length}")?,
                None => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// The prefix length if the range is one block.
fn prefix(low: u32, high: u32) -> Option<u32> {
    let span = u64::from(high) - u64::from(low) + 1;
    let aligned = span.is_power_of_two() && u64::from(low) % span == 0;
    aligned.then(|| 32 - span.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(text: &str) -> Ranges {
        Ranges::block(text.parse().unwrap())
    }

    #[test]
    fn writes_blocks_hosts_and_ranges() {
        let pods = Ranges::hosts([Ipv4Addr::new(10, 42, 0, 7), Ipv4Addr::new(10, 42, 0, 6)]);
        let all = pods.union(&block("192.168.0.0/24").minus(&block("192.168.0.7/32")));
        assert_eq!(
            all.to_string(),
            "10.42.0.6, 10.42.0.7, 192.168.0.0-192.168.0.6, 192.168.0.8-192.168.0.255"
        );
        assert_eq!(block("0.0.0.0/0").to_string(), "0.0.0.0/0");
    }

    proptest! {
        #[test]
        fn agrees_with_membership(
            left in proptest::collection::vec((0_u32..60, 26_u8..=32), 0..5),
            right in proptest::collection::vec((0_u32..60, 26_u8..=32), 0..5),
            probe in 0_u32..80,
        ) {
            let gather = |blocks: &[(u32, u8)]| {
                blocks.iter().fold(Ranges::default(), |all, (base, length)| {
                    let net = Ipv4Net::new(Ipv4Addr::from(*base), *length).unwrap();
                    all.union(&Ranges::block(net))
                })
            };
            let (left, right) = (gather(&left), gather(&right));
            let probe = Ipv4Addr::from(probe);
            let (l, r) = (left.contains(probe), right.contains(probe));
            prop_assert_eq!(left.union(&right).contains(probe), l || r);
            prop_assert_eq!(left.minus(&right).contains(probe), l && !r);
        }
    }
}
