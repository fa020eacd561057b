//! What each resolver makes of the same names, measured rows of glibc 2.36, musl 1.2.3, Go 1.24
//! and busybox 1.36 in a pod of k3s 1.33.1.

use std::net::IpAddr;
use std::time::Duration;

use netmodel::resolve::{
    Family, GaiCode, Question, Reason, RecordType, Rehearsal, Reply, ResolvConf, Stack, rehearse,
};
use rstest::rstest;

const SERVICE: &str = "10.43.170.148";
const POISON: &str = "143.244.220.150";
const FULL: &str = "scheduler.financial-ml.svc.cluster.local";
const FIRST: &str = "scheduler.financial-ml.mesh-system.svc.cluster.local";

/// What stands behind the cluster's name server, and what is wrong with it.
#[derive(Debug, Clone, Default)]
struct World {
    hijack: bool,
    wildcard_host_domain: bool,
    service_absent: bool,
    /// Answer to the first search name, whatever the type.
    first: Option<Reply>,
    /// Answer to every name of the cluster.
    cluster: Option<Reply>,
    /// Answer to AAAA of the Service's full name.
    aaaa: Option<Reply>,
    hijack_v6: bool,
    everything: Option<Reply>,
}

fn address(text: &str) -> Reply {
    Reply::Addresses(vec![text.parse().expect("an address")])
}

impl World {
    fn answer(&self, question: &Question) -> Reply {
        if let Some(reply) = &self.everything {
            return reply.clone();
        }
        let v6 = question.record == RecordType::Aaaa;
        if question.name.ends_with(".cluster.local") {
            if let Some(reply) = &self.cluster {
                return reply.clone();
            }
            if let (Some(reply), true) = (&self.first, question.name == FIRST) {
                return reply.clone();
            }
            let present = question.name == FULL && !self.service_absent;
            return match (present, v6) {
                (false, _) => Reply::NxDomain,
                (true, false) => address(SERVICE),
                (true, true) => self.aaaa.clone().unwrap_or(Reply::NoData),
            };
        }
        let corp = self.wildcard_host_domain && question.name.ends_with(".corp.example");
        match (self.hijack || corp, v6) {
            (false, _) => Reply::NxDomain,
            (true, true) if self.hijack_v6 => address("2001:db8::1"),
            (true, true) => Reply::NoData,
            (true, false) => address(POISON),
        }
    }
}

fn conf(ndots: u32) -> ResolvConf {
    ResolvConf::parse(&format!(
        "search mesh-system.svc.cluster.local svc.cluster.local cluster.local corp.example\n\
         nameserver 10.43.0.10\noptions ndots:{ndots}\n"
    ))
}

/// The result in the words of the tables: `service`, `poison`, `not-found`, `again`.
fn words(rehearsal: &Rehearsal) -> &'static str {
    match &rehearsal.outcome.result {
        Ok(found) if found.addresses.contains(&SERVICE.parse::<IpAddr>().expect("an address")) => "service",
        Ok(_) => "poison",
        Err(failure) => match (failure.code, failure.reason) {
            (Some(GaiCode::Again), _) => "again",
            (_, Reason::NotFound) => "not-found",
            other => panic!("neither found nor again: {other:?}"),
        },
    }
}

fn hijack() -> World {
    World { hijack: true, ..World::default() }
}

#[rstest]
#[case::d1_default(5, "", hijack(), ["service", "service", "service", "poison"])]
#[case::d2_honest(5, "", World::default(), ["service", "service", "service", "not-found"])]
#[case::d3_ndots_1(1, "", hijack(), ["poison", "poison", "poison", "poison"])]
#[case::d4_ndots_1_honest(1, "", World::default(), ["service", "not-found", "service", "not-found"])]
#[case::d5_trailing_dot(5, ".", hijack(), ["poison", "poison", "poison", "poison"])]
#[case::d7_absent(5, "", World { service_absent: true, ..hijack() }, ["poison"; 4])]
#[case::d8_absent_honest(5, "", World { service_absent: true, ..World::default() }, ["not-found"; 4])]
#[case::d9_wildcard_host(5, "", World { wildcard_host_domain: true, ..World::default() },
    ["service", "service", "service", "not-found"])]
#[case::d10_first_servfail(5, "", World { first: Some(Reply::ServFail), ..hijack() },
    ["service", "again", "service", "poison"])]
#[case::d11_first_refused(5, "", World { first: Some(Reply::Refused), ..hijack() },
    ["poison", "again", "service", "poison"])]
#[case::d12_first_dropped(5, "", World { first: Some(Reply::Timeout), ..hijack() },
    ["poison", "again", "service", "poison"])]
#[case::d13_first_nodata(5, "", World { first: Some(Reply::NoData), ..hijack() },
    ["service", "not-found", "service", "poison"])]
