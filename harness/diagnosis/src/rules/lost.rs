//! Packets that the node loses: whose rule it is, when it is no policy's.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use netmodel::LostPackets;
use netmodel::policy::{self, Verdict};
use netmodel::profile::Profile;
use netmodel::service::{self, Route};
use netmodel::view::ClusterView;
use reports::{Certainty, NamedCause};

use crate::cause::{Cause, Diagnosis};
use crate::contract::{self, Flow, flows};
use crate::snapshot::Snapshot;

/// What the node has lost of `flow`, as a sentence.
pub(super) fn evidence(snapshot: &Snapshot, flow: &Flow) -> Option<String> {
    let lost = of_flow(snapshot, &contract::view(snapshot), flow)?;
    Some(told(&lost, flow))
}

fn told(LostPackets { sent, packets }: &LostPackets, flow: &Flow) -> String {
    let (from_namespace, from) = &flow.from_pod;
    format!(
        "{packets} {} packet(s) from {from_namespace}/{from} to {}:{} came to the node and went no further, by its kernel's log",
        sent.protocol, sent.to, sent.port
    )
}

fn of_flow(snapshot: &Snapshot, view: &ClusterView, flow: &Flow) -> Option<LostPackets> {
    let (from, to) = (address(snapshot, &flow.from_pod)?, address(snapshot, &flow.to_pod)?);
    let leads_there = |lost: &&LostPackets| {
        let sent = lost.sent;
        match service::route(view, sent.to, sent.protocol, sent.port) {
            Route::Endpoints { endpoints, .. } => endpoints.contains(&(to, flow.port)),
            Route::Unserved => (sent.to, sent.port) == (to, flow.port),
            Route::NoEndpoints { .. } => false,
        }
    };
    let of_sender =
        snapshot.lost.iter().filter(|lost| (lost.sent.from, lost.sent.protocol) == (from, flow.protocol));
    of_sender.copied().find(|lost| leads_there(&lost))
}

fn pod<'a>(snapshot: &'a Snapshot, (namespace, name): &(String, String)) -> Option<&'a Pod> {
    snapshot.pods.iter().find(|pod| {
        pod.metadata.namespace.as_ref() == Some(namespace) && pod.metadata.name.as_ref() == Some(name)
    })
}

fn address(snapshot: &Snapshot, name: &(String, String)) -> Option<Ipv4Addr> {
    pod(snapshot, name)?.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// The node lost what a component sent to another, and no policy asks for that.
pub(super) fn without_a_policy(snapshot: &Snapshot, profile: Profile) -> Option<Diagnosis> {
    let view = contract::view(snapshot);
    flows(snapshot).into_iter().find_map(|flow| {
        let lost = of_flow(snapshot, &view, &flow)?;
        let allowed = policy::verdict(&view, &flow.packet(), profile) == Ok(Verdict::Allowed);
        allowed.then(|| diagnosis(snapshot, &flow, &lost))
    })
}

fn diagnosis(snapshot: &Snapshot, flow: &Flow, lost: &LostPackets) -> Diagnosis {
    let ((from_namespace, from), (to_namespace, to)) = (&flow.from_pod, &flow.to_pod);
    let node = pod(snapshot, &flow.to_pod).and_then(|pod| pod.spec.as_ref()?.node_name.as_deref());
    let node = node.map_or_else(|| "the node".to_owned(), |name| format!("node {name}"));
    Diagnosis {
        named: NamedCause {
            kind: "node-drops".into(),
            sentence: format!(
                "{node} itself stops {} {from_namespace}/{from} → {} {to_namespace}/{to}:{}; no NetworkPolicy asks for it",
                flow.from, flow.to, flow.port
            ),
            certainty: Certainty::Certain,
            evidence: vec![told(lost, flow)],
            ruled_out: vec![
                format!("NetworkPolicies (none of the {} that there are denies it)", snapshot.policies.len()),
                format!("the {} (its packets never come to it)", flow.to),
            ],
            owner: format!("whoever runs {node}: its firewall, or policies of the network plugin's own kind"),
            fix: format!(
                "on {node}, look in `nft list ruleset` (or `iptables-save`) for what drops port {} or all that is \
                 forwarded (firewalld, ufw), and let the pods' network through; with Calico, also `kubectl get globalnetworkpolicies`",
                flow.port
            ),
        },
        cause: Cause::NodeDrops { from: flow.from.into(), to: flow.to.into(), port: flow.port },
    }
}
