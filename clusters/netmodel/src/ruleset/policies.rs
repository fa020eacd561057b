//! The table that judges.

use std::net::Ipv4Addr;

use super::POLICY_TABLE;
use super::names;
use super::text::{Script, comment};
use crate::policy::Direction;
use crate::policy::plan::{Addresses, Match, Place, Plan, PlanPod, PlanPolicy, PortMatch};
use crate::profile::{BothTypes, Denial, NewPod, Ping, Profile};
use crate::ranges::Ranges;
use crate::view::ClusterView;

/// Set by a policy's chain that admits a packet, as kube-router's is.
const ADMITTED: &str = "0x00010000";

const UNMARK: &str = "meta mark set meta mark & 0xfffeffff";

const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// A pod's chain and what it does.
struct Gate<'a> {
    pod: &'a PlanPod,
    /// Directions that lead into this chain.
    directions: Vec<Direction>,
    chain: String,
    rules: Vec<String>,
}

/// Chains that several pods share: one for each list of policies that some pod's side is under.
#[derive(Default)]
struct Groups {
    /// Names of the policies' chains, the side they are asked for, and the group's own chain.
    known: Vec<(Vec<String>, String)>,
}

impl Groups {
    /// The chain that asks `policies` in turn.
    fn chain(&mut self, namespace: &str, policies: Vec<String>) -> String {
        if let [only] = policies.as_slice() {
            return only.clone();
        }
        if let Some((_, chain)) = self.known.iter().find(|(known, _)| *known == policies) {
            return chain.clone();
        }
        let chain = names::chain("policies", &[namespace, &(self.known.len() + 1).to_string()]);
        self.known.push((policies, chain.clone()));
        chain
    }
}

/// Sets of addresses that rules speak of, each written once.
///
/// A transaction has to fit into one netlink message, and an unprivileged user cannot enlarge
/// the socket's buffer: doubles would cost room.
#[derive(Default)]
struct AddressSets {
    known: Vec<Ranges>,
}

impl AddressSets {
    /// How a rule matches `addresses` in `field`; nothing where every address does.
    fn expression(&mut self, field: &str, addresses: &Addresses) -> String {
        let Addresses::Only(ranges) = addresses else { return String::new() };
        if ranges.is_everything() {
            return String::new();
        }
        let text = ranges.to_string();
        if !text.contains([',', '-']) {
            return format!("ip {field} {text} ");
        }
        let known = self.known.iter().position(|known| known == ranges);
        let index = known.unwrap_or_else(|| {
            self.known.push(ranges.clone());
            self.known.len() - 1
        });
        format!("ip {field} @addresses_{} ", index + 1)
    }

    fn write(&self, script: &mut Script) {
        for (index, ranges) in self.known.iter().enumerate() {
            script.intervals(&format!("set addresses_{}", index + 1), &listed(ranges));
        }
    }
}

pub(super) fn write(script: &mut Script, view: &ClusterView, profile: Profile) {
    let plan = Plan::new(view, profile);
    let mut groups = Groups::default();
    let gates = gates(&plan, profile, &mut groups);
    let mut sets = AddressSets::default();
    let selecting = plan.policies.iter().filter(|policy| !policy.subjects.is_empty());
    let policies: Vec<(String, Vec<String>)> = selecting
        .flat_map(|policy| policy_chains(policy, profile))
        .map(|(chain, matches)| (chain, admissions(&matches, &mut sets)))
        .collect();
    script.replace_table(POLICY_TABLE, |script| {
        pod_sets(script, &plan, &gates, profile);
        sets.write(script);
        for (chain, rules) in &policies {
            script.chain(chain, rules);
        }
        for (policies, chain) in &groups.known {
            let jumps: Vec<String> = policies.iter().map(|policy| format!("jump {policy}")).collect();
            script.chain(chain, &jumps);
        }
        for gate in &gates {
            script.chain(&gate.chain, &gate.rules);
        }
        hooks(script, view, profile);
    });
}

