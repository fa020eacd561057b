//! `resolv.conf`, read as the resolvers read it: what is not understood is skipped.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// At most this many name servers are used (Go, glibc and musl alike).
const MAX_SERVERS: usize = 3;

/// The parts of a `resolv.conf` that decide a walk.
///
/// Defaults: name server 127.0.0.1, no search list, `ndots` 1, `timeout` 5 s, `attempts` 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvConf {
    /// Name servers in order, at most three.
    pub nameservers: Vec<IpAddr>,
    /// Search domains without a final dot. The last `search` (or `domain`) line counts.
    pub search: Vec<String>,
    /// Names with fewer dots go through the search list first. 0 to 15.
    pub ndots: u32,
    /// How long one try waits. At least 1 s, at most 30 s.
    pub timeout: Duration,
    /// Tries per name and server. At least 1, at most 5.
    pub attempts: u32,
}

impl Default for ResolvConf {
    fn default() -> Self {
        Self {
            nameservers: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        }
    }
}

impl ResolvConf {
    /// Reads the text of a `resolv.conf`. Never fails: lines that make no sense are skipped,
    /// numbers out of range are brought into it (limits of glibc 2.36).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self { nameservers: Vec::new(), ..Self::default() };
        for line in text.lines() {
            if line.starts_with(['#', ';']) {
                continue;
            }
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.add_server(words.next()),
                Some("search") => conf.search = words.filter_map(search_domain).collect(),
                Some("domain") => conf.search = words.take(1).filter_map(search_domain).collect(),
                Some("options") => words.for_each(|option| conf.set_option(option)),
                Some(_) | None => {}
            }
        }
        if conf.nameservers.is_empty() {
            conf.nameservers = Self::default().nameservers;
        }
        conf
    }

    fn add_server(&mut self, word: Option<&str>) {
        let address = word.and_then(|word| word.parse().ok());
        if let Some(address) = address.filter(|_| self.nameservers.len() < MAX_SERVERS) {
            self.nameservers.push(address);
        }
    }

    fn set_option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.ndots = value.min(15),
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// `name` under every search domain, in order.
    pub(super) fn searched<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.search.iter().map(move |domain| format!("{name}.{domain}"))
    }

    /// Whether `name` has dots enough to be asked as it stands before the search list.
    pub(super) fn dotted_enough(&self, name: &str) -> bool {
        name.matches('.').count() >= self.ndots as usize
    }
}

/// A search domain without its final dot; the root alone is no search domain.
fn search_domain(word: &str) -> Option<String> {
    let domain = word.trim_end_matches('.');
    (!domain.is_empty()).then(|| domain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kubelet_writes() {
        let conf = ResolvConf::parse(
            "search mesh.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.43.0.10\noptions ndots:5\n",
        );
        assert_eq!(conf.nameservers, ["10.43.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(conf.search, ["mesh.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (5, Duration::from_secs(5), 2));
    }

    #[test]
    fn skips_nonsense_and_bounds_numbers() {
        let conf = ResolvConf::parse(
            "# nameserver 1.1.1.1\nnameserver nonsense\nsearch a.example .\nsearch b.example.\n\
             nameserver 10.0.0.1\nnameserver fd00::1\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n\
             options ndots:99 timeout:0 attempts:77 rotate ndots:x\n",
        );
        assert_eq!(conf.nameservers.len(), 3);
        assert_eq!(conf.search, ["b.example"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (15, Duration::from_secs(1), 5));
    }

    #[test]
    fn without_a_server_asks_this_host() {
        assert_eq!(ResolvConf::parse("").nameservers, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
}
