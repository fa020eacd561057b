//! The table that translates addresses: kube-proxy 1.33 in iptables mode, and the CNI's
//! masquerading.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::SERVICE_TABLE;
use super::names;
use super::text::Script;
use crate::policy::Protocol;
use crate::profile::{Attachment, Profile};
use crate::service::{ExternalPolicy, ServedPort, served_ports};
use crate::view::ClusterView;

/// kube-proxy's mark for what is to be masqueraded.
const MASQUERADE: &str = "0x00004000";

const REJECT: &str = "counter reject with icmp type port-unreachable";

pub(super) fn write(script: &mut Script, view: &ClusterView, profile: Profile) {
    let all = served_ports(view);
    let (live, dead): (Vec<_>, Vec<_>) = all.iter().partition(|port| !port.endpoints.is_empty());
    script.replace_table(SERVICE_TABLE, |script| {
        maps(script, &live, &dead);
        endpoints(script, &live);
        for port in &live {
            script.chain(&chain("service", port), &balance(view, port));
            if !externals(port).is_empty() || port.node_port.is_some() {
                script.chain(&chain("external", port), &outside(port));
            }
        }
        translation_hooks(script);
        postrouting(script, view, profile);
        refusals(script);
    });
}

fn maps(script: &mut Script, live: &[&ServedPort], dead: &[&ServedPort]) {
    const ADDRESS: &str = "ipv4_addr . inet_proto . inet_service";
    const PORT: &str = "inet_proto . inet_service";
    let keys = |addresses: &[Ipv4Addr], port: &ServedPort| {
        let (protocol, number) = (port.protocol, port.port);
        addresses.iter().map(|one| format!("{one} . {protocol} . {number}")).collect::<Vec<_>>()
    };
    let node_port = |port: &ServedPort| port.node_port.map(|number| format!("{} . {number}", port.protocol));

    let mut addresses = Entries::default();
    let mut node_ports = Entries::default();
    for port in live {
        addresses.lead(keys(&port.cluster_ips, port), &chain("service", port));
        addresses.lead(keys(externals(port), port), &chain("external", port));
        node_ports.lead(node_port(port), &chain("external", port));
    }
    let mut silent = Entries::default();
    let mut silent_ports = Entries::default();
    for port in dead {
        silent.list(keys(&port.cluster_ips, port));
        silent.list(keys(externals(port), port));
        silent_ports.list(node_port(port));
    }
    script.elements("map service_addresses", &format!("{ADDRESS} : verdict"), &addresses.lines);
    script.elements("map node_ports", &format!("{PORT} : verdict"), &node_ports.lines);
    script.elements("set no_endpoints", ADDRESS, &silent.lines);
    script.elements("set no_endpoints_node_ports", PORT, &silent_ports.lines);
}

/// Elements without doubles: of two Services that claim one address and port, the first stays.
#[derive(Default)]
struct Entries {
    seen: BTreeSet<String>,
    lines: Vec<String>,
}

impl Entries {
    fn lead(&mut self, keys: impl IntoIterator<Item = String>, chain: &str) {
        for key in keys {
            if self.seen.insert(key.clone()) {
                self.lines.push(format!("{key} : goto {chain}"));
            }
        }
    }

    fn list(&mut self, keys: impl IntoIterator<Item = String>) {
        for key in keys {
            if self.seen.insert(key.clone()) {
                self.lines.push(key);
            }
        }
    }
}

fn externals(port: &ServedPort) -> &[Ipv4Addr] {
    &port.external_ips
}

fn chain(kind: &str, port: &ServedPort) -> String {
    let parts: Vec<&str> = port.label.split(['/', ':']).collect();
    let number = format!("{}-{}", port.protocol, port.port);
    let parts = [parts.as_slice(), &[number.as_str()]].concat();
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    names::chain(kind, &parts)
}

fn endpoint_chain(protocol: Protocol, (address, port): (Ipv4Addr, u16)) -> String {
    names::chain("endpoint", &[&address.to_string(), &protocol.to_string(), &port.to_string()])
}

