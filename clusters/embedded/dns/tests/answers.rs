//! What is answered to each question, with which flags, and what of it reaches the outside.
//!
//! The table of the cluster's and the outside's names is what CoreDNS 1.12.1 with k3s's Corefile was seen to do, once
//! with an honest outside and once with one that answers every name with one public address.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use embedded_dns::{Directory, Engine, Journal, Names, Surroundings, corefile};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use outside::{Mode, Request, Transport, Upstream};
use pace::Pace;
use rstest::rstest;
use serde_json::{Value, json};

const LIAR: Ipv4Addr = Ipv4Addr::new(143, 244, 220, 150);

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn names() -> Names {
    let mut names = Names::default();
    for name in ["np", "dns-fin", "default"] {
        names.put_namespace(&typed::<Namespace>(json!({ "metadata": { "name": name } })));
    }
    let service = |namespace: &str, name: &str, spec: Value| {
        typed::<Service>(json!({ "metadata": { "namespace": namespace, "name": name }, "spec": spec }))
    };
    let ports = json!([{ "name": "grpc", "port": 9004, "protocol": "TCP" }]);
    names.put_service(&service(
        "dns-fin",
        "scheduler",
        json!({ "clusterIP": "10.43.14.85", "ports": ports }),
    ));
    names.put_service(&service("np", "server", json!({ "clusterIP": "10.43.199.210", "ports": ports })));
    names.put_service(&service("np", "headless", json!({ "clusterIP": "None", "ports": ports })));
    names.put_service(&service("np", "nobody", json!({ "clusterIP": "None", "ports": ports })));
    let alias = |target: &str| json!({ "type": "ExternalName", "externalName": target });
    names.put_service(&service("np", "alias", alias("scheduler.dns-fin.svc.cluster.local")));
    names.put_service(&service("np", "short-alias", alias("scheduler.dns-fin.svc")));
    names.put_service(&service("np", "broken-alias", alias("absent.dns-fin.svc.cluster.local")));
    names.put_service(&service("np", "address-alias", alias("10.1.2.3")));
    names.put_slice(&typed::<EndpointSlice>(json!({
        "metadata": { "namespace": "np", "name": "headless-abcde", "labels": { "kubernetes.io/service-name": "headless" } },
        "addressType": "IPv4",
        "ports": [{ "name": "grpc", "port": 9004, "protocol": "TCP" }],
        "endpoints": [
            { "addresses": ["10.42.0.7"], "hostname": "server-0", "conditions": { "ready": true } },
            { "addresses": ["10.42.0.8"], "conditions": { "ready": true } },
            { "addresses": ["10.42.0.9"], "hostname": "server-2", "conditions": { "ready": false } },
        ],
    })));
    names
}

struct Lab {
    engine: Engine,
    upstream: Upstream,
    journal: Journal,
}

impl Lab {
    async fn new(mode: Mode, directory: Directory, directives: &str) -> Lab {
        let upstream = Upstream::bind(SocketAddr::from(([127, 0, 0, 1], 0)), mode).await.unwrap();
        // Out of order on purpose: the order of a Corefile must not matter.
        let text = format!(
            ".:53 {{\nforward . {}\ncache 30\nkubernetes cluster.local in-addr.arpa ip6.arpa {{\n pods insecure\n \
             fallthrough in-addr.arpa ip6.arpa\n}}\nerrors\nloop\nreload\nloadbalance\n{directives}\n}}\n",
            upstream.address()
        );
        let journal = Journal::kept();
        let surroundings =
            Surroundings { directory, pace: Pace::REAL, journal: journal.clone(), own_address: None };
        let engine =
            Engine::new(&corefile::parse("/etc/coredns/Corefile", &text).unwrap(), surroundings).unwrap();
        Lab { engine, upstream, journal }
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let request = Request::new(message, IpAddr::from([10, 42, 0, 5]), Transport::Udp).unwrap();
        self.engine.answer(&request, 53).await.unwrap()
    }

    async fn line(&self, name: &str, kind: RecordType) -> String {
        let reply = self.ask(name, kind).await;
        line(&reply)
    }
}

