//! The verdict on one flow, and how it came about.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::plan::{Match, Plan, PlanPod, PlanPolicy};
use crate::profile::{BothTypes, Ping, Profile};
use crate::view::ClusterView;

/// What a flow speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP echo request; it has no port.
    Ping,
}

impl Protocol {
    /// The API's word; none means TCP. `None` for any other word.
    pub(crate) fn of_api(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Protocol {
    /// As nft writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Ping => "icmp",
        })
    }
}

/// One end of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A pod by its name.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Any address: an outside machine, another node, or a Service's address that leads nowhere.
    Address(Ipv4Addr),
    /// The node of the view itself, and whatever uses its network.
    Node,
}

/// How the client named its destination. It matters to a pod that meets itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Path {
    /// By the destination's own address.
    Direct,
    /// By the address of a Service (or a node port) that leads to the destination.
    Service,
}

/// One flow. `port` is the destination's own port, never a Service's; 0 for ping.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Who dials.
    pub from: Endpoint,
    /// Who is reached.
    pub to: Endpoint,
    /// How.
    pub path: Path,
    /// What is spoken.
    pub protocol: Protocol,
    /// The destination's port.
    pub port: u16,
}

/// Names a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PolicyName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Which side of a pod a policy guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What reaches the pod.
    Ingress,
    /// What leaves it.
    Egress,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// Whether a flow's first packet passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Allowed,
    /// It meets the profile's denial.
    Denied {
        /// The direction that did not admit it, at the source before the destination.
        direction: Direction,
        /// The pod (`namespace/name`) whose policies did not admit it.
        pod: String,
        /// The policies that select that pod in that direction: none of them admits the flow.
        by: Vec<PolicyName>,
    },
}

/// Why a flow passes one pod's policies, or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// No policy selects the pod in this direction.
    Unpoliced(Direction),
    /// A rule admits it.
    Rule {
        /// The policy.
        policy: PolicyName,
        /// The list the rule stands in. With kube-router a rule of the other direction may admit.
        list: Direction,
        /// Its place in that list, from 0.
        index: usize,
    },
    /// kube-router accepts echo requests of an unpoliced end before policies are looked at.
    EchoAccepted,
    /// No rule admits it.
    Nothing,
}

/// One pod's policies, as the flow met them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// `namespace/name`.
    pub pod: String,
    /// The side of the pod the flow is on.
    pub direction: Direction,
    /// Policies that select the pod and count here.
    pub selected_by: Vec<PolicyName>,
    /// What came of it.
    pub admission: Admission,
}

/// How the verdict on a flow came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The end of it.
    pub verdict: Verdict,
    /// Gates in the order they were passed. Empty where no policy is asked: a pod to itself, the
    /// node to a pod, machines outside among themselves.
    pub gates: Vec<Gate>,
}

/// The view has no such pod, or the pod has no IPv4 address yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "pod {namespace}/{name} is not in the cluster or has no address yet: wait for its address, or name another pod"
)]
pub struct NoSuchPod {
    namespace: String,
    name: String,
}

/// The short form of [`explain`].
///
/// # Errors
/// An end that is a pod without an address.
pub fn verdict(view: &ClusterView, flow: &Flow, profile: Profile) -> Result<Verdict, NoSuchPod> {
    Ok(explain(view, flow, profile)?.verdict)
}

/// Judges the first packet of `flow`. Flows that stand already are never judged again.
///
/// # Errors
/// An end that is a pod without an address.
pub fn explain(view: &ClusterView, flow: &Flow, profile: Profile) -> Result<Explanation, NoSuchPod> {
    let from = address(view, &flow.from)?;
    let to = address(view, &flow.to)?;
    let from_node = flow.from == Endpoint::Node || view.node.addresses.contains(&from);
    if from_node || (from == to && flow.path == Path::Direct) {
        return Ok(Explanation { verdict: Verdict::Allowed, gates: Vec::new() });
    }
    let plan = Plan::new(view, profile);
    let packet = Packet { from, to, protocol: flow.protocol, port: flow.port };
    let gates = match profile.knobs().both_types {
        BothTypes::Separate => gates_apart(&plan, packet),
        BothTypes::Leak => gates_together(&plan, packet, profile),
    };
    let denied = gates.iter().find(|gate| gate.admission == Admission::Nothing);
    let verdict = denied.map_or(Verdict::Allowed, |gate| Verdict::Denied {
        direction: gate.direction,
        pod: gate.pod.clone(),
        by: gate.selected_by.clone(),
    });
    Ok(Explanation { verdict, gates })
}