/// One chain per endpoint: a pod that reaches itself comes with another source address.
fn endpoints(script: &mut Script, live: &[&ServedPort]) {
    let all: BTreeSet<(Protocol, (Ipv4Addr, u16))> = live
        .iter()
        .flat_map(|port| port.endpoints.iter().map(|endpoint| (port.protocol, *endpoint)))
        .collect();
    for (protocol, endpoint) in all {
        let (address, port) = endpoint;
        let rules = [
            format!("ip saddr {address} {}", mark()),
            format!("meta l4proto {protocol} dnat to {address}:{port}"),
        ];
        script.chain(&endpoint_chain(protocol, endpoint), &rules);
    }
}

fn balance(view: &ClusterView, port: &ServedPort) -> Vec<String> {
    let outsiders = format!("ip saddr != {} {}", view.node.pod_cidr, mark());
    let chains: Vec<String> =
        port.endpoints.iter().map(|endpoint| endpoint_chain(port.protocol, *endpoint)).collect();
    let choice = match chains.as_slice() {
        [only] => format!("goto {only}"),
        several => {
            let arms = several.iter().enumerate().map(|(index, chain)| format!("{index} : goto {chain}"));
            let arms: Vec<String> = arms.collect();
            format!("numgen random mod {} vmap {{ {} }}", several.len(), arms.join(", "))
        }
    };
    match port.external_policy {
        ExternalPolicy::Cluster => vec![outsiders, choice],
        // What comes through a node port keeps its address, and no ClusterIP is dialled from
        // outside but by the node.
        ExternalPolicy::Local => {
            vec![format!("fib saddr type local {}", mark()), choice]
        }
    }
}

fn outside(port: &ServedPort) -> Vec<String> {
    let on = format!("goto {}", chain("service", port));
    match port.external_policy {
        ExternalPolicy::Cluster => vec![mark(), on],
        ExternalPolicy::Local => vec![on],
    }
}

fn translation_hooks(script: &mut Script) {
    let rules = [
        "ip daddr . meta l4proto . th dport vmap @service_addresses".to_owned(),
        "fib daddr type local meta l4proto . th dport vmap @node_ports".to_owned(),
    ];
    script.chain("services", &rules);
    for (name, priority) in [("prerouting", "dstnat"), ("output", "-100")] {
        let hook = format!("type nat hook {name} priority {priority}; policy accept;");
        script.chain(name, &[hook, "jump services".to_owned()]);
    }
}

/// Marked packets, and pods that leave the pod range, get the node's address.
fn postrouting(script: &mut Script, view: &ClusterView, profile: Profile) {
    let range = view.node.pod_cidr;
    let mut rules = vec!["type nat hook postrouting priority srcnat; policy accept;".to_owned()];
    let marked = format!("meta mark & {MASQUERADE} == {MASQUERADE}");
    // Routed links have no address of their own to masquerade with.
    if let (Attachment::Routed, Some(node)) = (profile.knobs().attachment, view.node.addresses.first()) {
        rules.push(format!("{marked} ip daddr {range} snat to {node} fully-random"));
    }
    rules.push(format!("{marked} masquerade fully-random"));
    rules.push(format!("ip saddr {range} ip daddr != {{ {range}, 224.0.0.0/4 }} masquerade"));
    script.chain("postrouting", &rules);
}

/// Refusals stand behind the policies (priority 0): Calico's silence wins over them.
fn refusals(script: &mut Script) {
    let address = format!("ct state new ip daddr . meta l4proto . th dport @no_endpoints {REJECT}");
    let port = format!(
        "ct state new fib daddr type local meta l4proto . th dport @no_endpoints_node_ports {REJECT}"
    );
    for (chain, hook, rules) in [
        ("refuse_forward", "forward", vec![&address]),
        ("refuse_input", "input", vec![&port]),
        ("refuse_output", "output", vec![&address, &port]),
    ] {
        let mut lines = vec![format!("type filter hook {hook} priority filter + 10; policy accept;")];
        lines.extend(rules.into_iter().cloned());
        script.chain(chain, &lines);
    }
}

fn mark() -> String {
    format!("meta mark set meta mark | {MASQUERADE}")
}
