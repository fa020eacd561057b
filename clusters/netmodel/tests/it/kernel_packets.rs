//! Real packets between real network namespaces meet the forecast: the model and the rules that
//! are compiled from it agree, flow by flow.

use crate::namespace;
use crate::rig;
use crate::views;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netmodel::policy::{Endpoint, Protocol};
use netmodel::symptom::forecast;
use netmodel::{ClusterView, OutcomeClass, Profile, compile};
use views::{EMPTY_SERVICE, NODE, OUTSIDE, SERVER, SERVICE};

const API: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 1);
const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 1);

/// From where, to which address, with which protocol and port.
const DIALS: [(&str, Ipv4Addr, Protocol, u16); 21] = [
    ("np-client", SERVER, Protocol::Tcp, 8080),
    ("np-client", SERVER, Protocol::Tcp, 8081),
    ("np-client", SERVER, Protocol::Udp, 5353),
    ("np-client", SERVICE, Protocol::Tcp, 80),
    ("np-client", SERVICE, Protocol::Udp, 53),
    ("np-client", SERVICE, Protocol::Tcp, 81),
    ("np-client", EMPTY_SERVICE, Protocol::Tcp, 80),
    ("np-client", NODE, Protocol::Tcp, 30080),
    ("np-client", NODE, Protocol::Tcp, 6443),
    ("np-client", API, Protocol::Tcp, 443),
    ("np-client", OUTSIDE, Protocol::Tcp, 443),
    ("far-client", SERVER, Protocol::Tcp, 8080),
    ("np-server", SERVER, Protocol::Tcp, 8080),
    ("np-server", SERVICE, Protocol::Tcp, 80),
    ("node", SERVER, Protocol::Tcp, 8080),
    ("node", SERVICE, Protocol::Tcp, 80),
    ("node", EMPTY_SERVICE, Protocol::Tcp, 80),
    ("outside", NODE, Protocol::Tcp, 30080),
    ("np-client", SERVER, Protocol::Ping, 0),
    ("far-client", SERVER, Protocol::Ping, 0),
    ("node", SERVER, Protocol::Ping, 0),
];

const POLICIES: [&[&str]; 10] = [
    &[],
    &["{podSelector: {}, policyTypes: [Ingress]}"],
    &["{podSelector: {}, policyTypes: [Egress]}"],
    &["{podSelector: {}, policyTypes: [Ingress, Egress]}"],
    &["{podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {}}]}]}"],
    &["{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}]}"],
    &[
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}",
        "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
    ],
    &[
        "{podSelector: {matchLabels: {app: server}}, ingress: [{from: [{podSelector: {}}], ports: [{port: http}]}, \
        {from: [{ipBlock: {cidr: 192.168.50.77/32}}]}]}",
    ],
    &["{podSelector: {matchLabels: {app: server}}, ingress: [{from: [\
        {ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.5/32]}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]}"],
    &["{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [\
        {to: [{ipBlock: {cidr: 192.168.50.10/32}}], ports: [{port: 6443}]}, \
        {to: [{ipBlock: {cidr: 10.43.0.0/16}}]}, {ports: [{protocol: UDP}]}]}"],
];

fn end(place: &str) -> Endpoint {
    match place {
        "node" => Endpoint::Node,
        "outside" => Endpoint::Address(OUTSIDE),
        pod => {
            let (namespace, name) = pod.split_once('-').expect("namespace-name");
            Endpoint::Pod { namespace: namespace.to_owned(), name: name.to_owned() }
        }
    }
}

fn load(view: &ClusterView, profile: Profile) {
    namespace::nft(&["-f", "-"], &compile(view, &profile));
}

fn start(profile: Profile) {
    rig::build(profile);
    rig::serve_tcp("np-server", 8080);
    rig::serve_tcp("np-server", 8081);
    rig::serve_udp("np-server", 5353);
    rig::serve_tcp("node", 6443);
    rig::serve_tcp("outside", 443);
}