/// An answer in one line: code, flags, records.
fn line(reply: &Message) -> String {
    let code = match reply.metadata.response_code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_string(),
    };
    let mut words = vec![code];
    words.extend(reply.metadata.authoritative.then(|| "aa".to_owned()));
    words.extend(reply.metadata.recursion_available.then(|| "ra".to_owned()));
    let mut answers: Vec<String> = reply
        .answers
        .iter()
        .map(|record| match &record.data {
            RData::CNAME(target) => format!("CNAME={target}"),
            RData::PTR(target) => format!("PTR={target}"),
            RData::SRV(srv) => format!("SRV={}:{}", srv.target, srv.port),
            other => other.to_string(),
        })
        .collect();
    answers.sort_by_key(|answer| (!answer.starts_with("CNAME"), answer.clone()));
    words.extend(answers);
    words.join(" ")
}

#[rstest]
#[case("scheduler.dns-fin.", "NXDOMAIN ra", "NOERROR ra 143.244.220.150", 1)]
#[case("scheduler.dns-fin.svc.", "NXDOMAIN ra", "NOERROR ra 143.244.220.150", 1)]
#[case("scheduler.dns-fin.svc.cluster.local.", "NOERROR aa 10.43.14.85", "NOERROR aa 10.43.14.85", 0)]
#[case("scheduler.dns-fin.np.svc.cluster.local.", "NXDOMAIN aa", "NXDOMAIN aa", 0)]
#[case("server.np.svc.cluster.local.", "NOERROR aa 10.43.199.210", "NOERROR aa 10.43.199.210", 0)]
#[case("server.svc.cluster.local.", "NXDOMAIN aa", "NXDOMAIN aa", 0)]
#[case("server.cluster.local.", "NXDOMAIN aa", "NXDOMAIN aa", 0)]
#[case("absent.dns-fin.", "NXDOMAIN ra", "NOERROR ra 143.244.220.150", 1)]
#[case("absent.", "NXDOMAIN ra", "NOERROR ra 143.244.220.150", 1)]
#[case("absent.dns-fin.svc.cluster.local.", "NXDOMAIN aa", "NXDOMAIN aa", 0)]
#[case("server.absent.svc.cluster.local.", "NXDOMAIN aa", "NXDOMAIN aa", 0)]
#[case("www.example.com.", "NXDOMAIN ra", "NOERROR ra 143.244.220.150", 1)]
#[tokio::test]
async fn a_lying_outside_changes_only_what_is_outside(
    #[case] name: &str,
    #[case] honest: &str,
    #[case] hijacked: &str,
    #[case] upstream_questions: usize,
) {
    for (mode, expected) in [(Mode::honest(), honest), (Mode::Hijack(LIAR), hijacked)] {
        let lab = Lab::new(mode, Directory::of(names()), "").await;
        assert_eq!(lab.line(name, RecordType::A).await, expected);
        assert_eq!(lab.upstream.questions().len(), upstream_questions);
        // The second time the cache answers, and as CoreDNS's cache does, with authority.
        let cached = lab.ask(name, RecordType::A).await;
        assert!(cached.metadata.authoritative);
        assert_eq!(lab.upstream.questions().len(), upstream_questions);
    }
}

