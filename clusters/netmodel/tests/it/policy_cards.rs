//! Who may talk to whom: the rows seen on kube-router 2.2.1 (k3s 1.33.1) and on Calico 3.28.5.

use crate::views;

use std::net::Ipv4Addr;

use netmodel::Profile;
use netmodel::policy::{Admission, Direction, Endpoint, Flow, Path, Protocol, Verdict, explain, verdict};
use netmodel::service::{Route, route};
use rstest::rstest;
use views::{CLIENT, EMPTY_SERVICE, NODE, OUTSIDE, SERVER, SERVICE};

const DENY_IN: &str = "{podSelector: {}, policyTypes: [Ingress]}";
const DENY_OUT: &str = "{podSelector: {}, policyTypes: [Egress]}";
const DENY_BOTH: &str = "{podSelector: {}, policyTypes: [Ingress, Egress]}";

fn pod(name: &str) -> Endpoint {
    let (namespace, name) = name.split_once('/').expect("namespace/name");
    Endpoint::Pod { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn tcp(from: Endpoint, to: Endpoint, port: u16) -> Flow {
    Flow { from, to, path: Path::Direct, protocol: Protocol::Tcp, port }
}

fn udp(from: Endpoint, to: Endpoint, port: u16) -> Flow {
    Flow { protocol: Protocol::Udp, ..tcp(from, to, port) }
}

fn ping(from: Endpoint, to: Endpoint) -> Flow {
    Flow { protocol: Protocol::Ping, ..tcp(from, to, 0) }
}

/// The client dials the server's port.
fn dial(port: u16) -> Flow {
    tcp(pod("np/client"), pod("np/server"), port)
}

fn from(name: &str) -> Flow {
    tcp(pod(name), pod("np/server"), 8080)
}

fn to(name: &str, port: u16) -> Flow {
    tcp(pod("np/client"), pod(name), port)
}

fn at(address: Ipv4Addr) -> Endpoint {
    Endpoint::Address(address)
}

/// The server dials its own Service.
fn hairpin() -> Flow {
    Flow { path: Path::Service, ..tcp(pod("np/server"), pod("np/server"), 8080) }
}

/// `open` or `denied` for flannel, then for calico.
fn judge(policies: &[&str], flow: &Flow) -> [&'static str; 2] {
    let view = views::view(policies);
    Profile::ALL.map(|profile| match verdict(&view, flow, profile).expect("known ends") {
        Verdict::Allowed => "open",
        Verdict::Denied { .. } => "denied",
    })
}

const OPEN: [&str; 2] = ["open", "open"];
const DENIED: [&str; 2] = ["denied", "denied"];
/// kube-router lets it through, Calico does not.
const LEAK: [&str; 2] = ["open", "denied"];
/// Calico lets it through, kube-router does not.
const CALICO_ONLY: [&str; 2] = ["denied", "open"];

#[rstest]
#[case::no_policy_tcp(&[], dial(8080), OPEN)]
#[case::no_policy_ping(&[], ping(pod("np/client"), pod("np/server")), OPEN)]
#[case::denied_ingress_tcp(&[DENY_IN], dial(8080), DENIED)]
#[case::denied_ingress_port_not_listened_on(&[DENY_IN], dial(1), DENIED)]
#[case::denied_ingress_udp(&[DENY_IN], udp(pod("np/client"), pod("np/server"), 5353), DENIED)]
#[case::denied_egress_tcp(&[DENY_OUT], to("far/server", 8080), DENIED)]
#[case::denied_ingress_ping(&[DENY_IN], ping(pod("np/client"), pod("np/server")), LEAK)]
#[case::denied_both_ping(&[DENY_BOTH], ping(pod("np/client"), pod("np/server")), DENIED)]
#[case::denied_egress_ping(&[DENY_OUT], ping(pod("np/client"), pod("far/server")), LEAK)]
#[case::to_itself(&[DENY_BOTH], tcp(pod("np/server"), pod("np/server"), 8080), OPEN)]
#[case::hairpin_ingress_denied(&[DENY_IN], hairpin(), LEAK)]
#[case::hairpin_egress_denied(&[DENY_OUT], hairpin(), LEAK)]
#[case::hairpin_both_denied(&[DENY_BOTH], hairpin(), DENIED)]
#[case::hairpin_both_denied_by_two(&[DENY_IN, DENY_OUT], hairpin(), DENIED)]
#[case::hairpin_ingress_admits_itself(
    &["{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}]}"],
    hairpin(), LEAK)]
#[case::hairpin_both_admit_itself(
    &["{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}], \
        egress: [{to: [{podSelector: {}}]}]}"],
    hairpin(), OPEN)]