/// Every dial under every set of policies, all dials of a set at once.
fn packets_meet_the_forecast(profile: Profile) {
    for policies in POLICIES {
        let view = views::view(policies);
        load(&view, profile);
        let running = DIALS.map(|(from, address, protocol, port)| {
            let target = SocketAddr::from((address, port));
            rig::within(from, move || rig::look(target, protocol).0)
        });
        let seen: Vec<_> = running.map(|dial| dial.join().expect("a dial")).into_iter().collect();
        let expected = DIALS.map(|(from, address, protocol, port)| {
            let forecast = forecast(&view, &end(from), address, protocol, port, profile);
            match forecast.expect("known ends").ends[0].0 {
                // A raw socket is not told of refusals.
                OutcomeClass::Refused if protocol == Protocol::Ping => OutcomeClass::Timeout,
                class => class,
            }
        });
        let rows = |classes: &[OutcomeClass]| -> Vec<String> {
            let row = |((from, to, protocol, port), class): (&(_, _, _, _), _)| {
                format!("{from} -> {to}:{port} {protocol}: {class:?}")
            };
            DIALS.iter().zip(classes).map(row).collect()
        };
        assert_rows(&rows(&seen), &rows(&expected), policies);
    }
}

fn assert_rows(seen: &[String], expected: &[String], policies: &[&str]) {
    let wrong: Vec<String> = seen
        .iter()
        .zip(expected)
        .filter(|(seen, expected)| seen != expected)
        .map(|(seen, expected)| format!("seen     {seen}\nexpected {expected}"))
        .collect();
    assert!(wrong.is_empty(), "under {policies:?}:\n{}", wrong.join("\n"));
}

#[test]
fn flannel_packets_meet_the_forecast() {
    namespace::run("kernel_packets::flannel_packets_meet_the_forecast", || {
        start(Profile::Flannel);
        packets_meet_the_forecast(Profile::Flannel);
    });
}

#[test]
fn flannel_packets_meet_the_forecast_without_bridge_filter() {
    namespace::run("kernel_packets::flannel_packets_meet_the_forecast_without_bridge_filter", || {
        start(Profile::Flannel);
        rig::route_between_bridge_ports();
        packets_meet_the_forecast(Profile::Flannel);
    });
}

#[test]
fn calico_packets_meet_the_forecast() {
    namespace::run("kernel_packets::calico_packets_meet_the_forecast", || {
        start(Profile::Calico);
        packets_meet_the_forecast(Profile::Calico);
    });
}

/// The address a server sees: a pod's own inside the cluster, else the node's face to its pods.
fn sources(profile: Profile) {
    start(profile);
    load(&views::view(&[]), profile);
    let face = if profile == Profile::Flannel { BRIDGE } else { NODE };
    let cases = [
        ("np-client", SERVER, 8080, views::CLIENT),
        ("np-client", SERVICE, 80, views::CLIENT),
        ("np-server", SERVER, 8080, SERVER),
        ("np-server", SERVICE, 80, face),
        ("node", SERVER, 8080, face),
        ("node", SERVICE, 80, face),
        ("outside", NODE, 30080, face),
        ("np-client", NODE, 6443, views::CLIENT),
        ("np-client", OUTSIDE, 443, NODE),
    ];
    for (from, address, port, expected) in cases {
        let target = SocketAddr::from((address, port));
        let (_, seen) = rig::within(from, move || rig::look(target, Protocol::Tcp)).join().expect("a dial");
        assert_eq!(seen, Some(IpAddr::V4(expected)), "{from} -> {target}");
    }
}

#[test]
fn flannel_sources() {
    namespace::run("kernel_packets::flannel_sources", || sources(Profile::Flannel));
}

#[test]
fn calico_sources() {
    namespace::run("kernel_packets::calico_sources", || sources(Profile::Calico));
}

