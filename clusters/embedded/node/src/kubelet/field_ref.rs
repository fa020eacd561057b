//! The downward API: a pod's fields and its containers' resources as text.

use embedded_machinery::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector};

/// What the node knows of a pod beyond its object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live<'a> {
    pub(crate) node_name: &'a str,
    pub(crate) node_address: std::net::Ipv4Addr,
    pub(crate) pod_address: Option<std::net::Ipv4Addr>,
}

/// The value of a `fieldRef`; `None` when the path is not supported.
pub(crate) fn field(pod: &Pod, selector: &ObjectFieldSelector, live: Live<'_>) -> Option<String> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    let path = selector.field_path.as_str();
    let text = |value: Option<&String>| Some(value.cloned().unwrap_or_default());
    match path {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        "metadata.uid" => text(metadata.uid.as_ref()),
        "metadata.labels" => Some(lines(metadata.labels.as_ref())),
        "metadata.annotations" => Some(lines(metadata.annotations.as_ref())),
        "spec.nodeName" => Some(live.node_name.to_owned()),
        "spec.serviceAccountName" => {
            Some(spec.and_then(|it| it.service_account_name.clone()).unwrap_or_default())
        }
        "status.hostIP" | "status.hostIPs" => Some(live.node_address.to_string()),
        "status.podIP" | "status.podIPs" => {
            Some(live.pod_address.map(|it| it.to_string()).unwrap_or_default())
        }
        _ => keyed(path, "metadata.labels", metadata.labels.as_ref())
            .or_else(|| keyed(path, "metadata.annotations", metadata.annotations.as_ref())),
    }
}

type Map = std::collections::BTreeMap<String, String>;

/// `metadata.labels['key']`.
fn keyed(path: &str, prefix: &str, map: Option<&Map>) -> Option<String> {
    let key = path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")?;
    Some(map.and_then(|it| it.get(key)).cloned().unwrap_or_default())
}

/// One `key="value"` a line, quoted as Go does.
fn lines(map: Option<&Map>) -> String {
    let quoted = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    quoted.collect::<Vec<_>>().join("\n")
}

/// The value of a `resourceFieldRef`: a whole number of the divisor, rounded up; 0 when nothing is set.
///
/// An unset limit is the node's allocatable for the kubelet; here it is a node with 8 CPUs and 16 GiB.
pub(crate) fn resource(
    pod: &Pod,
    own: Option<&Container>,
    selector: &ResourceFieldSelector,
) -> Option<String> {
    let containers =
        pod.spec.iter().flat_map(|it| it.containers.iter().chain(it.init_containers.iter().flatten()));
    let container = match &selector.container_name {
        Some(name) => containers.into_iter().find(|it| it.name == *name),
        None => own,
    }?;
    let (kind, name) = selector.resource.split_once('.')?;
    let resources = container.resources.as_ref();
    let (list, default) = match kind {
        "limits" => (resources.and_then(|it| it.limits.as_ref()), default_limit(name)),
        "requests" => (resources.and_then(|it| it.requests.as_ref()), "0"),
        _ => return None,
    };
    let text = list.and_then(|it| it.get(name)).map_or(default, |it| it.0.as_str());
    // CPU is counted in thousandths, everything else in whole units.
    let amount = |text: &str| {
        let quantity = text.parse::<Quantity>().ok()?;
        Some(if name == "cpu" { quantity.milli_value() } else { quantity.value() })
    };
    let value = amount(text)?;
    let divisor = selector.divisor.as_ref().and_then(|it| amount(&it.0)).filter(|it| *it > 0);
    let divisor = divisor.or_else(|| amount("1"))?;
    Some((value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) > 0)).to_string())
}

fn default_limit(name: &str) -> &'static str {
    match name {
        "cpu" => "8",
        "memory" => "16Gi",
        _ => "0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "labels": {"app": "x", "b": "with \"quotes\""}},
            "spec": {"serviceAccountName": "sa", "containers": [
                {"name": "a", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}]},
        }))
        .unwrap()
    }

    #[rstest]
    #[case("metadata.name", Some("p"))]
    #[case("metadata.labels['app']", Some("x"))]
    #[case("metadata.labels['none']", Some(""))]
    #[case("metadata.labels", Some("app=\"x\"\nb=\"with \\\"quotes\\\"\""))]
    #[case("spec.serviceAccountName", Some("sa"))]
    #[case("status.podIP", Some("10.42.0.9"))]
    #[case("status.hostIP", Some("192.168.50.10"))]
    #[case("spec.nodeName", Some("node-0"))]
    #[case("spec.nothing", None)]
    fn fields(#[case] path: &str, #[case] expected: Option<&str>) {
        let selector = ObjectFieldSelector { field_path: path.to_owned(), ..Default::default() };
        let live = Live {
            node_name: "node-0",
            node_address: [192, 168, 50, 10].into(),
            pod_address: Some([10, 42, 0, 9].into()),
        };
        assert_eq!(field(&pod(), &selector, live).as_deref(), expected);
    }

    #[rstest]
    #[case("requests.cpu", "1", "1")]
    #[case("requests.cpu", "1m", "250")]
    #[case("requests.memory", "1Mi", "64")]
    #[case("requests.cpu", "0", "1")]
    #[case("requests.memory", "1Gi", "1")]
    #[case("requests.memory", "1e6", "68")]
    #[case("limits.memory", "1Gi", "16")]
    #[case("limits.cpu", "1", "8")]
    fn resources(#[case] name: &str, #[case] divisor: &str, #[case] expected: &str) {
        let selector: ResourceFieldSelector =
            serde_json::from_value(json!({"resource": name, "divisor": divisor, "containerName": "a"}))
                .unwrap();
        assert_eq!(resource(&pod(), None, &selector).as_deref(), Some(expected));
    }
}
