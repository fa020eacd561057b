//! Names, with the habits of four programs.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use gonet::{Line, Resolver};
use netmodel::OutcomeClass;
use netmodel::resolve::{Family, Hosts, Outcome, ResolvConf, Stack, Walk};
use pace::Pace;

use crate::probe::{Detail, DnsStyle, Observation};
use crate::tcp::{lookup_class, millis};

/// grpc-go's limit for one resolution, the longest any of Seldon's programs waits.
const GO_LIMIT: Duration = Duration::from_secs(30);

/// Looks `name` up from this pod, with its `resolv.conf` and hosts file.
pub(crate) async fn look_up(style: DnsStyle, name: &str, pace: Pace) -> Observation {
    let stack = match style {
        DnsStyle::Go => return go(name, pace).await,
        DnsStyle::Glibc => Stack::Glibc,
        DnsStyle::Musl => Stack::Musl,
        DnsStyle::BusyboxNslookup => Stack::BusyboxNslookup,
    };
    walked(stack, name, &ResolvConf::parse(&read("/etc/resolv.conf")), pace).await
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Asks `server` for `name` as it stands.
pub(crate) async fn ask(server: IpAddr, name: &str, pace: Pace) -> Observation {
    let conf = ResolvConf::parse(&format!("nameserver {server}\n"));
    walked(Stack::BusyboxNslookup, name, &conf, pace).await
}

async fn go(name: &str, pace: Pace) -> Observation {
    let began = Instant::now();
    match Resolver::system(pace).lookup_host(name, pace.network(GO_LIMIT)).await {
        Ok(addresses) => found(began, &addresses, join(&addresses), 0),
        Err(error) => observed(began, lookup_class(&error.failure), error.to_string(), vec![], 1),
    }
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn found(began: Instant, addresses: &[IpAddr], text: String, exit_code: u8) -> Observation {
    observed(began, OutcomeClass::Open, text, addresses.to_vec(), exit_code)
}

fn observed(
    began: Instant,
    class: OutcomeClass,
    text: String,
    addresses: Vec<IpAddr>,
    exit_code: u8,
) -> Observation {
    Observation {
        class,
        errno: None,
        elapsed_ms: millis(began),
        text,
        detail: Detail::Dns { addresses, exit_code },
    }
}

async fn walked(stack: Stack, name: &str, conf: &ResolvConf, pace: Pace) -> Observation {
    let began = Instant::now();
    let in_hosts = Hosts::parse(&read("/etc/hosts")).addresses(name);
    // nslookup is a tool of DNS alone and does not read the hosts file.
    if !in_hosts.is_empty() && stack != Stack::BusyboxNslookup {
        return found(began, &in_hosts, join(&in_hosts), 0);
    }
    let walk = Walk::new(conf, stack, name, Family::Any);
    let outcome = gonet::drive(walk, &Line::new(pace)).await.outcome;
    let exit_code = match stack {
        Stack::BusyboxNslookup => outcome.nslookup_exit_code(),
        Stack::Go | Stack::Glibc | Stack::Musl => u8::from(outcome.result.is_err()) * 2,
    };
    let text = text(stack, name, &outcome);
    match &outcome.result {
        Ok(found) => observed(began, OutcomeClass::Open, text, found.addresses.clone(), exit_code),
        Err(failure) => observed(began, failure.class(), text, vec![], exit_code),
    }
}

/// What the program prints.
fn text(stack: Stack, name: &str, outcome: &Outcome) -> String {
    match (&outcome.result, stack) {
        (Ok(found), Stack::BusyboxNslookup) => {
            let lines =
                found.addresses.iter().map(|address| format!("Name:\t{}\nAddress: {address}", found.name));
            lines.collect::<Vec<_>>().join("\n")
        }
        (Ok(found), Stack::Go | Stack::Glibc | Stack::Musl) => join(&found.addresses),
        (Err(failure), Stack::BusyboxNslookup) => match (failure.class(), failure.server) {
            (OutcomeClass::NameTimeout, _) => ";; connection timed out; no servers could be reached".into(),
            (OutcomeClass::NameTemporary, Some(server)) => {
                format!("nslookup: write to '{server}': Connection refused")
            }
            _ => format!("** server can't find {name}: NXDOMAIN"),
        },
        (Err(failure), Stack::Musl) => {
            failure.code.map_or("not found", netmodel::resolve::GaiCode::musl_text).into()
        }
        (Err(failure), Stack::Go | Stack::Glibc) => {
            failure.code.map_or("not found", netmodel::resolve::GaiCode::glibc_text).into()
        }
    }
}