fn pod_sets(script: &mut Script, plan: &Plan, gates: &[Gate<'_>], profile: Profile) {
    for (map, direction) in [("from_pod", Direction::Egress), ("to_pod", Direction::Ingress)] {
        let entry = |gate: &Gate<'_>| format!("{} : jump {}", gate.pod.address, gate.chain);
        let own = gates.iter().filter(|gate| gate.directions.contains(&direction));
        let elements: Vec<String> = own.map(entry).collect();
        script.elements(&format!("map {map}"), "ipv4_addr : verdict", &elements);
    }
    if profile.knobs().new_pod == NewPod::ClosedUntilSync {
        let known = Ranges::hosts(plan.pods.iter().map(|pod| pod.address));
        script.elements("set known_pods", "ipv4_addr", &listed(&known));
    }
    if profile.knobs().ping == Ping::EitherEndFree {
        for (set, direction) in [("free_to_send", Direction::Egress), ("free_to_receive", Direction::Ingress)]
        {
            let free = plan.pods.iter().filter(|pod| guards(plan, pod, direction).is_empty());
            let addresses = Ranges::hosts(free.map(|pod| pod.address));
            script.elements(&format!("set {set}"), "ipv4_addr", &listed(&addresses));
        }
    }
}

fn hooks(script: &mut Script, view: &ClusterView, profile: Profile) {
    let standing = ["ct state established,related accept", "ct state invalid drop"];
    let mut unknown = Vec::new();
    if profile.knobs().new_pod == NewPod::ClosedUntilSync {
        let range = view.node.pod_cidr;
        unknown = ["saddr", "daddr"]
            .map(|end| format!("ip {end} {range} ip {end} != @known_pods counter drop"))
            .to_vec();
    }
    script.block("chain forward", |script| {
        script.line("type filter hook forward priority filter; policy accept;");
        standing.iter().for_each(|rule| script.line(rule));
        unknown.iter().for_each(|rule| script.line(rule));
        if profile.knobs().ping == Ping::EitherEndFree {
            script.line("icmp type echo-request ip saddr @free_to_send accept");
            script.line("icmp type echo-request ip daddr @free_to_receive accept");
        }
        script.line(UNMARK);
        script.line("ip saddr vmap @from_pod");
        script.line(UNMARK);
        script.line("ip daddr vmap @to_pod");
    });
    script.block("chain input", |script| {
        script.line("type filter hook input priority filter; policy accept;");
        standing.iter().for_each(|rule| script.line(rule));
        unknown.iter().take(1).for_each(|rule| script.line(rule));
        script.line(UNMARK);
        script.line("ip saddr vmap @from_pod");
    });
}

/// The chains of every pod of this node that a policy selects.
fn gates<'a>(plan: &'a Plan, profile: Profile, groups: &mut Groups) -> Vec<Gate<'a>> {
    let mut gates = Vec::new();
    for pod in plan.pods.iter().filter(|pod| pod.place == Place::Here) {
        match profile.knobs().both_types {
            BothTypes::Leak => gates.extend(shared_gate(plan, pod, profile, groups)),
            BothTypes::Separate => {
                gates.extend(BOTH.iter().filter_map(|side| own_gate(plan, pod, *side, profile, groups)));
            }
        }
    }
    gates
}

/// kube-router: one chain for both directions. An unpoliced direction admits, and so does any
/// rule of a both-type policy, whichever end of the packet the pod is. A pod that meets itself is
/// on both sides, so one of them is enough.
fn shared_gate<'a>(
    plan: &'a Plan,
    pod: &'a PlanPod,
    profile: Profile,
    groups: &mut Groups,
) -> Option<Gate<'a>> {
    let guarded = |side: &Direction| !guards(plan, pod, *side).is_empty();
    let directions: Vec<Direction> = BOTH.into_iter().filter(guarded).collect();
    let mut rules = Vec::new();
    for side in BOTH.into_iter().filter(|side| !guarded(side)) {
        rules.push(format!("{} return", at(side, pod.address)));
    }
    for side in &directions {
        let policies = guards(plan, pod, *side).into_iter().map(shared_chain).collect();
        let group = groups.chain(&pod.namespace, policies);
        rules.push(format!("{} jump {group}", at(*side, pod.address)));
    }
    for side in &directions {
        rules.push(format!("{} {}", at(*side, pod.address), denial(plan, pod, *side, profile)));
    }
    let chain = names::chain("pod", &[&pod.namespace, &pod.name]);
    (!directions.is_empty()).then_some(Gate { pod, directions, chain, rules })
}