#[rstest]
#[case::aaaa_of_a_v4_service("server.np.svc.cluster.local.", RecordType::AAAA, "NOERROR aa")]
#[case::namespace("np.svc.cluster.local.", RecordType::A, "NOERROR aa")]
#[case::no_namespace("absent.svc.cluster.local.", RecordType::A, "NXDOMAIN aa")]
#[case::apex("cluster.local.", RecordType::A, "NOERROR aa")]
#[case::headless("headless.np.svc.cluster.local.", RecordType::A, "NOERROR aa 10.42.0.7 10.42.0.8")]
#[case::pod_of_headless("server-0.headless.np.svc.cluster.local.", RecordType::A, "NOERROR aa 10.42.0.7")]
#[case::unready_pod("server-2.headless.np.svc.cluster.local.", RecordType::A, "NXDOMAIN aa")]
#[case::dashed_endpoint("10-42-0-8.headless.np.svc.cluster.local.", RecordType::A, "NOERROR aa 10.42.0.8")]
#[case::headless_without_endpoints("nobody.np.svc.cluster.local.", RecordType::A, "NXDOMAIN aa")]
#[case::srv(
    "_grpc._tcp.server.np.svc.cluster.local.",
    RecordType::SRV,
    "NOERROR aa SRV=server.np.svc.cluster.local.:9004"
)]
#[case::srv_of_unknown_port("_http._tcp.server.np.svc.cluster.local.", RecordType::SRV, "NXDOMAIN aa")]
#[case::srv_of_headless(
    "_grpc._tcp.headless.np.svc.cluster.local.",
    RecordType::SRV,
    "NOERROR aa SRV=10-42-0-8.headless.np.svc.cluster.local.:9004 SRV=server-0.headless.np.svc.cluster.local.:9004"
)]
#[case::reverse_service(
    "85.14.43.10.in-addr.arpa.",
    RecordType::PTR,
    "NOERROR aa PTR=scheduler.dns-fin.svc.cluster.local."
)]
#[case::reverse_pod(
    "7.0.42.10.in-addr.arpa.",
    RecordType::PTR,
    "NOERROR aa PTR=server-0.headless.np.svc.cluster.local."
)]
#[case::reverse_unknown("1.2.3.4.in-addr.arpa.", RecordType::PTR, "NXDOMAIN ra")]
#[case::pod("10-42-0-99.np.pod.cluster.local.", RecordType::A, "NOERROR aa 10.42.0.99")]
#[case::pod_without_namespace("10-42-0-99.absent.pod.cluster.local.", RecordType::A, "NXDOMAIN aa")]
#[case::alias(
    "alias.np.svc.cluster.local.",
    RecordType::A,
    "NOERROR aa CNAME=scheduler.dns-fin.svc.cluster.local. 10.43.14.85"
)]
#[case::alias_aaaa("alias.np.svc.cluster.local.", RecordType::AAAA, "NOERROR aa")]
#[case::broken_alias("broken-alias.np.svc.cluster.local.", RecordType::A, "NOERROR aa")]
#[case::address_alias("address-alias.np.svc.cluster.local.", RecordType::A, "NXDOMAIN aa")]
#[case::short_alias_goes_outside(
    "short-alias.np.svc.cluster.local.",
    RecordType::A,
    "NOERROR aa CNAME=scheduler.dns-fin.svc. 143.244.220.150"
)]
#[case::version("dns-version.cluster.local.", RecordType::TXT, "NOERROR aa 1.1.0")]
#[tokio::test]
async fn answers_the_cluster_zone(#[case] name: &str, #[case] kind: RecordType, #[case] expected: &str) {
    let mode = if name.starts_with("short-alias") { Mode::Hijack(LIAR) } else { Mode::honest() };
    let lab = Lab::new(mode, Directory::of(names()), "").await;
    assert_eq!(lab.line(name, kind).await, expected);
}

#[tokio::test]
async fn a_denial_carries_the_zones_authority_with_five_seconds() {
    let lab = Lab::new(Mode::honest(), Directory::of(names()), "").await;
    let reply = lab.ask("absent.np.svc.cluster.local.", RecordType::A).await;
    let [soa] = reply.authorities.as_slice() else { panic!("{reply}") };
    let RData::SOA(data) = &soa.data else { panic!("{soa}") };
    assert_eq!((soa.name.to_string().as_str(), soa.ttl, data.minimum), ("cluster.local.", 5, 5));
    assert_eq!(
        (data.mname.to_string().as_str(), data.rname.to_string().as_str()),
        ("ns.dns.cluster.local.", "hostmaster.cluster.local.")
    );
}

#[tokio::test]
async fn until_the_names_are_known_an_unknown_name_is_a_failure() {
    let directory = Directory::default();
    let lab = Lab::new(Mode::Hijack(LIAR), directory.clone(), "").await;
    assert_eq!(lab.line("absent.np.svc.cluster.local.", RecordType::A).await, "SERVFAIL aa");
    assert_eq!(lab.line("absent.np.", RecordType::A).await, "NOERROR ra 143.244.220.150");
}