#[case::d14_cluster_servfail(5, "", World { cluster: Some(Reply::ServFail), ..hijack() },
    ["poison", "again", "poison", "poison"])]
#[case::d15_cluster_dropped(5, "", World { cluster: Some(Reply::Timeout), ..hijack() },
    ["poison", "again", "poison", "poison"])]
#[case::d16_aaaa_nxdomain(5, "", World { aaaa: Some(Reply::NxDomain), ..hijack() },
    ["service", "poison", "service", "poison"])]
#[case::d17_aaaa_servfail(5, "", World { aaaa: Some(Reply::ServFail), ..hijack() },
    ["service", "again", "service", "poison"])]
#[case::d18_aaaa_dropped(5, "", World { aaaa: Some(Reply::Timeout), ..hijack() },
    ["service", "again", "service", "poison"])]
#[case::d19_hijack_v6(5, "", World { hijack_v6: true, ..hijack() },
    ["service", "service", "service", "poison"])]
fn two_labels(#[case] ndots: u32, #[case] dot: &str, #[case] world: World, #[case] expected: [&str; 4]) {
    let name = format!("scheduler.financial-ml{dot}");
    let stacks = [Stack::Glibc, Stack::Musl, Stack::Go, Stack::BusyboxNslookup];
    let found = stacks
        .map(|stack| words(&rehearse(&conf(ndots), stack, &name, Family::Any, |_, ask| world.answer(ask))));
    assert_eq!(found, expected, "glibc, musl, Go, nslookup");
}

/// The seconds of the same rows.
#[rstest]
#[case::first_servfail_musl(Stack::Musl, World { first: Some(Reply::ServFail), ..hijack() }, 5)]
#[case::first_refused_musl(Stack::Musl, World { first: Some(Reply::Refused), ..hijack() }, 5)]
#[case::first_refused_glibc(Stack::Glibc, World { first: Some(Reply::Refused), ..hijack() }, 0)]
#[case::first_dropped_glibc(Stack::Glibc, World { first: Some(Reply::Timeout), ..hijack() }, 10)]
#[case::first_dropped_musl(Stack::Musl, World { first: Some(Reply::Timeout), ..hijack() }, 5)]
#[case::first_dropped_go(Stack::Go, World { first: Some(Reply::Timeout), ..hijack() }, 10)]
#[case::cluster_dropped_glibc(Stack::Glibc, World { cluster: Some(Reply::Timeout), ..hijack() }, 10)]
#[case::cluster_dropped_go(Stack::Go, World { cluster: Some(Reply::Timeout), ..hijack() }, 30)]
#[case::aaaa_servfail_musl(Stack::Musl, World { aaaa: Some(Reply::ServFail), ..hijack() }, 5)]
#[case::aaaa_dropped_glibc(Stack::Glibc, World { aaaa: Some(Reply::Timeout), ..hijack() }, 15)]
#[case::aaaa_dropped_musl(Stack::Musl, World { aaaa: Some(Reply::Timeout), ..hijack() }, 5)]
#[case::aaaa_dropped_go(Stack::Go, World { aaaa: Some(Reply::Timeout), ..hijack() }, 10)]
fn seconds(#[case] stack: Stack, #[case] world: World, #[case] expected: u64) {
    let name = "scheduler.financial-ml";
    let rehearsal = rehearse(&conf(5), stack, name, Family::Any, |_, ask| world.answer(ask));
    assert_eq!(rehearsal.elapsed, Duration::from_secs(expected));
}

/// Default-deny egress: what a pod of three search domains and one server waits for.
#[rstest]
#[case::go_drop(Stack::Go, Family::Any, Reply::Timeout, 40, Reason::TimedOut)]
#[case::glibc_drop(Stack::Glibc, Family::Any, Reply::Timeout, 20, Reason::TimedOut)]
#[case::glibc_v4_drop(Stack::Glibc, Family::V4, Reply::Timeout, 20, Reason::TimedOut)]
#[case::musl_drop(Stack::Musl, Family::Any, Reply::Timeout, 5, Reason::TimedOut)]
#[case::nslookup_drop(Stack::BusyboxNslookup, Family::Any, Reply::Timeout, 5, Reason::TimedOut)]
#[case::go_reject(Stack::Go, Family::Any, Reply::Unreachable, 0, Reason::Unreachable)]
#[case::glibc_reject(Stack::Glibc, Family::V4, Reply::Unreachable, 0, Reason::Unreachable)]
#[case::musl_reject(Stack::Musl, Family::Any, Reply::Unreachable, 5, Reason::TimedOut)]
#[case::nslookup_reject(Stack::BusyboxNslookup, Family::Any, Reply::Unreachable, 0, Reason::Unreachable)]
fn names_denied(
    #[case] stack: Stack,
    #[case] family: Family,
    #[case] reply: Reply,
    #[case] expected: u64,
    #[case] reason: Reason,
) {
    let conf = ResolvConf::parse(
        "search np.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\n\
         options ndots:5\n",
    );
    let rehearsal = rehearse(&conf, stack, "server.np", family, |_, _| reply.clone());
    assert_eq!(rehearsal.elapsed, Duration::from_secs(expected));
    let failure = rehearsal.outcome.result.unwrap_err();
    assert_eq!(failure.reason, reason);
    let libc = matches!(stack, Stack::Glibc | Stack::Musl);
    assert_eq!(failure.code, libc.then_some(GaiCode::Again));
}

