//! Rules of a policy to [`Match`]es.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::blocks;
use super::explain::Protocol;
use super::plan::{Addresses, Match, PlanPod, PortMatch};
use crate::profile::{NamedEgress, Profile};
use crate::ranges::Ranges;
use crate::selector::{self, Labels};
use crate::view::ClusterView;

/// What a rule's meaning depends on.
pub(super) struct Context<'a> {
    pub(super) view: &'a ClusterView,
    pub(super) pods: &'a [PlanPod],
    /// The policy's namespace.
    pub(super) namespace: &'a str,
    /// The pods it selects.
    pub(super) selected: &'a [&'a PlanPod],
    pub(super) subjects: &'a Ranges,
    pub(super) profile: Profile,
}

/// The peers of one rule.
enum Peers<'a> {
    /// No list: everybody, in the cluster and outside.
    Any,
    Listed {
        pods: Vec<&'a PlanPod>,
        blocks: Ranges,
    },
}

impl Peers<'_> {
    fn addresses(&self) -> Addresses {
        match self {
            Self::Any => Addresses::Any,
            Self::Listed { pods, blocks } => Addresses::Only(hosts(pods.iter().copied()).union(blocks)),
        }
    }
}

/// One port of a rule, numbers told from names.
enum Port<'a> {
    Number(PortMatch),
    Name(Protocol, &'a str),
}

pub(super) fn ingress(context: &Context<'_>, rules: &[NetworkPolicyIngressRule]) -> Vec<Match> {
    let mut matches = Vec::new();
    for (rule, spec) in rules.iter().enumerate() {
        let source = peers(context, spec.from.as_deref()).addresses();
        for port in ports(spec.ports.as_deref()) {
            let source = source.clone();
            match port {
                Port::Number(port) => {
                    let destination = Addresses::Only(context.subjects.clone());
                    matches.push(Match { rule, source, destination, port });
                }
                Port::Name(protocol, name) => {
                    let owners = context.selected.iter().copied();
                    matches.extend(by_number(owners, protocol, name).map(|(port, pods)| Match {
                        rule,
                        source: source.clone(),
                        destination: Addresses::Only(pods),
                        port,
                    }));
                }
            }
        }
    }
    matches.retain(|own| !own.source.is_empty() && !own.destination.is_empty());
    matches
}

pub(super) fn egress(context: &Context<'_>, rules: &[NetworkPolicyEgressRule]) -> Vec<Match> {
    let mut matches = Vec::new();
    for (rule, spec) in rules.iter().enumerate() {
        let peers = peers(context, spec.to.as_deref());
        for port in ports(spec.ports.as_deref()) {
            let targets = match port {
                Port::Number(port) => vec![(port, peers.addresses())],
                Port::Name(protocol, name) => named_egress(context, &peers, protocol, name),
            };
            matches.extend(targets.into_iter().map(|(port, destination)| {
                let source = Addresses::Only(context.subjects.clone());
                Match { rule, source, destination, port }
            }));
        }
    }
    matches.retain(|own| !own.source.is_empty() && !own.destination.is_empty());
    matches
}

/// A named port towards peers: each pod on its own number, and what the profile makes of peers
/// that are not pods.
fn named_egress(
    context: &Context<'_>,
    peers: &Peers<'_>,
    protocol: Protocol,
    name: &str,
) -> Vec<(PortMatch, Addresses)> {
    let only = |(port, pods)| (port, Addresses::Only(pods));
    match (context.profile.knobs().named_egress, peers) {
        (NamedEgress::NumberOnly, Peers::Listed { pods, .. }) => {
            by_number(pods.iter().copied(), protocol, name).map(only).collect()
        }
        (NamedEgress::NumberOnly, Peers::Any) => {
            let own = context.pods.iter().filter(|pod| pod.namespace == context.namespace);
            by_number(own, protocol, name).map(|(port, _)| (port, Addresses::Any)).collect()
        }
        (NamedEgress::PerPod, Peers::Any) => {
            by_number(context.pods.iter(), protocol, name).map(only).collect()
        }
        (NamedEgress::PerPod, Peers::Listed { pods, blocks }) => {
            let all = hosts(pods.iter().copied()).union(blocks);
            let within = context.pods.iter().filter(|pod| all.contains(pod.address));
            by_number(within, protocol, name).map(only).collect()
        }
    }
}

