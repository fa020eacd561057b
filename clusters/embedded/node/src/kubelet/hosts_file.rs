//! A pod's `/etc/hosts` and host name, as kubelet 1.33 writes them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::PodSpec;

/// A pod's host name and domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName {
    /// `spec.hostname`, else the pod's name; at most 63 characters.
    pub(crate) short: String,
    /// `<subdomain>.<namespace>.svc.<cluster domain>`, with `spec.subdomain` only.
    pub(crate) domain: Option<String>,
}

impl HostName {
    pub(crate) fn of(pod: &str, namespace: &str, spec: &PodSpec, cluster_domain: &str) -> HostName {
        let mut short = spec.hostname.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| pod.to_owned());
        short.truncate(63);
        let short = short.trim_end_matches(['-', '.']).to_owned();
        let subdomain = spec.subdomain.as_deref().filter(|it| !it.is_empty());
        HostName { short, domain: subdomain.map(|it| format!("{it}.{namespace}.svc.{cluster_domain}")) }
    }

    /// What `hostname` prints in the pod.
    pub(crate) fn in_kernel(&self, spec: &PodSpec) -> String {
        match (&self.domain, spec.set_hostname_as_fqdn) {
            (Some(domain), Some(true)) => format!("{}.{domain}", self.short),
            _ => self.short.clone(),
        }
    }
}

/// The text of the pod's file.
pub(crate) fn of_pod(spec: &PodSpec, name: &HostName, address: Ipv4Addr) -> String {
    let mut text = if spec.host_network == Some(true) {
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n".to_owned()
    } else {
        let mut text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                        fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
            .to_owned();
        let _ = match &name.domain {
            Some(domain) => writeln!(text, "{address}\t{0}.{domain}\t{0}", name.short),
            None => writeln!(text, "{address}\t{}", name.short),
        };
        text
    };
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let _ = writeln!(text, "{}\t{}", alias.ip, alias.hostnames.as_deref().unwrap_or_default().join("\t"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn spec(mut value: serde_json::Value) -> PodSpec {
        value["containers"] = json!([]);
        serde_json::from_value(value).unwrap()
    }

    #[rstest]
    #[case::plain(json!({}), "10.42.0.5\tpod-0\n")]
    #[case::subdomain(json!({"subdomain": "sub"}), "10.42.0.5\tpod-0.sub.ns.svc.cluster.local\tpod-0\n")]
    #[case::alias(json!({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}), "10.42.0.5\tpod-0\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")]
    fn own_lines(#[case] value: serde_json::Value, #[case] expected: &str) {
        let spec = spec(value);
        let name = HostName::of("pod-0", "ns", &spec, "cluster.local");
        let text = of_pod(&spec, &name, [10, 42, 0, 5].into());
        let own = text.split("ip6-allrouters\n").nth(1).unwrap();
        assert_eq!(own, expected);
    }

    #[test]
    fn full_name_in_the_kernel_only_when_asked() {
        let plain = spec(json!({"subdomain": "sub"}));
        let full = spec(json!({"subdomain": "sub", "setHostnameAsFQDN": true}));
        let name = HostName::of("p", "ns", &plain, "cluster.local");
        assert_eq!(name.in_kernel(&plain), "p");
        assert_eq!(name.in_kernel(&full), "p.sub.ns.svc.cluster.local");
    }
}
