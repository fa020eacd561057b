//! Go's own resolver: hosts file, search list, tries.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use pace::Pace;
use tokio::time::Instant;

use crate::exchange;
use crate::lookup::{LookupError, LookupFailure};

/// Go's pure resolver with one `resolv.conf` and, if wanted, one hosts file.
#[derive(Debug, Clone)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    /// One try's limit, unscaled; 5 s unless `options timeout:` says otherwise.
    try_limit: Duration,
    attempts: u32,
    hosts: Vec<(IpAddr, String)>,
    pace: Pace,
}

impl Resolver {
    /// A resolver configured by the text of a `resolv.conf`; lines it does not know are skipped, as Go skips them.
    ///
    /// Without a name server Go asks 127.0.0.1:53, and so does this one.
    pub fn from_resolv_conf(text: &str, pace: Pace) -> Resolver {
        let mut resolver = Resolver {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            try_limit: Duration::from_secs(5),
            attempts: 2,
            hosts: Vec::new(),
            pace,
        };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if resolver.servers.len() < 3 => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    resolver.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                }
                Some("search") => {
                    resolver.search = words.map(rooted).filter(|domain| domain != ".").collect()
                }
                Some("domain") => resolver.search = words.next().map(rooted).into_iter().collect(),
                Some("options") => words.for_each(|word| resolver.option(word)),
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        resolver
    }

    /// The resolver of this machine (or pod): `/etc/resolv.conf` and `/etc/hosts`; unreadable files count as empty.
    pub fn system(pace: Pace) -> Resolver {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Resolver::from_resolv_conf(&read("/etc/resolv.conf"), pace).with_hosts(&read("/etc/hosts"))
    }

    /// The same resolver, which first looks into the text of a hosts file.
    #[must_use]
    pub fn with_hosts(mut self, text: &str) -> Resolver {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        self.hosts = lines
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let address: IpAddr = words.next()?.parse().ok()?;
                Some(words.map(move |name| (address, rooted(&name.to_lowercase()))).collect::<Vec<_>>())
            })
            .flatten()
            .collect();
        self
    }

    /// The same resolver asking on another port than 53, for servers that are not root.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Resolver {
        self.servers.iter_mut().for_each(|server| server.set_port(port));
        self
    }

    /// One try's limit after pace.
    pub(crate) fn paced_try(&self) -> Duration {
        self.pace.network(self.try_limit)
    }

    fn option(&mut self, word: &str) {
        let number = |prefix| word.strip_prefix(prefix).and_then(|rest: &str| rest.parse::<u32>().ok());
        if let Some(ndots) = number("ndots:") {
            self.ndots = ndots.min(15) as usize;
        } else if let Some(seconds) = number("timeout:") {
            self.try_limit = Duration::from_secs(seconds.max(1).into());
        } else if let Some(attempts) = number("attempts:") {
            self.attempts = attempts.max(1);
        }
    }

    /// Go's `LookupHost`: every address of `name`, for at most `limit` (taken as it is).
    ///
    /// A literal address resolves to itself. A and AAAA are asked side by side; a good A survives a bad AAAA.
    ///
    /// # Errors
    /// [`LookupError`] in Go's words. When `limit` ends the search, the text is `dial udp <server>: i/o timeout`.
    pub async fn lookup_host(&self, name: &str, limit: Duration) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        if let Some(addresses) = self.in_hosts(name) {
            return Ok(addresses);
        }
        let deadline = Instant::now() + limit;
        let wanted = rooted(name);
        let mut last: Option<(Option<SocketAddr>, LookupFailure)> = None;
        for full in self.names(name) {
            let (v4, v6) = tokio::join!(
                self.try_name(&full, RecordType::A, deadline),
                self.try_name(&full, RecordType::AAAA, deadline)
            );
            let mut addresses = Vec::new();
            for answer in [v4, v6] {
                match answer {
                    Ok(found) => addresses.extend(found),
                    // Go prefers the error of a searched name to that of the bare one.
                    Err(failure) if last.is_none() || full != wanted => last = Some(failure),
                    Err(_) => {}
                }
            }
            if !addresses.is_empty() {
                return Ok(reachable_first(addresses));
            }
        }
        let (server, failure) = last.unwrap_or((None, LookupFailure::NotFound));
        Err(LookupError { name: name.to_owned(), server, failure })
    }

    /// Asks for a TXT record once, as grpc-go does for its service configuration, and forgets the answer.
    pub(crate) async fn ask_txt(&self, name: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        for full in self.names(name) {
            if !matches!(
                self.try_name(&full, RecordType::TXT, deadline).await,
                Err((_, LookupFailure::NotFound))
            ) {
                return;
            }
        }
    }

    fn in_hosts(&self, name: &str) -> Option<Vec<IpAddr>> {
        let wanted = rooted(&name.to_lowercase());
        let found: Vec<IpAddr> =
            self.hosts.iter().filter(|(_, name)| *name == wanted).map(|(address, _)| *address).collect();
        (!found.is_empty()).then_some(found)
    }

    /// Go's `nameList`: the full names to ask for, in order.
    fn names(&self, name: &str) -> Vec<String> {
        if name.is_empty() || name.len() > 254 {
            return Vec::new();
        }
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let bare = rooted(name);
        let searched =
            self.search.iter().map(|domain| format!("{bare}{domain}")).filter(|full| full.len() <= 254);
        if name.matches('.').count() >= self.ndots {
            std::iter::once(bare.clone()).chain(searched).collect()
        } else {
            searched.chain(std::iter::once(bare.clone())).collect()
        }
    }

    /// Go's `tryOneName`: `attempts` rounds over the servers.
    async fn try_name(
        &self,
        full: &str,
        record: RecordType,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, (Option<SocketAddr>, LookupFailure)> {
        let mut last = (None, LookupFailure::NotFound);
        for _ in 0..self.attempts {
            for server in &self.servers {
                let until = deadline.min(Instant::now() + self.paced_try());
                match exchange::ask(*server, full, record, until).await {
                    Ok(addresses) => return Ok(addresses),
                    Err(LookupFailure::NotFound) => return Err((Some(*server), LookupFailure::NotFound)),
                    Err(failure) => last = (Some(*server), failure),
                }
            }
        }
        Err(last)
    }
}

