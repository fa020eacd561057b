//! What a denial looks like: per network stack, client and traffic, as seen on real clusters.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::OutcomeClass::{self, NameTemporary, NameTimeout, Refused, Timeout};
use crate::profile::Profile;

/// A program, or the library a program resolves and dials with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// A bare socket without a deadline.
    Socket,
    /// Go's `net` with a deadline of the caller.
    Go,
    /// Go's `net` without a deadline.
    GoPatient,
    /// grpc-go 1.73, calls that do not wait for readiness.
    GrpcGo,
    /// curl with `-m`.
    Curl,
    /// `wget` of busybox 1.36 with `-T`.
    BusyboxWget,
    /// `nc` of busybox 1.36 with `-w`.
    BusyboxNc,
    /// `getent hosts` of glibc 2.36.
    GetentHosts,
    /// `getent ahostsv4` of glibc 2.36.
    GetentAhostsV4,
    /// `getaddrinfo` of musl 1.2.3.
    MuslGetaddrinfo,
    /// `nslookup` of busybox 1.36.
    BusyboxNslookup,
    /// `dig +time=2 +tries=1`.
    Dig,
}

/// What is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// A TCP dial, to a pod's or a Service's address alike.
    Tcp,
    /// A UDP exchange.
    Udp,
    /// The way to the name server.
    Dns,
}

/// One way a denied attempt ends.
///
/// In `text`, `{address}` is the dialled `address:port`, `{host}` the dialled address or name
/// alone, `{local}` the client's own `address:port`, `{server}` the name server's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// Its class.
    pub class: OutcomeClass,
    /// What the client says; empty if it says nothing.
    pub text: &'static str,
    /// Exit code or, of `getaddrinfo`, its error number. `None` for libraries.
    pub code: Option<i32>,
    /// How long it takes at pace 1, in milliseconds. `None`: until the client's own limit.
    pub after_ms: Option<RangeInclusive<u64>>,
}

/// Everything a denial can look like to one client. The ends are in order of likelihood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Symptom {
    /// The network stack.
    pub profile: Profile,
    /// Who is denied.
    pub client: Client,
    /// What is denied.
    pub traffic: Traffic,
    /// The ends seen.
    pub ends: Vec<End>,
}

/// What a denial looks like to `client`. `None`: this client has nothing to do with this traffic,
/// or nobody has looked.
///
/// On flannel a client's first six refusals within a second come at once; then the ICMP is
/// limited to one a second, later dials are refused when the kernel sends their SYN again (after
/// 1 s) or run into the client's limit.
#[must_use]
pub fn denied(profile: Profile, client: Client, traffic: Traffic) -> Option<Symptom> {
    let same = |row: &Symptom| row.profile == profile && row.client == client && row.traffic == traffic;
    denials().into_iter().find(same)
}

/// The whole table, flannel before calico.
#[must_use]
pub fn denials() -> Vec<Symptom> {
    let rows = |profile, rows: Vec<(Client, Traffic, Vec<End>)>| {
        rows.into_iter().map(move |(client, traffic, ends)| Symptom { profile, client, traffic, ends })
    };
    let mut all: Vec<Symptom> = rows(Profile::Flannel, refused_dials()).collect();
    all.extend(rows(Profile::Flannel, refused_names()));
    all.extend(rows(Profile::Calico, dropped_dials()));
    all.extend(rows(Profile::Calico, dropped_names()));
    all
}

type Rows = Vec<(Client, Traffic, Vec<End>)>;

/// At once, or with the SYN's first repetition.
const AT_ONCE: Option<RangeInclusive<u64>> = Some(0..=1_100);

const DIAL_REFUSED: &str = "dial tcp {address}: connect: connection refused";
const DIAL_TIMEOUT: &str = "dial tcp {address}: i/o timeout";
const READ_REFUSED: &str = "read udp {local}->{address}: read: connection refused";
const READ_TIMEOUT: &str = "read udp {local}->{address}: i/o timeout";
const CURL_TIMEOUT: &str = "curl: (28) Connection timed out after";
const GRPC_REFUSED: &str = "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp {address}: connect: connection refused\"";
const GRPC_TIMEOUT: &str = "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp {address}: i/o timeout\"";