/// The pods that have a port of this name, by its number.
fn by_number<'a>(
    pods: impl Iterator<Item = &'a PlanPod>,
    protocol: Protocol,
    name: &str,
) -> impl Iterator<Item = (PortMatch, Ranges)> {
    let mut numbers: BTreeMap<u16, Vec<&PlanPod>> = BTreeMap::new();
    for pod in pods {
        let own = |(label, of, _): &&(String, Protocol, u16)| label == name && *of == protocol;
        for (_, _, number) in pod.ports.iter().filter(own) {
            numbers.entry(*number).or_default().push(pod);
        }
    }
    numbers
        .into_iter()
        .map(move |(number, pods)| (PortMatch::Range(protocol, number, number), hosts(pods.into_iter())))
}

fn hosts<'a>(pods: impl Iterator<Item = &'a PlanPod>) -> Ranges {
    Ranges::hosts(pods.map(|pod| pod.address))
}

fn peers<'a>(context: &Context<'a>, list: Option<&[NetworkPolicyPeer]>) -> Peers<'a> {
    let list = list.unwrap_or_default();
    if list.is_empty() {
        return Peers::Any;
    }
    let pods = context.pods.iter().filter(|pod| list.iter().any(|peer| is_peer(context, peer, pod)));
    let blocks: Vec<_> = list.iter().filter_map(|peer| peer.ip_block.as_ref()).collect();
    let except = context.profile.knobs().except;
    Peers::Listed { pods: pods.collect(), blocks: blocks::addresses(&blocks, except) }
}

fn is_peer(context: &Context<'_>, peer: &NetworkPolicyPeer, pod: &PlanPod) -> bool {
    if peer.ip_block.is_some() || (peer.pod_selector.is_none() && peer.namespace_selector.is_none()) {
        return false;
    }
    let namespace = match &peer.namespace_selector {
        None => pod.namespace == context.namespace,
        Some(selector) => namespace_labels(context.view, &pod.namespace)
            .is_some_and(|labels| selector::matches(selector, &labels)),
    };
    namespace && peer.pod_selector.as_ref().is_none_or(|own| selector::matches(own, &pod.labels))
}

fn namespace_labels(view: &ClusterView, name: &str) -> Option<Labels> {
    let named = |metadata: &str| metadata == name;
    let namespace = view.namespaces.iter().find(|one| one.metadata.name.as_deref().is_some_and(named))?;
    Some(namespace.metadata.labels.clone().unwrap_or_default())
}

fn ports(list: Option<&[NetworkPolicyPort]>) -> Vec<Port<'_>> {
    let list = list.unwrap_or_default();
    if list.is_empty() {
        return vec![Port::Number(PortMatch::Any)];
    }
    list.iter().filter_map(port).collect()
}

/// `None` for what the API server would refuse: an unknown protocol, a number out of range.
fn port(spec: &NetworkPolicyPort) -> Option<Port<'_>> {
    let protocol = Protocol::of_api(spec.protocol.as_deref())?;
    Some(match &spec.port {
        None => Port::Number(PortMatch::Protocol(protocol)),
        Some(IntOrString::String(name)) => Port::Name(protocol, name),
        Some(IntOrString::Int(number)) => {
            let low = u16::try_from(*number).ok()?;
            let high = spec.end_port.and_then(|end| u16::try_from(end).ok());
            // An end below the beginning is passed over.
            let high = high.filter(|high| *high >= low).unwrap_or(low);
            Port::Number(PortMatch::Range(protocol, low, high))
        }
    })
}
