//! `ipBlock` peers as address ranges, under either reading of `except`.

use ipnet::Ipv4Net;
use k8s_openapi::api::networking::v1::IPBlock;

use crate::profile::Except;
use crate::ranges::Ranges;

/// The addresses of all blocks of one rule. Blocks of the other family, and what is no block at
/// all, count for nothing.
pub(crate) fn addresses(blocks: &[&IPBlock], except: Except) -> Ranges {
    match except {
        Except::OwnBlock => blocks.iter().fold(Ranges::default(), |all, block| {
            let own = parse(&block.cidr).map(Ranges::block).unwrap_or_default();
            all.union(&excepts(block).fold(own, |rest, net| rest.minus(&Ranges::block(net))))
        }),
        Except::WholeRule => one_set(blocks),
    }
}

/// All blocks and exceptions in one set whose most specific entry decides; of equal entries the
/// block does.
fn one_set(blocks: &[&IPBlock]) -> Ranges {
    let taken = blocks.iter().filter_map(|block| parse(&block.cidr)).map(|net| (net, Entry::Block));
    let left = blocks.iter().flat_map(|block| excepts(block)).map(|net| (net, Entry::Exception));
    let mut entries: Vec<(Ipv4Net, Entry)> = taken.chain(left).collect();
    entries.sort_by_key(|(net, entry)| (net.prefix_len(), *entry));
    entries.into_iter().fold(Ranges::default(), |all, (net, entry)| match entry {
        Entry::Exception => all.minus(&Ranges::block(net)),
        Entry::Block => all.union(&Ranges::block(net)),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Exception,
    Block,
}

fn excepts(block: &IPBlock) -> impl Iterator<Item = Ipv4Net> {
    block.except.iter().flatten().filter_map(|text| parse(text))
}

fn parse(text: &str) -> Option<Ipv4Net> {
    text.parse().ok()
}