#[rstest]
#[case(Mode::ServFail, "SERVFAIL ra")]
#[case(Mode::Refused, "REFUSED ra")]
#[case(Mode::Empty, "NOERROR ra")]
#[tokio::test]
async fn passes_the_outsides_answer_on(#[case] mode: Mode, #[case] expected: &str) {
    let lab = Lab::new(mode, Directory::of(names()), "").await;
    assert_eq!(lab.line("www.example.com.", RecordType::A).await, expected);
}

#[rstest]
#[case::hosts_before_kubernetes(
    "hosts {\n 192.0.2.1 server.np.svc.cluster.local\n fallthrough\n}",
    "server.np.svc.cluster.local.",
    "NOERROR aa 192.0.2.1"
)]
#[case::hosts_nodata(
    "hosts {\n 192.0.2.1 other\n fallthrough\n}",
    "server.np.svc.cluster.local.",
    "NOERROR aa 10.43.199.210"
)]
#[case::template_before_kubernetes(
    "template IN A svc.cluster.local {\n answer \"{{ .Name }} 60 IN A 192.0.2.2\"\n}",
    "server.np.svc.cluster.local.",
    "NOERROR aa 192.0.2.2"
)]
#[case::template_code(
    "template IN ANY cluster.local {\n rcode NXDOMAIN\n}",
    "server.np.svc.cluster.local.",
    "NXDOMAIN aa"
)]
#[case::template_failure(
    "template ANY ANY {\n rcode SERVFAIL\n}",
    "server.np.svc.cluster.local.",
    "SERVFAIL"
)]
#[case::rewrite_exact(
    "rewrite name wrong.np.svc.cluster.local server.np.svc.cluster.local",
    "wrong.np.svc.cluster.local.",
    "NOERROR aa 10.43.199.210"
)]
#[case::rewrite_suffix(
    "rewrite name suffix .np. .np.svc.cluster.local. answer auto",
    "server.np.",
    "NOERROR aa 10.43.199.210"
)]
#[case::rewrite_regex(
    "rewrite name regex (.*)\\.somewhere {1}.np.svc.cluster.local",
    "server.somewhere.",
    "NOERROR aa 10.43.199.210"
)]
#[case::blocked("acl {\n block type A net 10.42.0.0/16\n}", "server.np.svc.cluster.local.", "REFUSED")]
#[case::blocked_elsewhere(
    "acl {\n block net 10.99.0.0/16\n}",
    "server.np.svc.cluster.local.",
    "NOERROR aa 10.43.199.210"
)]
#[tokio::test]
async fn plugins_work_in_coredns_order(#[case] directives: &str, #[case] name: &str, #[case] expected: &str) {
    let lab = Lab::new(Mode::honest(), Directory::of(names()), directives).await;
    let reply = lab.ask(name, RecordType::A).await;
    assert_eq!(line(&reply), expected);
    assert_eq!(reply.queries[0].name.to_string(), name);
    if !reply.answers.is_empty() && !directives.starts_with("rewrite name regex") {
        assert_eq!(reply.answers[0].name.to_string(), name);
    }
}

#[tokio::test]
async fn a_silent_outside_is_a_failure_and_a_line_in_the_log() {
    let upstream = Upstream::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Mode::Silent).await.unwrap();
    let text = format!(".:53 {{\nerrors\nforward . {}\n}}", upstream.address());
    let journal = Journal::kept();
    let surroundings = Surroundings {
        directory: Directory::default(),
        pace: Pace::FAST,
        journal: journal.clone(),
        own_address: None,
    };
    let engine = Engine::new(&corefile::parse("Corefile", &text).unwrap(), surroundings).unwrap();
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii("www.example.com.").unwrap(), RecordType::A));
    let request = Request::new(message, IpAddr::from([10, 42, 0, 5]), Transport::Udp).unwrap();
    assert_eq!(line(&engine.answer(&request, 53).await.unwrap()), "SERVFAIL");
    let lines = journal.lines();
    assert!(
        lines[0].starts_with("[ERROR] plugin/errors: 2 www.example.com. A: read udp 127.0.0.1:"),
        "{lines:?}"
    );
    assert!(lines[0].ends_with(&format!("->{}: i/o timeout", upstream.address())), "{lines:?}");
}