/// A connection that stands when a policy comes goes on; the next dial is denied.
fn standing_connections_go_on(profile: Profile, denied: OutcomeClass) {
    start(profile);
    load(&views::view(&[]), profile);
    let target = SocketAddr::from((SERVICE, 80));
    let (stream, _) =
        rig::within("np-client", move || rig::dial(target)).join().expect("a dial").expect("open");
    load(&views::view(&["{podSelector: {}, policyTypes: [Ingress, Egress]}"]), profile);
    let (mut stream, mut echo) = (stream, [0; 5]);
    stream.write_all(b"still").expect("the connection stands");
    stream.read_exact(&mut echo).expect("the connection stands");
    assert_eq!(&echo, b"still");
    let next = rig::within("np-client", move || rig::look(target, Protocol::Tcp).0);
    assert_eq!(next.join().expect("a dial"), denied);
    let rules = namespace::nft(&["list", "table", "ip", "cluster-policy"], "");
    let counted = |line: &str| line.contains("denied egress of np/client") && !line.contains("packets 0 ");
    assert!(rules.lines().any(counted), "the denial is counted:\n{rules}");
}

#[test]
fn flannel_standing_connections_go_on() {
    namespace::run("kernel_packets::flannel_standing_connections_go_on", || {
        standing_connections_go_on(Profile::Flannel, OutcomeClass::Refused);
    });
}

#[test]
fn calico_standing_connections_go_on() {
    namespace::run("kernel_packets::calico_standing_connections_go_on", || {
        standing_connections_go_on(Profile::Calico, OutcomeClass::Timeout);
    });
}

/// A pod that the rules do not know yet: on flannel nothing holds it back and nobody admits it as
/// a peer; on calico nothing of it passes.
fn unknown_pods(profile: Profile, unpoliced: OutcomeClass, as_peer: OutcomeClass) {
    start(profile);
    let target = SocketAddr::from((SERVER, 8080));
    let admits_far = "{podSelector: {matchLabels: {app: server}}, \
        ingress: [{from: [{namespaceSelector: {matchLabels: {team: x}}}]}]}";
    let look =
        || rig::within("far-client", move || rig::look(target, Protocol::Tcp).0).join().expect("a dial");
    for (policies, expected) in [(&[][..], unpoliced), (&[admits_far], as_peer)] {
        let mut view = views::view(policies);
        let known = view.clone();
        view.pods
            .retain(|pod| pod.status.as_ref().and_then(|own| own.pod_ip.as_deref()) != Some("10.42.0.7"));
        load(&view, profile);
        assert_eq!(look(), expected, "unknown, under {policies:?}");
        load(&known, profile);
        assert_eq!(look(), OutcomeClass::Open, "known, under {policies:?}");
    }
}

#[test]
fn flannel_unknown_pods() {
    namespace::run("kernel_packets::flannel_unknown_pods", || {
        unknown_pods(Profile::Flannel, OutcomeClass::Open, OutcomeClass::Refused);
    });
}

#[test]
fn calico_unknown_pods() {
    namespace::run("kernel_packets::calico_unknown_pods", || {
        unknown_pods(Profile::Calico, OutcomeClass::Timeout, OutcomeClass::Timeout);
    });
}

/// A client that dials often is refused six times at once; the other dials hear nothing before
/// the kernel sends their SYN again, a second later.
#[test]
fn flannel_refusals_are_limited() {
    namespace::run("kernel_packets::flannel_refusals_are_limited", || {
        start(Profile::Flannel);
        rig::limit_refusals();
        load(&views::view(&["{podSelector: {}, policyTypes: [Ingress]}"]), Profile::Flannel);
        let target = SocketAddr::from((SERVER, 8080));
        let look = |from| rig::within(from, move || rig::look(target, Protocol::Tcp).0);
        let dials: Vec<_> = (0..20).map(|_| look("np-client")).collect();
        let ends: Vec<_> = dials.into_iter().map(|dial| dial.join().expect("a dial")).collect();
        let count = |class| ends.iter().filter(|end| **end == class).count();
        let refused = count(OutcomeClass::Refused);
        // A slow machine may spread the dials over a second more.
        assert!((6..=8).contains(&refused), "{refused} of 20 refused: {ends:?}");
        assert_eq!(refused + count(OutcomeClass::Timeout), 20, "{ends:?}");
        // Each client has a limit of its own.
        assert_eq!(look("far-client").join().expect("a dial"), OutcomeClass::Refused);
    });
}