#[case::node_tcp(&[DENY_BOTH], tcp(Endpoint::Node, pod("np/server"), 8080), OPEN)]
#[case::node_udp(&[DENY_BOTH], udp(Endpoint::Node, pod("np/server"), 5353), OPEN)]
#[case::node_ping(&[DENY_BOTH], ping(Endpoint::Node, pod("np/server")), OPEN)]
#[case::node_by_its_address(&[DENY_BOTH], tcp(at(NODE), pod("np/server"), 8080), OPEN)]
#[case::outside_open(&[], tcp(at(OUTSIDE), pod("np/server"), 8080), OPEN)]
#[case::outside_denied(&[DENY_IN], tcp(at(OUTSIDE), pod("np/server"), 8080), DENIED)]
#[case::outside_by_its_address(
    &["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.50.77/32}}]}]}"],
    tcp(at(OUTSIDE), pod("np/server"), 8080), OPEN)]
#[case::outside_by_the_pod_range(
    &["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.42.0.0/16}}]}]}"],
    tcp(at(OUTSIDE), pod("np/server"), 8080), DENIED)]
#[case::api_server_denied(&[DENY_OUT], tcp(pod("np/client"), Endpoint::Node, 6443), DENIED)]
#[case::api_server_by_node_block(
    &["{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.168.50.10/32}}], \
        ports: [{port: 6443}]}]}"],
    tcp(pod("np/client"), Endpoint::Node, 6443), OPEN)]
#[case::server_to_outside_is_its_egress(&[DENY_IN], tcp(pod("np/server"), at(OUTSIDE), 443), OPEN)]
#[case::no_endpoints_egress_denied(&[DENY_OUT], tcp(pod("np/client"), at(EMPTY_SERVICE), 80), DENIED)]
fn reachability(#[case] policies: &[&str], #[case] flow: Flow, #[case] expected: [&str; 2]) {
    assert_eq!(judge(policies, &flow), expected, "flannel, calico");
}

fn ingress(rules: &str) -> String {
    format!("{{podSelector: {{matchLabels: {{app: server}}}}, policyTypes: [Ingress], ingress: {rules}}}")
}

fn egress(rules: &str) -> String {
    format!("{{podSelector: {{matchLabels: {{app: client}}}}, policyTypes: [Egress], egress: {rules}}}")
}