/// Calico: a chain for each direction that is policed.
fn own_gate<'a>(
    plan: &'a Plan,
    pod: &'a PlanPod,
    side: Direction,
    profile: Profile,
    groups: &mut Groups,
) -> Option<Gate<'a>> {
    let policies = guards(plan, pod, side);
    if policies.is_empty() {
        return None;
    }
    let chains = policies.iter().map(|policy| own_chain(policy, side)).collect();
    let rules =
        vec![format!("jump {}", groups.chain(&pod.namespace, chains)), denial(plan, pod, side, profile)];
    let chain = names::chain(&side.to_string(), &[&pod.namespace, &pod.name]);
    Some(Gate { pod, directions: vec![side], chain, rules })
}

fn guards<'a>(plan: &'a Plan, pod: &PlanPod, side: Direction) -> Vec<&'a PlanPolicy> {
    plan.selecting(pod.address).filter(|policy| policy.list(side).is_some()).collect()
}

fn denial(plan: &Plan, pod: &PlanPod, side: Direction, profile: Profile) -> String {
    let policies: Vec<String> =
        guards(plan, pod, side).iter().map(|policy| policy.name.to_string()).collect();
    let what = format!("denied {side} of {}: {}", pod.full_name(), policies.join(", "));
    let end = match profile.knobs().denial {
        Denial::PortUnreachable => "reject with icmp type port-unreachable",
        Denial::Drop => "drop",
    };
    format!("meta mark & {ADMITTED} == 0 counter {end} {}", comment(&what))
}

/// The chains of one policy with what each admits.
fn policy_chains(policy: &PlanPolicy, profile: Profile) -> Vec<(String, Vec<&Match>)> {
    let list = |side| policy.list(side).into_iter().flatten();
    match profile.knobs().both_types {
        BothTypes::Leak => {
            let all = list(Direction::Ingress).chain(list(Direction::Egress)).collect();
            vec![(shared_chain(policy), all)]
        }
        BothTypes::Separate => BOTH
            .into_iter()
            .filter(|side| policy.list(*side).is_some())
            .map(|side| (own_chain(policy, side), list(side).collect()))
            .collect(),
    }
}

fn shared_chain(policy: &PlanPolicy) -> String {
    names::chain("policy", &[&policy.name.namespace, &policy.name.name])
}

fn own_chain(policy: &PlanPolicy, side: Direction) -> String {
    names::chain(&format!("policy-{side}"), &[&policy.name.namespace, &policy.name.name])
}

/// A rule for everything a policy admits; what reaches the end is counted.
fn admissions(matches: &[&Match], sets: &mut AddressSets) -> Vec<String> {
    let mut rules: Vec<String> = matches
        .iter()
        .map(|own| {
            let source = sets.expression("saddr", &own.source);
            let destination = sets.expression("daddr", &own.destination);
            let port = port(&own.port);
            format!("{source}{destination}{port}meta mark set meta mark | {ADMITTED} return")
        })
        .collect();
    rules.push("counter".to_owned());
    rules
}

fn port(port: &PortMatch) -> String {
    match port {
        PortMatch::Any => String::new(),
        PortMatch::Protocol(protocol) => format!("meta l4proto {protocol} "),
        PortMatch::Range(protocol, low, high) if low == high => format!("{protocol} dport {low} "),
        PortMatch::Range(protocol, low, high) => format!("{protocol} dport {low}-{high} "),
    }
}

fn at(side: Direction, address: Ipv4Addr) -> String {
    match side {
        Direction::Egress => format!("ip saddr {address}"),
        Direction::Ingress => format!("ip daddr {address}"),
    }
}

/// Addresses, blocks and ranges as elements.
fn listed(addresses: &Ranges) -> Vec<String> {
    let text = addresses.to_string();
    text.split(", ").filter(|one| !one.is_empty()).map(str::to_owned).collect()
}