const LOOKUP_DIAL_TIMEOUT: &str = "lookup {host} on {server}:53: dial udp {server}:53: i/o timeout";
const LOOKUP_READ_TIMEOUT: &str = "lookup {host} on {server}:53: read udp {local}->{server}:53: i/o timeout";
const LOOKUP_READ_REFUSED: &str =
    "lookup {host} on {server}:53: read udp {local}->{server}:53: read: connection refused";
const GRPC_LOOKUP_REFUSED: &str = "rpc error: code = Unavailable desc = dns: A record lookup error: lookup {host} on {server}:53: read udp {local}->{server}:53: read: connection refused";
const GRPC_LOOKUP_TIMEOUT: &str = "rpc error: code = Unavailable desc = dns: A record lookup error: lookup {host} on {server}:53: dial udp {server}:53: i/o timeout";
const NSLOOKUP_TIMEOUT: &str = "connection timed out; no servers could be reached";
const DIG: &str = "no servers could be reached";
const CURL_NAME: &str = "curl: (6) Could not resolve host: {host}";

fn end(
    class: OutcomeClass,
    text: &'static str,
    code: Option<i32>,
    after_ms: Option<RangeInclusive<u64>>,
) -> End {
    End { class, text, code, after_ms }
}

fn refused_dials() -> Rows {
    use Client::{BusyboxNc, BusyboxWget, Curl, Go, GrpcGo, Socket};
    let curl = "curl: (7) Failed to connect to {host} port";
    let wget = "wget: can't connect to remote host ({host}): Connection refused";
    vec![
        (Socket, Traffic::Tcp, vec![end(Refused, "Connection refused (os error 111)", None, AT_ONCE)]),
        (
            Socket,
            Traffic::Udp,
            vec![
                end(Refused, "Connection refused (os error 111)", None, AT_ONCE),
                end(Timeout, "", None, None),
            ],
        ),
        (
            Go,
            Traffic::Tcp,
            vec![end(Refused, DIAL_REFUSED, None, AT_ONCE), end(Timeout, DIAL_TIMEOUT, None, None)],
        ),
        (
            Go,
            Traffic::Udp,
            vec![end(Refused, READ_REFUSED, None, AT_ONCE), end(Timeout, READ_TIMEOUT, None, None)],
        ),
        (GrpcGo, Traffic::Tcp, vec![end(Refused, GRPC_REFUSED, None, AT_ONCE)]),
        (
            Curl,
            Traffic::Tcp,
            vec![end(Refused, curl, Some(7), AT_ONCE), end(Timeout, CURL_TIMEOUT, Some(28), None)],
        ),
        (BusyboxWget, Traffic::Tcp, vec![end(Refused, wget, Some(1), AT_ONCE)]),
        (BusyboxNc, Traffic::Tcp, vec![end(Refused, "", Some(1), AT_ONCE)]),
    ]
}

fn dropped_dials() -> Rows {
    use Client::{BusyboxNc, BusyboxWget, Curl, Go, GoPatient, GrpcGo, Socket};
    let own_limit = |text, code| vec![end(Timeout, text, code, None)];
    vec![
        // Six repetitions of the SYN and the linear ones before them: 134.7 s were seen.
        (
            Socket,
            Traffic::Tcp,
            vec![end(Timeout, "Connection timed out (os error 110)", None, Some(133_000..=136_000))],
        ),
        (Socket, Traffic::Udp, own_limit("", None)),
        (Go, Traffic::Tcp, own_limit(DIAL_TIMEOUT, None)),
        (
            GoPatient,
            Traffic::Tcp,
            vec![end(
                Timeout,
                "dial tcp {address}: connect: connection timed out",
                None,
                Some(133_000..=136_000),
            )],
        ),
        (Go, Traffic::Udp, own_limit(READ_TIMEOUT, None)),
        // One dial attempt of grpc-go lasts 20 s; calls whose deadline is shorter say so instead.
        (GrpcGo, Traffic::Tcp, vec![end(Timeout, GRPC_TIMEOUT, None, Some(20_000..=20_500))]),
        (Curl, Traffic::Tcp, own_limit(CURL_TIMEOUT, Some(28))),
        (BusyboxWget, Traffic::Tcp, own_limit("wget: download timed out", Some(1))),
        (BusyboxNc, Traffic::Tcp, own_limit("", Some(1))),
    ]
}

