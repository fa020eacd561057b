//! Go's own resolver: hosts file, search list, tries.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netmodel::resolve::{Family, Hosts, ResolvConf, Stack, Walk};
use pace::Pace;
use tokio::time::Instant;

use crate::lookup::LookupError;
use crate::walk::{Line, drive};

/// Go's pure resolver with one `resolv.conf` and, if wanted, one hosts file.
#[derive(Debug, Clone)]
pub struct Resolver {
    conf: ResolvConf,
    hosts: Hosts,
    line: Line,
}

impl Resolver {
    /// A resolver configured by the text of a `resolv.conf`; lines it does not know are skipped, as Go skips them.
    ///
    /// Without a name server Go asks 127.0.0.1:53, and so does this one.
    pub fn from_resolv_conf(text: &str, pace: Pace) -> Resolver {
        Resolver { conf: ResolvConf::parse(text), hosts: Hosts::default(), line: Line::new(pace) }
    }

    /// The resolver of this machine (or pod): `/etc/resolv.conf` and `/etc/hosts`; unreadable files count as empty.
    pub fn system(pace: Pace) -> Resolver {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Resolver::from_resolv_conf(&read("/etc/resolv.conf"), pace).with_hosts(&read("/etc/hosts"))
    }

    /// The same resolver, which first looks into the text of a hosts file.
    #[must_use]
    pub fn with_hosts(mut self, text: &str) -> Resolver {
        self.hosts = Hosts::parse(text);
        self
    }

    /// The same resolver asking on another port than 53, for servers that are not root.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Resolver {
        self.line.port = port;
        self
    }

    /// One try's limit after pace.
    pub(crate) fn paced_try(&self) -> Duration {
        self.line.pace.network(self.conf.timeout)
    }

    /// Go's `LookupHost`: every address of `name`, for at most `limit` (taken as it is).
    ///
    /// A literal address resolves to itself. A and AAAA are asked side by side; a good A survives a bad AAAA.
    ///
    /// # Errors
    /// [`LookupError`] in Go's words. When `limit` ends the search, the text is `dial udp <server>: i/o timeout`.
    pub async fn lookup_host(&self, name: &str, limit: Duration) -> Result<Vec<IpAddr>, LookupError> {
        let known = self.hosts.addresses(name);
        if !known.is_empty() {
            return Ok(known);
        }
        let walk = Walk::new(&self.conf, Stack::Go, name, Family::Any);
        let driven = drive(walk, &self.line_for(limit)).await;
        match &driven.outcome.result {
            Ok(found) => Ok(reachable_first(found.addresses.clone())),
            Err(failure) => Err(LookupError {
                name: name.to_owned(),
                server: failure.server.map(|server| SocketAddr::new(server, self.line.port)),
                failure: driven.go_failure(failure),
            }),
        }
    }

    /// Asks for text once, as grpc-go does for its service configuration, and forgets the answer.
    pub(crate) async fn ask_text(&self, name: &str, limit: Duration) {
        drive(Walk::text(&self.conf, name), &self.line_for(limit)).await;
    }

    fn line_for(&self, limit: Duration) -> Line {
        Line { deadline: Some(Instant::now() + limit), ..self.line }
    }
}

/// RFC 6724 as far as it matters here: addresses without a route go last, otherwise IPv6 goes before IPv4.
fn reachable_first(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let has_route = |address: &IpAddr| {
        let any: SocketAddr =
            if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        std::net::UdpSocket::bind(any).and_then(|socket| socket.connect((*address, 9))).is_ok()
    };
    if addresses.iter().any(IpAddr::is_ipv6) {
        addresses.sort_by_cached_key(|address| (!has_route(address), address.is_ipv4()));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_come_before_dns() {
        let resolver = Resolver::from_resolv_conf("", Pace::REAL).with_hosts("10.0.0.9 pod-0 Pod # x\n");
        let found = resolver.lookup_host("POD", Duration::from_secs(1)).await.unwrap();
        assert_eq!(found, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn a_literal_is_its_own_address() {
        let resolver = Resolver::from_resolv_conf("", Pace::REAL);
        let found = resolver.lookup_host("10.0.0.9", Duration::ZERO).await.unwrap();
        assert_eq!(found, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn what_is_no_name_does_not_exist_and_no_server_is_named() {
        let resolver = Resolver::from_resolv_conf("", Pace::REAL);
        let error = resolver.lookup_host("a..b", Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "lookup a..b: no such host");
    }
}