#[rstest]
#[case::one_port("[{ports: [{port: 8080}]}]", dial(8080), OPEN)]
#[case::another_port("[{ports: [{port: 8080}]}]", dial(8081), DENIED)]
#[case::port_no_ping("[{ports: [{port: 8080}]}]", ping(pod("np/client"), pod("np/server")), LEAK)]
#[case::portless_ping("[{from: [{podSelector: {}}]}]", ping(pod("np/client"), pod("np/server")), OPEN)]
#[case::peer_of_this_namespace(
    "[{from: [{podSelector: {matchLabels: {app: client}}}]}]",
    from("np/client"),
    OPEN
)]
#[case::same_labels_elsewhere(
    "[{from: [{podSelector: {matchLabels: {app: client}}}]}]",
    from("far/client"),
    DENIED
)]
#[case::nothing("[]", dial(8080), DENIED)]
#[case::everything("[{}]", from("far/client"), OPEN)]
#[case::named_port("[{ports: [{port: http}]}]", dial(8080), OPEN)]
#[case::named_port_other("[{ports: [{port: http}]}]", dial(8081), DENIED)]
#[case::unknown_name("[{ports: [{port: nothing}]}]", dial(8080), DENIED)]
#[case::name_of_another_protocol("[{ports: [{port: dns}]}]", dial(5353), DENIED)]
#[case::named_port_from_a_block(
    "[{from: [{ipBlock: {cidr: 10.42.0.5/32}}], ports: [{port: http}]}]",
    dial(8080),
    OPEN
)]
#[case::range_inside("[{ports: [{port: 8000, endPort: 8100}]}]", dial(8080), OPEN)]
#[case::range_outside("[{ports: [{port: 8000, endPort: 8100}]}]", dial(8101), DENIED)]
#[case::range_backwards("[{ports: [{port: 8000, endPort: 7000}]}]", dial(8080), DENIED)]
#[case::protocol_alone("[{ports: [{protocol: UDP}]}]", udp(pod("np/client"), pod("np/server"), 9), OPEN)]
#[case::protocol_alone_tcp("[{ports: [{protocol: UDP}]}]", dial(8080), DENIED)]
#[case::block_of_the_pod_range("[{from: [{ipBlock: {cidr: 10.42.0.0/16}}]}]", dial(8080), OPEN)]
#[case::except_client(
    "[{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.5/32]}}]}]",
    dial(8080),
    DENIED
)]
#[case::except_client_others(
    "[{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.5/32]}}]}]",
    from("far/client"),
    OPEN
)]
#[case::except_and_wider_sibling(
    "[{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.5/32]}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]",
    dial(8080),
    CALICO_ONLY
)]
#[case::the_same_as_two_rules(
    "[{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.5/32]}}]}, {from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]",
    dial(8080),
    OPEN
)]
#[case::except_and_equal_sibling(
    "[{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.5/32]}}, {ipBlock: {cidr: 10.42.0.5/32}}]}]",
    dial(8080),
    OPEN
)]
#[case::everybody("[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]", dial(8080), OPEN)]
#[case::everybody_outside(
    "[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]",
    tcp(at(OUTSIDE), pod("np/server"), 8080),
    OPEN
)]
#[case::both_selectors(
    "[{from: [{namespaceSelector: {matchLabels: {team: x}}, podSelector: {matchLabels: {app: client}}}]}]",
    from("far/client"),
    OPEN
)]
#[case::both_selectors_other_pod(
    "[{from: [{namespaceSelector: {matchLabels: {team: x}}, podSelector: {matchLabels: {app: client}}}]}]",
    from("far/server"),
    DENIED
)]
#[case::both_selectors_other_namespace(
    "[{from: [{namespaceSelector: {matchLabels: {team: x}}, podSelector: {matchLabels: {app: client}}}]}]",
    from("np/client"),
    DENIED
)]
#[case::two_peers(
    "[{from: [{namespaceSelector: {matchLabels: {team: x}}}, {podSelector: {matchLabels: {app: client}}}]}]",
    from("np/client"),
    OPEN
)]
#[case::label_that_does_not_exist(
    "[{from: [{namespaceSelector: {matchLabels: {name: far}}}]}]",
    from("far/client"),
    DENIED
)]
#[case::every_namespace("[{from: [{namespaceSelector: {}}]}]", from("far/client"), OPEN)]
#[case::every_namespace_is_not_outside(
    "[{from: [{namespaceSelector: {}}]}]",
    tcp(at(OUTSIDE), pod("np/server"), 8080),
    DENIED
)]
fn ingress_rules(#[case] rules: &str, #[case] flow: Flow, #[case] expected: [&str; 2]) {
    assert_eq!(judge(&[&ingress(rules)], &flow), expected, "flannel, calico");
}

#[rstest]
#[case::named_port_to_peer(
    "[{to: [{podSelector: {matchLabels: {app: server}}}], ports: [{port: http}]}]",
    to("np/server", 8080),
    OPEN
)]
#[case::named_port_to_peer_other(
    "[{to: [{podSelector: {matchLabels: {app: server}}}], ports: [{port: http}]}]",
    to("np/server", 8081),
    DENIED
)]
#[case::named_port_without_peer("[{ports: [{port: http}]}]", to("np/server", 8080), OPEN)]
#[case::named_port_without_peer_far("[{ports: [{port: http}]}]", to("far/server", 8080), LEAK)]
#[case::named_port_without_peer_outside(
    "[{ports: [{port: http}]}]",
    tcp(pod("np/client"), at(OUTSIDE), 8080),
    LEAK
)]
#[case::named_port_with_block(
    "[{to: [{ipBlock: {cidr: 10.42.0.0/16}}], ports: [{port: http}]}]",
    to("np/server", 8080),
    CALICO_ONLY
)]
#[case::service_range("[{to: [{ipBlock: {cidr: 10.43.0.0/16}}]}]", to("np/server", 8080), DENIED)]
#[case::one_peer("[{to: [{podSelector: {matchLabels: {app: server}}}]}]", to("far/server", 8080), DENIED)]
fn egress_rules(#[case] rules: &str, #[case] flow: Flow, #[case] expected: [&str; 2]) {
    assert_eq!(judge(&[&egress(rules)], &flow), expected, "flannel, calico");
}

const OUT: &str = "egress: [{to: [{podSelector: {}}]}]";
const IN: &str = "ingress: [{from: [{podSelector: {}}]}]";

