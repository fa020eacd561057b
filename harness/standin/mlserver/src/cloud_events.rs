//! Headers of a prediction that tell what happened, as CloudEvents have them.

/// What the server calls itself.
pub(crate) const SERVER: &str = "mlserver";

/// Where a pod reads its namespace.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The pod's namespace, where this is a pod.
pub(crate) fn namespace() -> Option<String> {
    std::fs::read_to_string(NAMESPACE).ok()
}

/// The headers, in order. A request over gRPC may have no id.
pub(crate) fn headers(namespace: Option<&str>, model: &str, id: &str) -> Vec<(&'static str, String)> {
    let place = namespace.map(|namespace| format!(".{namespace}")).unwrap_or_default();
    let mut headers = vec![
        ("ce-specversion", "0.3".to_owned()),
        ("ce-source", format!("io.seldon.serving.deployment.{SERVER}{place}")),
        ("ce-type", "io.seldon.serving.inference.response".to_owned()),
        ("ce-modelid", model.to_owned()),
        ("ce-inferenceservicename", SERVER.to_owned()),
        ("ce-endpoint", model.to_owned()),
    ];
    if !id.is_empty() {
        headers.extend([("ce-id", id.to_owned()), ("ce-requestid", id.to_owned())]);
    }
    headers.extend(namespace.map(|namespace| ("ce-namespace", namespace.to_owned())));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_tells_its_namespace() {
        let headers = headers(Some("ml"), "iris_1", "");
        assert_eq!(headers[1].1, "io.seldon.serving.deployment.mlserver.ml");
        assert_eq!(headers.last(), Some(&("ce-namespace", "ml".to_owned())));
    }
}
