//! Packets that got no further than the node, whoever's rule it was.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::policy::Protocol;

/// From whom to where: what the sender knows of its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sent {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Who sends them.
    pub from: Ipv4Addr,
    /// Where to: a Service's address or a pod's.
    pub to: Ipv4Addr,
    /// To which port.
    pub port: u16,
}

/// Packets from one to another that began connections, came to the node and did not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostPackets {
    /// From whom to where.
    pub sent: Sent,
    /// How many.
    pub packets: u64,
}

/// What was lost between two counts of a node. One that began to count anew has lost all that it counts.
#[must_use]
pub fn since(before: &[LostPackets], now: &[LostPackets]) -> Vec<LostPackets> {
    let counted = |sent| before.iter().find(|lost| lost.sent == sent).map_or(0, |lost| lost.packets);
    let grown = now.iter().filter_map(|lost| {
        let before = counted(lost.sent);
        let packets = if before > lost.packets { lost.packets } else { lost.packets - before };
        (packets > 0).then_some(LostPackets { packets, ..*lost })
    });
    grown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn lost(port: u16, packets: u64) -> LostPackets {
        let (from, to) = (Ipv4Addr::new(10, 42, 0, 7), Ipv4Addr::new(10, 43, 0, 9));
        LostPackets { sent: Sent { protocol: Protocol::Tcp, from, to, port }, packets }
    }

    #[rstest]
    #[case::nothing_new(&[lost(53, 3)], &[lost(53, 3)], &[])]
    #[case::more_of_the_same(&[lost(53, 3)], &[lost(53, 5)], &[lost(53, 2)])]
    #[case::another(&[lost(53, 3)], &[lost(53, 3), lost(9004, 1)], &[lost(9004, 1)])]
    #[case::counted_anew(&[lost(53, 3)], &[lost(53, 1)], &[lost(53, 1)])]
    fn what_is_lost_in_between_is_what_is_counted_more(
        #[case] before: &[LostPackets],
        #[case] now: &[LostPackets],
        #[case] expected: &[LostPackets],
    ) {
        assert_eq!(since(before, now), expected);
    }
}