/// Every policy of the namespace as its types and its rules; the client dials the server.
#[rstest]
#[case::egress_rule_alone(&[("Ingress, Egress", OUT)], LEAK)]
#[case::ingress_rule_alone(&[("Ingress, Egress", IN)], LEAK)]
#[case::egress_rule_as_two_policies(&[("Ingress", ""), ("Egress", OUT)], DENIED)]
#[case::ingress_rule_as_two_policies(&[("Egress", ""), ("Ingress", IN)], DENIED)]
#[case::both_rules_in_two_policies(&[("Egress", OUT), ("Ingress", IN)], OPEN)]
fn both_types(#[case] policies: &[(&str, &str)], #[case] expected: [&str; 2]) {
    let spec = |(types, rules): &(&str, &str)| {
        let rules = if rules.is_empty() { String::new() } else { format!(", {rules}") };
        format!("{{podSelector: {{}}, policyTypes: [{types}]{rules}}}")
    };
    let specs: Vec<String> = policies.iter().map(spec).collect();
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    assert_eq!(judge(&specs, &dial(8080)), expected, "flannel, calico");
}

/// A type that is not listed comes from the rules, as the API server fills it in.
#[test]
fn types_default_from_the_rules() {
    let spec = "{podSelector: {matchLabels: {app: client}}, egress: [{to: [{podSelector: {}}]}]}";
    assert_eq!(judge(&[spec], &dial(8080)), OPEN);
    assert_eq!(judge(&[spec], &to("far/server", 8080)), DENIED);
    assert_eq!(judge(&[spec], &tcp(pod("np/server"), pod("np/client"), 80)), DENIED);
}

#[test]
fn explains_which_rule_admits_and_which_policies_deny() {
    let open = ingress("[{ports: [{port: 1}]}, {ports: [{port: 8080}]}]");
    let view = views::view(&[DENY_IN, &open]);
    let explained = explain(&view, &dial(8080), Profile::Calico).unwrap();
    let Admission::Rule { policy, list, index } = &explained.gates[1].admission else {
        panic!("not admitted by a rule: {explained:?}");
    };
    assert_eq!((policy.to_string().as_str(), *list, *index), ("np/b", Direction::Ingress, 1));
    for profile in Profile::ALL {
        let Verdict::Denied { direction, pod, by } = verdict(&view, &dial(9), profile).unwrap() else {
            panic!("{profile} lets it pass");
        };
        assert_eq!((direction, pod.as_str()), (Direction::Ingress, "np/server"));
        assert_eq!(by.iter().map(ToString::to_string).collect::<Vec<_>>(), ["np/a", "np/b"]);
    }
}

#[test]
fn a_pod_that_is_not_there_is_named() {
    let flow = tcp(pod("np/nobody"), pod("np/server"), 8080);
    let error = verdict(&views::view(&[]), &flow, Profile::Calico).unwrap_err();
    assert!(error.to_string().starts_with("pod np/nobody is not in the cluster"), "{error}");
}

#[test]
fn services_lead_where_kube_proxy_leads() {
    let view = views::view(&[]);
    let endpoints = |service: &str, address, port| Route::Endpoints {
        service: service.to_owned(),
        endpoints: vec![(address, port)],
    };
    let cases = [
        (SERVICE, Protocol::Tcp, 80, endpoints("np/server:http", SERVER, 8080)),
        (SERVICE, Protocol::Udp, 53, endpoints("np/server:dns", SERVER, 5353)),
        (SERVICE, Protocol::Tcp, 81, Route::Unserved),
        (SERVICE, Protocol::Udp, 80, Route::Unserved),
        (NODE, Protocol::Tcp, 30080, endpoints("np/server:http", SERVER, 8080)),
        (NODE, Protocol::Tcp, 80, Route::Unserved),
        (CLIENT, Protocol::Tcp, 80, Route::Unserved),
        (EMPTY_SERVICE, Protocol::Tcp, 80, Route::NoEndpoints { service: "np/empty:".to_owned() }),
        (Ipv4Addr::new(10, 43, 0, 1), Protocol::Tcp, 443, endpoints("default/kubernetes:https", NODE, 6443)),
    ];
    for (address, protocol, port, expected) in cases {
        assert_eq!(route(&view, address, protocol, port), expected, "{address} {protocol} {port}");
    }
}

/// Without a ready endpoint those that serve while they terminate are used.
#[test]
fn terminating_endpoints_serve_when_no_other_does() {
    let mut view = views::view(&[]);
    let conditions = view.endpoint_slices[0].endpoints[0].conditions.as_mut().unwrap();
    (conditions.ready, conditions.serving, conditions.terminating) = (Some(false), Some(true), Some(true));
    let expected = Route::Endpoints { service: "np/server:http".to_owned(), endpoints: vec![(SERVER, 8080)] };
    assert_eq!(route(&view, SERVICE, Protocol::Tcp, 80), expected);
}