fn rooted(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
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
    use rstest::rstest;

    const POD: &str = "search seldon-system.svc.cluster.local svc.cluster.local cluster.local\n\
                       nameserver 10.43.0.10\noptions ndots:5\n";

    #[rstest]
    #[case::searched_before_bare("seldon-scheduler.ml", &[
        "seldon-scheduler.ml.seldon-system.svc.cluster.local.", "seldon-scheduler.ml.svc.cluster.local.",
        "seldon-scheduler.ml.cluster.local.", "seldon-scheduler.ml."])]
    #[case::rooted("seldon-scheduler.ml.", &["seldon-scheduler.ml."])]
    #[case::many_dots("a.b.c.d.e.f", &[
        "a.b.c.d.e.f.", "a.b.c.d.e.f.seldon-system.svc.cluster.local.", "a.b.c.d.e.f.svc.cluster.local.",
        "a.b.c.d.e.f.cluster.local."])]
    fn search_list(#[case] name: &str, #[case] expected: &[&str]) {
        assert_eq!(Resolver::from_resolv_conf(POD, Pace::REAL).names(name), expected);
    }

    #[tokio::test]
    async fn hosts_come_before_dns() {
        let resolver = Resolver::from_resolv_conf("", Pace::REAL).with_hosts("10.0.0.9 pod-0 Pod # x\n");
        let found = resolver.lookup_host("POD", Duration::from_secs(1)).await.unwrap();
        assert_eq!(found, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn options_are_read() {
        let resolver = Resolver::from_resolv_conf("options ndots:2 timeout:1 attempts:4\n", Pace::REAL);
        assert_eq!((resolver.ndots, resolver.try_limit.as_secs(), resolver.attempts), (2, 1, 4));
        assert_eq!(resolver.servers, [SocketAddr::from(([127, 0, 0, 1], 53))]);
    }
}
