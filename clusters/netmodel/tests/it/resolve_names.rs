//! Look-ups from a pod of namespace `np` in a k3s 1.33.1 cluster, with an honest and with a
//! poisoned upstream, and what of them reaches that upstream.

use netmodel::resolve::{Family, Question, RecordType, Rehearsal, Reply, ResolvConf, Stack, rehearse};
use rstest::rstest;

const POISON: &str = "143.244.220.150";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upstream {
    Honest,
    Poisoned,
}

/// Services `server.np` and `scheduler.fin` exist.
fn answer(upstream: Upstream, question: &Question) -> Reply {
    let v6 = question.record == RecordType::Aaaa;
    let found = |address: &str| match v6 {
        true => Reply::NoData,
        false => Reply::Addresses(vec![address.parse().expect("an address")]),
    };
    match question.name.as_str() {
        "server.np.svc.cluster.local" => found("10.43.0.80"),
        "scheduler.fin.svc.cluster.local" => found("10.43.14.85"),
        name if name.ends_with("cluster.local") => Reply::NxDomain,
        _ if upstream == Upstream::Poisoned => found(POISON),
        _ => Reply::NxDomain,
    }
}

fn look_up(stack: Stack, name: &str, family: Family, upstream: Upstream) -> Rehearsal {
    let conf = ResolvConf::parse(
        "search np.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\n\
         options ndots:5\n",
    );
    rehearse(&conf, stack, name, family, |_, question| answer(upstream, question))
}

fn first(rehearsal: &Rehearsal) -> String {
    let found = rehearsal.outcome.result.as_ref().map(|found| found.addresses[0].to_string());
    found.unwrap_or_else(|_| "not found".to_owned())
}

#[rstest]
#[case::two_labels("scheduler.fin", "10.43.14.85", "10.43.14.85")]
#[case::three_labels("scheduler.fin.svc", "10.43.14.85", "10.43.14.85")]
#[case::own_namespace("server", "10.43.0.80", "10.43.0.80")]
#[case::full("scheduler.fin.svc.cluster.local", "10.43.14.85", "10.43.14.85")]
#[case::full_with_dot("scheduler.fin.svc.cluster.local.", "10.43.14.85", "10.43.14.85")]
#[case::absent("absent", "not found", POISON)]
#[case::absent_two_labels("absent.fin", "not found", POISON)]
#[case::absent_full("absent.fin.svc.cluster.local.", "not found", "not found")]
fn programs_that_search(
    #[case] name: &str,
    #[case] honest: &str,
    #[case] poisoned: &str,
    #[values(Stack::Go, Stack::Glibc, Stack::Musl)] stack: Stack,
) {
    let found = |upstream| first(&look_up(stack, name, Family::Any, upstream));
    assert_eq!(found(Upstream::Honest), honest);
    assert_eq!(found(Upstream::Poisoned), poisoned);
}

/// A full name without its final dot has four dots: the search list comes first, and when nothing
/// has the name it is asked as it stands, where the cluster's server still answers for itself.
#[rstest]
fn an_absent_full_name_never_reaches_the_upstream(
    #[values(Stack::Go, Stack::Glibc, Stack::Musl)] stack: Stack,
) {
    let walk = look_up(stack, "absent.fin.svc.cluster.local", Family::Any, Upstream::Poisoned);
    assert_eq!(first(&walk), "not found");
    assert!(walk.asked.iter().all(|(_, question)| question.name.ends_with("cluster.local")));
}

/// `getent hosts` asks for AAAA over the whole list, so the bare label of a Service that exists
/// reaches the upstream.
#[test]
fn getent_hosts_asks_the_upstream_for_a_service_that_exists() {
    let walk = look_up(Stack::Glibc, "server", Family::V6, Upstream::Honest);
    let names: Vec<&str> = walk.asked.iter().map(|(_, question)| question.name.as_str()).collect();
    let all = ["server.np.svc.cluster.local", "server.svc.cluster.local", "server.cluster.local", "server"];
    assert_eq!(names, all);
    assert_eq!(first(&look_up(Stack::Glibc, "server", Family::V4, Upstream::Honest)), "10.43.0.80");
}

/// What each program asks, in order, for a name of two labels.
#[rstest]
#[case::go(Stack::Go, &["scheduler.fin.np.svc.cluster.local", "scheduler.fin.svc.cluster.local"])]
#[case::glibc(Stack::Glibc, &["scheduler.fin.np.svc.cluster.local", "scheduler.fin.svc.cluster.local"])]
#[case::musl(Stack::Musl, &["scheduler.fin.np.svc.cluster.local", "scheduler.fin.svc.cluster.local"])]
#[case::nslookup(Stack::BusyboxNslookup, &["scheduler.fin"])]
fn questions_of_two_labels(#[case] stack: Stack, #[case] expected: &[&str]) {
    let walk = look_up(stack, "scheduler.fin", Family::V4, Upstream::Honest);
    let names: Vec<&str> = walk.asked.iter().map(|(_, question)| question.name.as_str()).collect();
    assert_eq!(names, expected);
}

/// A pod with the node's own resolv.conf asks a hijacking server directly.
#[rstest]
fn the_node_s_own_servers_mislead_everybody(
    #[values(Stack::Go, Stack::Glibc, Stack::Musl, Stack::BusyboxNslookup)] stack: Stack,
) {
    let conf = ResolvConf::parse("nameserver 192.168.1.1\nsearch corp.example\n");
    let hijack = |_, question: &Question| match question.record {
        RecordType::A => Reply::Addresses(vec![POISON.parse().expect("an address")]),
        RecordType::Aaaa | RecordType::Txt => Reply::NoData,
    };
    assert_eq!(first(&rehearse(&conf, stack, "scheduler.fin", Family::Any, hijack)), POISON);
}

/// Two servers: Go and glibc ask the second after the first's silence, musl asks both at once.
#[rstest]
#[case::go(Stack::Go, 5)]
#[case::glibc(Stack::Glibc, 5)]
#[case::musl(Stack::Musl, 0)]
#[case::nslookup(Stack::BusyboxNslookup, 5)]
fn a_silent_first_server(#[case] stack: Stack, #[case] seconds: u64) {
    let conf = ResolvConf::parse("nameserver 10.0.0.1\nnameserver 10.0.0.2\n");
    let second = |server: std::net::IpAddr, _: &Question| match server.to_string().as_str() {
        "10.0.0.1" => Reply::Timeout,
        _ => Reply::Addresses(vec!["10.0.0.9".parse().expect("an address")]),
    };
    let walk = rehearse(&conf, stack, "a.example", Family::V4, second);
    assert_eq!(first(&walk), "10.0.0.9");
    assert_eq!(walk.elapsed.as_secs(), seconds);
}
