//! A pod's `resolv.conf`, as kubelet 1.33 makes it from the node's file, the pod's `dnsPolicy` and its `dnsConfig`.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{PodDNSConfig, PodSpec};

/// Limits of kubelet 1.33 (`MaxDNSNameservers`, `MaxDNSSearchPaths`, `MaxDNSSearchListChars`).
const NAMESERVERS: usize = 3;
const SEARCHES: usize = 32;
const SEARCH_CHARACTERS: usize = 2048;

/// The cluster's side of name resolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClusterNames<'a> {
    pub(crate) address: std::net::Ipv4Addr,
    pub(crate) domain: &'a str,
    pub(crate) node_file: &'a str,
}

/// What a `resolv.conf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ResolvConf {
    nameservers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

/// The text of the pod's file.
pub(crate) fn of_pod(namespace: &str, spec: &PodSpec, cluster: ClusterNames<'_>) -> String {
    let host_network = spec.host_network == Some(true);
    let policy = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "ClusterFirst" if host_network => "Default",
        "ClusterFirstWithHostNet" => "ClusterFirst",
        other => other,
    };
    let node = parse(cluster.node_file);
    let mut file = match policy {
        "None" => ResolvConf::default(),
        "Default" => node,
        _ => {
            let own = [
                format!("{namespace}.svc.{}", cluster.domain),
                format!("svc.{}", cluster.domain),
                cluster.domain.to_owned(),
            ];
            ResolvConf {
                nameservers: vec![cluster.address.to_string()],
                searches: own.into_iter().chain(node.searches).collect(),
                options: vec!["ndots:5".to_owned()],
            }
        }
    };
    if let Some(config) = &spec.dns_config {
        merge(&mut file, config);
    }
    limit(&mut file);
    render(&file)
}

fn merge(file: &mut ResolvConf, config: &PodDNSConfig) {
    file.nameservers.extend(config.nameservers.iter().flatten().cloned());
    file.searches.extend(config.searches.iter().flatten().cloned());
    let added = config.options.iter().flatten().filter_map(|option| {
        let name = option.name.as_ref()?;
        Some(
            option
                .value
                .as_ref()
                .filter(|value| !value.is_empty())
                .map_or(name.clone(), |value| format!("{name}:{value}")),
        )
    });
    // By name; the pod's wins. (The kubelet's own order is a map's.)
    for option in added {
        let name = |text: &str| text.split(':').next().map(str::to_owned);
        match file.options.iter_mut().find(|old| name(old) == name(&option)) {
            Some(old) => *old = option,
            None => file.options.push(option),
        }
    }
}

fn limit(file: &mut ResolvConf) {
    file.nameservers = without_repeats(&file.nameservers);
    file.nameservers.truncate(NAMESERVERS);
    file.searches = without_repeats(&file.searches);
    file.searches.truncate(SEARCHES);
    while file.searches.join(" ").len() > SEARCH_CHARACTERS {
        file.searches.pop();
    }
}

fn without_repeats(list: &[String]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    list.iter().filter(|entry| seen.insert(entry.as_str())).cloned().collect()
}

/// Reads a node's file: the last `search` and `options` lines win, `.` is no search domain, trailing dots go.
fn parse(text: &str) -> ResolvConf {
    let mut file = ResolvConf::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => file.nameservers.extend(words.next().map(str::to_owned)),
            Some("search") => {
                file.searches =
                    words.filter(|it| *it != ".").map(|it| it.trim_end_matches('.').to_owned()).collect();
            }
            Some("options") => file.options = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    file
}

fn render(file: &ResolvConf) -> String {
    let mut text = String::new();
    if !file.searches.is_empty() {
        let _ = writeln!(text, "search {}", file.searches.join(" "));
    }
    for nameserver in &file.nameservers {
        let _ = writeln!(text, "nameserver {nameserver}");
    }
    if !file.options.is_empty() {
        let _ = writeln!(text, "options {}", file.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const CLUSTER: &str = "search np.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\noptions ndots:5\n";
    const WITH_HOST: &str = "search np.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.43.0.10\noptions ndots:5\n";

    #[rstest]
    #[case::plain(json!({}), "nameserver 192.168.50.53\n", CLUSTER)]
    #[case::host_search(json!({}), "search corp.example. .\nnameserver 192.168.50.53\noptions edns0\n", WITH_HOST)]
    #[case::default(json!({"dnsPolicy": "Default"}), "search a.b\nnameserver 1.1.1.1\noptions rotate\n", "search a.b\nnameserver 1.1.1.1\noptions rotate\n")]
    #[case::host_network_becomes_default(json!({"hostNetwork": true}), "nameserver 1.1.1.1\n", "nameserver 1.1.1.1\n")]
    #[case::host_network_with_cluster(json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}), "nameserver 1.1.1.1\n", CLUSTER)]
    #[case::none(json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["x"], "options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}]}}), "nameserver 1.1.1.1\n", "search x\nnameserver 9.9.9.9\noptions ndots:1 rotate\n")]
    #[case::the_same_server_again_changes_nothing(json!({"dnsConfig": {"nameservers": ["10.43.0.10"]}}), "", CLUSTER)]
    #[case::ndots_of_the_pod_wins(json!({"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}}), "", "search np.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\noptions ndots:1\n")]
    fn as_the_kubelet_writes_it(
        #[case] spec: serde_json::Value,
        #[case] node_file: &str,
        #[case] expected: &str,
    ) {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let cluster = ClusterNames { address: [10, 43, 0, 10].into(), domain: "cluster.local", node_file };
        assert_eq!(of_pod("np", &spec, cluster), expected);
    }
}
