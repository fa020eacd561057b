//! The table of denials: legible, whole, and at one with the resolver walks.

use std::time::Duration;

use netmodel::resolve::{Family, Reply, ResolvConf, Stack, rehearse};
use netmodel::symptom::{Client, Symptom, Traffic, denials, denied, read};
use netmodel::{OutcomeClass, Profile};
use rstest::rstest;

fn line(row: &Symptom) -> String {
    let head = format!("{} {:?} {:?}", row.profile, row.client, row.traffic);
    let ends = row.ends.iter().map(|end| {
        let code = end.code.map_or(String::new(), |code| format!(" [{code}]"));
        let after = end.after_ms.as_ref().map_or("its own limit".to_owned(), |ms| format!("{ms:?} ms"));
        format!("  {:?}{code} after {after}: {}", end.class, end.text)
    });
    std::iter::once(head).chain(ends).collect::<Vec<_>>().join("\n")
}

#[test]
fn table() {
    insta::assert_snapshot!(denials().iter().map(line).collect::<Vec<_>>().join("\n"));
}

/// What a row's text is read as is the row's class.
#[test]
fn texts_are_read_as_their_class() {
    for row in denials() {
        for end in row.ends.iter().filter(|end| !end.text.is_empty()) {
            assert_eq!(read(end.text), Some(end.class), "{}", line(&row));
        }
    }
}

/// Calico is silent to everyone; kube-router refuses everyone's dial.
#[test]
fn the_likeliest_end_of_a_dial_is_the_profile_s() {
    for row in denials().iter().filter(|row| row.traffic != Traffic::Dns) {
        let expected = match row.profile {
            Profile::Flannel => OutcomeClass::Refused,
            Profile::Calico => OutcomeClass::Timeout,
        };
        assert_eq!(row.ends[0].class, expected, "{}", line(row));
    }
}

/// The seconds of silent names are those of the walks.
#[rstest]
#[case(Client::GoPatient, Stack::Go, &[Family::Any])]
#[case(Client::GetentHosts, Stack::Glibc, &[Family::V6, Family::V4])]
#[case(Client::GetentAhostsV4, Stack::Glibc, &[Family::V4])]
#[case(Client::MuslGetaddrinfo, Stack::Musl, &[Family::Any])]
#[case(Client::BusyboxNslookup, Stack::BusyboxNslookup, &[Family::Any])]
#[case(Client::Curl, Stack::Glibc, &[Family::Any])]
fn silent_names_take_as_long_as_their_walk(
    #[case] client: Client,
    #[case] stack: Stack,
    #[case] families: &[Family],
) {
    let conf = ResolvConf::parse(
        "search np.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\n\
         options ndots:5\n",
    );
    let walk = |family: &Family| rehearse(&conf, stack, "server", *family, |_, _| Reply::Timeout).elapsed;
    let all: Duration = families.iter().map(walk).sum();
    let row = denied(Profile::Calico, client, Traffic::Dns).expect("a row");
    let milliseconds = u64::try_from(all.as_millis()).expect("a few seconds");
    assert!(row.ends[0].after_ms.as_ref().expect("a time").contains(&milliseconds), "{}", line(&row));
}