/// `getent hosts` is an AF_INET6 walk, then an AF_INET walk: 40 s in silence.
#[test]
fn getent_hosts_waits_twice() {
    let conf = ResolvConf::parse(
        "search np.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\n\
         options ndots:5\n",
    );
    let silent = |family| rehearse(&conf, Stack::Glibc, "server.np", family, |_, _| Reply::Timeout).elapsed;
    assert_eq!(silent(Family::V6) + silent(Family::V4), Duration::from_secs(40));
}

/// The pod's own namespace `np`; Service `server` there; a poisoned upstream or an honest one.
#[rstest]
#[case::honest_single("server", false, "10.43.14.85", 1)]
#[case::poisoned_single("server", true, "10.43.14.85", 1)]
#[case::honest_two_labels("server.np", false, "", 1)]
#[case::poisoned_two_labels("server.np", true, POISON, 0)]
#[case::poisoned_three_labels("server.np.svc", true, POISON, 0)]
#[case::full("server.np.svc.cluster.local", true, "10.43.14.85", 0)]
#[case::absent_single_never_bare("absent", true, "", 1)]
fn nslookup_of_busybox(#[case] name: &str, #[case] poisoned: bool, #[case] found: &str, #[case] exit: u8) {
    let conf = ResolvConf::parse(
        "search np.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\n\
         options ndots:5\n",
    );
    let world = |_, ask: &Question| {
        let v6 = ask.record == RecordType::Aaaa;
        match ask.name.as_str() {
            "server.np.svc.cluster.local" if v6 => Reply::NoData,
            "server.np.svc.cluster.local" => address("10.43.14.85"),
            name if name.ends_with("cluster.local") || !poisoned => Reply::NxDomain,
            _ if v6 => Reply::NoData,
            _ => address(POISON),
        }
    };
    let outcome = rehearse(&conf, Stack::BusyboxNslookup, name, Family::Any, world).outcome;
    assert_eq!(outcome.nslookup_exit_code(), exit);
    let first = outcome.result.map(|found| found.addresses[0].to_string());
    assert_eq!(first.unwrap_or_default(), found);
}

/// An absent full name is answered by the cluster's server: the poison is never reached.
#[rstest]
#[case(Stack::Go)]
#[case(Stack::Glibc)]
#[case(Stack::Musl)]
#[case(Stack::BusyboxNslookup)]
fn an_absent_full_name_is_not_found(#[case] stack: Stack) {
    let name = "absent.financial-ml.svc.cluster.local.";
    let world = hijack();
    let rehearsal = rehearse(&conf(5), stack, name, Family::Any, |_, ask| world.answer(ask));
    assert_eq!(words(&rehearsal), "not-found");
}

/// An empty NOERROR without AA or RA: Go takes it for a lame referral and tries again.
#[test]
fn a_lame_referral_is_tried_again_by_go() {
    let conf = ResolvConf::parse("nameserver 10.43.0.10\n");
    let rehearsal = rehearse(&conf, Stack::Go, "a.example", Family::V4, |_, _| Reply::Lame);
    assert_eq!(rehearsal.asked.len(), 2);
    assert_eq!(rehearsal.outcome.result.unwrap_err().reason, Reason::Lame);
}

/// A reply with the alias alone: nobody chases it, and glibc stops its search there.
#[rstest]
#[case(Stack::Go, 5)]
#[case(Stack::Glibc, 1)]
#[case(Stack::Musl, 1)]
fn aliases_are_not_chased(#[case] stack: Stack, #[case] names_asked: usize) {
    let name = "alias.ns";
    let rehearsal = rehearse(&conf(5), stack, name, Family::V4, |_, _| Reply::AliasOnly);
    assert_eq!(words(&rehearsal), "not-found");
    assert_eq!(rehearsal.asked.len(), names_asked);
}

#[rstest]
#[case("10.43.0.1")]
#[case("::1")]
fn a_literal_address_asks_nobody(#[case] name: &str) {
    let rehearsal = rehearse(&conf(5), Stack::Go, name, Family::Any, |_, _| Reply::Timeout);
    assert!(rehearsal.asked.is_empty());
    assert_eq!(rehearsal.outcome.result.unwrap().addresses[0].to_string(), name);
}