/// Name look-ups with the kubelet's three search domains and one server.
fn refused_names() -> Rows {
    use Client::*;
    let written = "nslookup: write to '{server}': Connection refused";
    let rows = vec![
        (
            Go,
            vec![
                end(NameTimeout, LOOKUP_DIAL_TIMEOUT, None, None),
                end(NameTemporary, LOOKUP_READ_REFUSED, None, Some(0..=15_000)),
            ],
        ),
        (
            GoPatient,
            vec![
                end(NameTimeout, LOOKUP_READ_TIMEOUT, None, Some(5_000..=15_000)),
                end(NameTemporary, LOOKUP_READ_REFUSED, None, Some(0..=15_000)),
            ],
        ),
        (GrpcGo, vec![end(NameTemporary, GRPC_LOOKUP_REFUSED, None, Some(0..=15_000))]),
        (GetentHosts, vec![end(NameTemporary, "", Some(2), Some(0..=5_500))]),
        (GetentAhostsV4, vec![end(NameTemporary, "", Some(2), Some(0..=5_500))]),
        (MuslGetaddrinfo, vec![end(NameTemporary, "Try again", Some(-3), Some(4_900..=5_500))]),
        (
            BusyboxNslookup,
            vec![
                end(NameTemporary, written, Some(1), Some(0..=5_500)),
                // Every answer of its five seconds was one too many for the ICMP rate limit.
                end(NameTimeout, NSLOOKUP_TIMEOUT, Some(1), Some(5_000..=5_500)),
            ],
        ),
        (Dig, vec![end(NameTimeout, DIG, Some(9), Some(0..=2_500))]),
        (Curl, vec![end(NameTemporary, CURL_NAME, Some(6), Some(0..=5_500))]),
    ];
    rows.into_iter().map(|(client, ends)| (client, Traffic::Dns, ends)).collect()
}

fn dropped_names() -> Rows {
    use Client::*;
    let rows = vec![
        (Go, vec![end(NameTimeout, LOOKUP_DIAL_TIMEOUT, None, None)]),
        (GoPatient, vec![end(NameTimeout, LOOKUP_READ_TIMEOUT, None, Some(40_000..=40_500))]),
        (GrpcGo, vec![end(NameTimeout, GRPC_LOOKUP_TIMEOUT, None, Some(30_000..=30_500))]),
        (GetentHosts, vec![end(NameTemporary, "", Some(2), Some(40_000..=40_500))]),
        (GetentAhostsV4, vec![end(NameTemporary, "", Some(2), Some(20_000..=20_500))]),
        (MuslGetaddrinfo, vec![end(NameTemporary, "Try again", Some(-3), Some(4_900..=5_500))]),
        (BusyboxNslookup, vec![end(NameTimeout, NSLOOKUP_TIMEOUT, Some(1), Some(5_000..=5_500))]),
        (Dig, vec![end(NameTimeout, DIG, Some(9), Some(2_000..=2_500))]),
        (Curl, vec![end(NameTemporary, CURL_NAME, Some(6), Some(19_500..=20_500))]),
    ];
    rows.into_iter().map(|(client, ends)| (client, Traffic::Dns, ends)).collect()
}
