use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::view::{View, list, number, shown, text};

const SHOWN: usize = 3;

pub(super) fn service(view: &View<'_>) -> Vec<Value> {
    let internal = view.list("/spec/clusterIPs").first().and_then(Value::as_str).unwrap_or("<none>");
    let ports: Vec<String> = view.list("/spec/ports").iter().map(port).collect();
    vec![
        json!(view.name()),
        json!(view.text("/spec/type")),
        json!(internal),
        json!(external_address(view)),
        json!(if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") }),
        view.age(),
        view.labels("/spec/selector"),
    ]
}

fn port(port: &Value) -> String {
    let (number, node) = (number(port, "/port"), number(port, "/nodePort"));
    let protocol = text(port, "/protocol");
    if node > 0 { format!("{number}:{node}/{protocol}") } else { format!("{number}/{protocol}") }
}

fn external_address(view: &View<'_>) -> String {
    let given = view.list("/spec/externalIPs").iter().filter_map(Value::as_str).map(str::to_owned);
    let addresses: Vec<String> = match view.text("/spec/type") {
        "ExternalName" => return view.text("/spec/externalName").to_owned(),
        "LoadBalancer" => {
            let balancer: Vec<String> = balancer_addresses(view).into_iter().chain(given).collect();
            if balancer.is_empty() {
                return "<pending>".to_owned();
            }
            balancer
        }
        "ClusterIP" | "NodePort" => given.collect(),
        _ => return "<unknown>".to_owned(),
    };
    if addresses.is_empty() { "<none>".to_owned() } else { addresses.join(",") }
}

fn balancer_addresses(view: &View<'_>) -> BTreeSet<String> {
    let entries = view.list("/status/loadBalancer/ingress").iter();
    let address = |entry: &Value| {
        let (ip, host) = (text(entry, "/ip"), text(entry, "/hostname"));
        if ip.is_empty() { host.to_owned() } else { ip.to_owned() }
    };
    entries.map(address).filter(|address| !address.is_empty()).collect()
}

pub(super) fn endpoints(view: &View<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in view.list("/subsets") {
        let addresses = list(subset, "/addresses");
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses.iter().map(|address| text(address, "/ip").to_owned()));
        }
        for port in ports {
            let port = number(port, "/port");
            all.extend(addresses.iter().map(|address| match text(address, "/ip") {
                ip if ip.contains(':') => format!("[{ip}]:{port}"),
                ip => format!("{ip}:{port}"),
            }));
        }
    }
    // A subset without ready addresses prints as nothing, no subset as <none>.
    let empty = if view.list("/subsets").is_empty() { "<none>" } else { "" };
    vec![json!(view.name()), json!(abbreviated(&all, empty)), view.age()]
}

pub(super) fn endpoint_slice(view: &View<'_>) -> Vec<Value> {
    let ports: Vec<String> = view
        .list("/ports")
        .iter()
        .map(|port| {
            match (port.get("port").and_then(Value::as_i64), port.get("name").and_then(Value::as_str)) {
                (Some(number), _) => number.to_string(),
                (None, Some(name)) => name.to_owned(),
                (None, None) => "*".to_owned(),
            }
        })
        .collect();
    let addresses: Vec<String> = view
        .list("/endpoints")
        .iter()
        .flat_map(|endpoint| list(endpoint, "/addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    vec![
        json!(view.name()),
        json!(view.text("/addressType")),
        json!(abbreviated(&ports, "<unset>")),
        json!(abbreviated(&addresses, "<unset>")),
        view.age(),
    ]
}

fn abbreviated(all: &[String], empty: &str) -> String {
    if all.is_empty() {
        return empty.to_owned();
    }
    let first = all[..all.len().min(SHOWN)].join(",");
    if all.len() > SHOWN { format!("{first} + {} more...", all.len() - SHOWN) } else { first }
}

pub(super) fn network_policy(view: &View<'_>) -> Vec<Value> {
    vec![json!(view.name()), view.selector("/spec/podSelector", "<none>"), view.age()]
}

pub(super) fn ingress(view: &View<'_>) -> Vec<Value> {
    let rules = view.list("/spec/rules");
    let hosts: Vec<&str> =
        rules.iter().map(|rule| text(rule, "/host")).filter(|host| !host.is_empty()).take(SHOWN).collect();
    let hosts = match hosts.len() {
        0 => "*".to_owned(),
        SHOWN if rules.len() > SHOWN => format!("{} + {} more...", hosts.join(","), rules.len() - SHOWN),
        _ => hosts.join(","),
    };
    let addresses: Vec<String> = balancer_addresses(view).into_iter().collect();
    vec![
        json!(view.name()),
        json!(shown(view.object.pointer("/spec/ingressClassName")).unwrap_or_else(|| "<none>".to_owned())),
        json!(hosts),
        json!(addresses.join(",")),
        json!(if view.list("/spec/tls").is_empty() { "80" } else { "80, 443" }),
        view.age(),
    ]
}

pub(super) fn ingress_class(view: &View<'_>) -> Vec<Value> {
    let parameters = match view.object.pointer("/spec/parameters") {
        None | Some(Value::Null) => "<none>".to_owned(),
        Some(given) => {
            let group = text(given, "/apiGroup");
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            format!("{}{group}/{}", text(given, "/kind"), text(given, "/name"))
        }
    };
    vec![json!(view.name()), json!(view.text("/spec/controller")), json!(parameters), view.age()]
}
