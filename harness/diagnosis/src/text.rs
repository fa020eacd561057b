//! What a Go program's error text says happened.

use std::net::SocketAddr;
use std::sync::LazyLock;

use regex::Regex;

/// A failure, read out of the words that Go's `net` and grpc-go use (texts of Go 1.24 and grpc-go 1.73).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoFailure {
    /// `dial tcp A: i/o timeout`.
    DialTimeout(SocketAddr),
    /// `dial tcp A: connect: connection refused`.
    DialRefused(SocketAddr),
    /// `name resolver error: produced zero addresses`: the name does not exist.
    NoAddresses,
    /// `lookup X on S: …`: the name server could not be asked.
    LookupBlocked {
        /// The name that was asked for.
        name: String,
        /// The name server.
        server: SocketAddr,
    },
    /// `grpc: the client connection is closing`.
    Closing,
}

#[expect(clippy::unwrap_used, reason = "the patterns are constants, compiled in a test")]
static DIAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"dial tcp (?P<address>[0-9.]+:[0-9]+): (?P<how>i/o timeout|connect: connection refused)")
        .unwrap()
});
#[expect(clippy::unwrap_used, reason = "the patterns are constants, compiled in a test")]
static LOOKUP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"lookup (?P<name>\S+) on (?P<server>[0-9.]+:53): .*(i/o timeout|connection refused)").unwrap()
});

/// The failure that `text` tells of, if it tells of one.
pub fn go_failure(text: &str) -> Option<GoFailure> {
    if let Some(found) = LOOKUP.captures(text) {
        return Some(GoFailure::LookupBlocked {
            name: found["name"].to_owned(),
            server: found["server"].parse().ok()?,
        });
    }
    if let Some(found) = DIAL.captures(text) {
        let address = found["address"].parse().ok()?;
        return Some(match &found["how"] {
            "i/o timeout" => GoFailure::DialTimeout(address),
            _ => GoFailure::DialRefused(address),
        });
    }
    if text.contains("produced zero addresses") {
        return Some(GoFailure::NoAddresses);
    }
    text.contains("grpc: the client connection is closing").then_some(GoFailure::Closing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::timeout(
        r#"rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 10.43.51.131:9004: i/o timeout""#,
        Some(GoFailure::DialTimeout("10.43.51.131:9004".parse().unwrap()))
    )]
    #[case::refused(
        r#"rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 10.43.66.160:9004: connect: connection refused""#,
        Some(GoFailure::DialRefused("10.43.66.160:9004".parse().unwrap()))
    )]
    #[case::no_name(
        "rpc error: code = Unavailable desc = name resolver error: produced zero addresses",
        Some(GoFailure::NoAddresses)
    )]
    #[case::dns_refused(
        "rpc error: code = Unavailable desc = dns: A record lookup error: lookup seldon-scheduler.financial-ml on 10.43.0.10:53: read udp 10.42.0.50:41870->10.43.0.10:53: read: connection refused",
        Some(GoFailure::LookupBlocked { name: "seldon-scheduler.financial-ml".into(), server: "10.43.0.10:53".parse().unwrap() })
    )]
    #[case::dns_dropped(
        "lookup seldon-scheduler on 10.43.0.10:53: dial udp 10.43.0.10:53: i/o timeout",
        Some(GoFailure::LookupBlocked { name: "seldon-scheduler".into(), server: "10.43.0.10:53".parse().unwrap() })
    )]
    #[case::closing(
        "rpc error: code = Canceled desc = grpc: the client connection is closing",
        Some(GoFailure::Closing)
    )]
    #[case::something_else("ScheduleFailed", None)]
    fn reads(#[case] text: &str, #[case] expected: Option<GoFailure>) {
        assert_eq!(go_failure(text), expected);
    }
}