#[tokio::test]
async fn the_most_specific_zone_serves() {
    let text = "cluster.local:53 {\n kubernetes\n}\nfinancial-ml:53 {\n hosts {\n  192.0.2.9 scheduler.financial-ml\n }\n}";
    let surroundings = Surroundings {
        directory: Directory::of(names()),
        pace: Pace::REAL,
        journal: Journal::kept(),
        own_address: None,
    };
    let engine = Engine::new(&corefile::parse("Corefile", text).unwrap(), surroundings).unwrap();
    assert_eq!(engine.banner(), ["cluster.local.:53", "financial-ml.:53"]);
    let upstream = Upstream::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Mode::honest()).await.unwrap();
    let lab = Lab { engine, upstream, journal: Journal::kept() };
    assert_eq!(lab.line("scheduler.financial-ml.", RecordType::A).await, "NOERROR aa 192.0.2.9");
    assert_eq!(lab.line("server.np.svc.cluster.local.", RecordType::A).await, "NOERROR aa 10.43.199.210");
    assert_eq!(lab.line("www.example.com.", RecordType::A).await, "REFUSED");
    assert!(lab.journal.lines().is_empty());
}

#[tokio::test]
async fn an_answer_too_large_for_a_datagram_is_cut() {
    let hosts: String = (0..100).map(|number| format!("192.0.2.{number} many\n")).collect();
    let lab = Lab::new(Mode::honest(), Directory::of(names()), &format!("hosts {{\n{hosts}}}")).await;
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii("many.").unwrap(), RecordType::A));
    for (transport, cut) in [(Transport::Udp, true), (Transport::Tcp, false)] {
        let request = Request::new(message.clone(), IpAddr::from([10, 42, 0, 5]), transport).unwrap();
        let bytes = lab.engine.answer_bytes(&request, 53).await.unwrap();
        let reply = Message::from_vec(&bytes).unwrap();
        assert_eq!(reply.metadata.truncation, cut);
        assert!(!cut || bytes.len() <= 512);
    }
}

#[rstest]
#[case(
    ".:53 {\n errors\n frobnicate\n}",
    "/etc/coredns/Corefile:3 - Error during parsing: Unknown directive 'frobnicate'"
)]
#[case(
    ".:53 {\n kubernetes cluster.local {\n  podz insecure\n }\n}",
    "plugin/kubernetes: /etc/coredns/Corefile:3 - Error during parsing: unknown property 'podz'"
)]
#[case(
    ".:53 {\n kubernetes cluster.local {\n  pods maybe\n }\n}",
    "plugin/kubernetes: wrong value for pods: maybe,  must be one of: disabled, verified, insecure"
)]
#[case(
    ".:53 {\n forward .\n}",
    "plugin/forward: /etc/coredns/Corefile:2 - Error during parsing: Wrong argument count or unexpected line ending after '.'"
)]
#[case(".:53 {\n errors\n", "/etc/coredns/Corefile:2 - Error during parsing: Unexpected EOF")]
#[case(".:53 {\n cache 0\n}", "plugin/cache: cache TTL can not be zero or negative: 0")]
#[case(
    ".:53 {\n errors\n}\n.:53 {\n errors\n}",
    "/etc/coredns/Corefile:4 - Error during parsing: cannot serve dns://.:53 - it is already defined"
)]
fn a_wrong_corefile_is_refused_with_its_place(#[case] text: &str, #[case] expected: &str) {
    let surroundings = Surroundings {
        directory: Directory::default(),
        pace: Pace::REAL,
        journal: Journal::kept(),
        own_address: None,
    };
    let result =
        corefile::parse("/etc/coredns/Corefile", text).and_then(|parsed| Engine::new(&parsed, surroundings));
    assert_eq!(result.unwrap_err().to_string(), expected);
}
