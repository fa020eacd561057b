//! `/etc/hosts`, which every resolver but `nslookup` reads before it asks a server.

use std::net::IpAddr;

/// Names and addresses of a hosts file, in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<(String, IpAddr)>);

impl Hosts {
    /// Reads a hosts file. Lines that make no sense are skipped, `#` begins a comment.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut entries = Vec::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            entries.extend(words.map(|name| (canonical(name), address)));
        }
        Self(entries)
    }

    /// Every address of `name` (case and a final dot do not matter).
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let wanted = canonical(name);
        let own = self.0.iter().filter(|(name, _)| *name == wanted);
        own.map(|(_, address)| *address).collect()
    }
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_aliases_and_skips_comments() {
        let hosts = Hosts::parse(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n\
             10.42.0.7\tserver.mesh.svc server # pod\nnonsense server\n",
        );
        assert_eq!(hosts.addresses("localhost").len(), 2);
        assert_eq!(hosts.addresses("SERVER."), ["10.42.0.7".parse::<IpAddr>().unwrap()]);
        assert!(hosts.addresses("pod").is_empty());
    }
}