fn address(view: &ClusterView, end: &Endpoint) -> Result<Ipv4Addr, NoSuchPod> {
    match end {
        Endpoint::Address(address) => Ok(*address),
        Endpoint::Node => Ok(view.node.addresses.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED)),
        Endpoint::Pod { namespace, name } => view
            .pods
            .iter()
            .filter(|pod| pod.metadata.namespace.as_deref() == Some(namespace))
            .filter(|pod| pod.metadata.name.as_deref() == Some(name))
            .find_map(|pod| pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok())
            .ok_or_else(|| NoSuchPod { namespace: namespace.clone(), name: name.clone() }),
    }
}

/// A first packet on its way through the node.
#[derive(Debug, Clone, Copy)]
struct Packet {
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: Protocol,
    port: u16,
}

impl Packet {
    fn end(&self, direction: Direction) -> Ipv4Addr {
        match direction {
            Direction::Egress => self.from,
            Direction::Ingress => self.to,
        }
    }

    fn admitted_by(&self, policy: &PlanPolicy, list: Direction) -> Option<Admission> {
        let covers = |own: &&Match| {
            own.source.contains(self.from)
                && own.destination.contains(self.to)
                && own.port.covers(self.protocol, self.port)
        };
        let index = policy.list(list)?.iter().find(covers)?.rule;
        Some(Admission::Rule { policy: policy.name.clone(), list, index })
    }
}

impl PlanPolicy {
    /// The admissions of one direction, if the policy speaks of it.
    pub(crate) fn list(&self, direction: Direction) -> Option<&[Match]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

impl PlanPod {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Egress at the source, then ingress at the destination, each by the rules of its direction.
fn gates_apart(plan: &Plan, packet: Packet) -> Vec<Gate> {
    let mut gates = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let end = packet.end(direction);
        let Some(pod) = plan.pods.iter().find(|pod| pod.address == end) else { continue };
        let policies = speaking(plan, end, direction);
        let admission = if policies.is_empty() {
            Admission::Unpoliced(direction)
        } else {
            let rule = policies.iter().find_map(|policy| packet.admitted_by(policy, direction));
            rule.unwrap_or(Admission::Nothing)
        };
        let selected_by = names(&policies);
        gates.push(Gate { pod: pod.full_name(), direction, selected_by, admission });
    }
    gates
}

/// kube-router: one chain per pod for both directions; whatever sets the mark in it admits.
fn gates_together(plan: &Plan, packet: Packet, profile: Profile) -> Vec<Gate> {
    let free = |direction| {
        let end = packet.end(direction);
        let known = plan.pods.iter().any(|pod| pod.address == end);
        known && speaking(plan, end, direction).is_empty()
    };
    let either_free = free(Direction::Egress) || free(Direction::Ingress);
    let echo =
        packet.protocol == Protocol::Ping && profile.knobs().ping == Ping::EitherEndFree && either_free;
    let mut gates: Vec<Gate> = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let end = packet.end(direction);
        let Some(pod) = plan.pods.iter().find(|pod| pod.address == end) else { continue };
        if gates.iter().any(|gate| gate.pod == pod.full_name()) {
            continue;
        }
        let admission = if echo { Admission::EchoAccepted } else { marked(plan, end, packet) };
        let policies = speaking(plan, end, direction);
        let selected_by = names(&policies);
        gates.push(Gate { pod: pod.full_name(), direction, selected_by, admission });
    }
    gates
}

/// Whether anything in the chain of the pod at `end` sets the mark.
fn marked(plan: &Plan, end: Ipv4Addr, packet: Packet) -> Admission {
    let sides = || {
        let both = [Direction::Ingress, Direction::Egress];
        both.into_iter().filter(|direction| packet.end(*direction) == end)
    };
    if let Some(direction) = sides().find(|side| speaking(plan, end, *side).is_empty()) {
        return Admission::Unpoliced(direction);
    }
    for policy in plan.selecting(end) {
        let both_types = policy.ingress.is_some() && policy.egress.is_some();
        for list in [Direction::Ingress, Direction::Egress] {
            if !both_types && !sides().any(|side| side == list) {
                continue;
            }
            if let Some(admission) = packet.admitted_by(policy, list) {
                return admission;
            }
        }
    }
    Admission::Nothing
}

fn speaking(plan: &Plan, end: Ipv4Addr, direction: Direction) -> Vec<&PlanPolicy> {
    plan.selecting(end).filter(|policy| policy.list(direction).is_some()).collect()
}

fn names(policies: &[&PlanPolicy]) -> Vec<PolicyName> {
    policies.iter().map(|policy| policy.name.clone()).collect()
}
