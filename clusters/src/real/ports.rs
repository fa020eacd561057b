//! Where on the host a real cluster is reached.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A port of the server's node on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort {
    /// Address of the host; the cluster's own when absent.
    pub address: Option<Ipv4Addr>,
    /// Port of the host.
    pub outside: u16,
    /// Port of the node.
    pub inside: u16,
}

/// Where the API server is on the host. What is absent is left to whoever starts the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApiPlace {
    /// Address of the host, which published ports then have, too.
    pub address: Option<Ipv4Addr>,
    /// Port of the host.
    pub port: Option<u16>,
}

/// What is no port of a node on the host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no [ADDRESS:]OUTER:INNER, such as 8080:30080 or 127.0.0.2:8080:30080")]
pub struct NoHostPort;

impl FromStr for HostPort {
    type Err = NoHostPort;

    fn from_str(text: &str) -> Result<HostPort, NoHostPort> {
        let port = |word: &str| word.parse().ok().filter(|port| *port > 0).ok_or(NoHostPort);
        let (address, outside, inside) = match text.split(':').collect::<Vec<_>>()[..] {
            [outside, inside] => (None, outside, inside),
            [address, outside, inside] => (Some(address.parse().map_err(|_| NoHostPort)?), outside, inside),
            _ => return Err(NoHostPort),
        };
        Ok(HostPort { address, outside: port(outside)?, inside: port(inside)? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.address {
            write!(formatter, "{address}:")?;
        }
        write!(formatter, "{}:{}", self.outside, self.inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("8080:30080", None)]
    #[case::somewhere("127.0.0.2:8080:30080", Some(Ipv4Addr::new(127, 0, 0, 2)))]
    fn ports_are_read_and_written_alike(#[case] text: &str, #[case] address: Option<Ipv4Addr>) {
        let port: HostPort = text.parse().unwrap();
        assert_eq!(port, HostPort { address, outside: 8080, inside: 30080 });
        assert_eq!(port.to_string(), text);
    }

    #[rstest]
    #[case::one("8080")]
    #[case::zero("0:30080")]
    #[case::large("8080:70000")]
    #[case::no_address("here:8080:30080")]
    #[case::four("127.0.0.1:1:2:3")]
    fn what_is_no_port_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<HostPort>(), Err(NoHostPort));
    }
}
