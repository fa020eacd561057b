use super::*;
use rstest::rstest;
use serde_json::{Value, json};

fn known() -> IndexMap<String, String> {
    [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "two".to_owned())].into_iter().collect()
}

#[rstest]
#[case("plain", "plain")]
#[case("$(A)-$(B)", "1-two")]
#[case("$(UNKNOWN)", "$(UNKNOWN)")]
#[case("$$(A)", "$(A)")]
#[case("$A and $", "$A and $")]
#[case("$(A", "$(A")]
fn expansion(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(expand(text, &known()), expected);
}

proptest::proptest! {
    #[test]
    fn text_without_dollars_stays(text in "[^$]*") {
        proptest::prop_assert_eq!(expand(&text, &known()), text);
    }
}

fn references() -> References {
    let map = json!({"metadata": {"name": "cm"}, "data": {"key": "value"}});
    let secret = json!({"metadata": {"name": "s"}, "data": {"key": "aGlkZGVu"}});
    References {
        config_maps: [("cm".to_owned(), serde_json::from_value(map).unwrap())].into(),
        secrets: [("s".to_owned(), serde_json::from_value(secret).unwrap())].into(),
        services: serde_json::from_value(json!([
            {"metadata": {"name": "kubernetes", "namespace": "default"},
             "spec": {"clusterIP": "10.43.0.1", "ports": [{"name": "https", "port": 443}]}},
            {"metadata": {"name": "my-svc", "namespace": "ns"}, "spec": {"clusterIP": "10.43.7.7", "ports": [{"port": 80}]}},
            {"metadata": {"name": "headless", "namespace": "ns"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}},
            {"metadata": {"name": "far", "namespace": "other"}, "spec": {"clusterIP": "10.43.7.8", "ports": [{"port": 80}]}},
        ]))
        .unwrap(),
    }
}

fn composed(container: Value) -> Result<IndexMap<String, String>, ConfigError> {
    let mut container = container;
    container["name"] = json!("c");
    let pod = json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [container]}});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let live = Live { node_name: "n", node_address: [192, 168, 50, 10].into(), pod_address: None };
    let container = &pod.spec.as_ref().unwrap().containers[0];
    compose(&pod, container, &references(), live)
}

#[test]
fn later_variables_see_earlier_ones_and_services() {
    let env = composed(json!({"env": [
        {"name": "X", "value": "x"}, {"name": "Y", "value": "$(X)$(MY_SVC_SERVICE_HOST)$(Z)"}, {"name": "Z", "value": "z"}]}))
    .unwrap();
    assert_eq!(env["Y"], "x10.43.7.7$(Z)");
    assert_eq!(env["KUBERNETES_SERVICE_HOST"], "10.43.0.1");
    assert_eq!(env["KUBERNETES_SERVICE_PORT_HTTPS"], "443");
    assert_eq!(env["MY_SVC_PORT_80_TCP"], "tcp://10.43.7.7:80");
    assert!(!env.contains_key("FAR_SERVICE_HOST") && !env.contains_key("HEADLESS_SERVICE_HOST"));
}

#[test]
fn own_variables_beat_sources() {
    let env = composed(json!({
        "envFrom": [{"configMapRef": {"name": "cm"}, "prefix": "P_"}, {"secretRef": {"name": "s"}}],
        "env": [{"name": "key", "value": "own"}]}))
    .unwrap();
    assert_eq!((env["P_key"].as_str(), env["key"].as_str()), ("value", "own"));
}

#[rstest]
#[case::map(json!({"configMapKeyRef": {"name": "none", "key": "k"}}), "configmap \"none\" not found")]
#[case::key(json!({"configMapKeyRef": {"name": "cm", "key": "k"}}), "couldn't find key k in ConfigMap ns/cm")]
#[case::secret(json!({"secretKeyRef": {"name": "none", "key": "k"}}), "secret \"none\" not found")]
#[case::secret_key(json!({"secretKeyRef": {"name": "s", "key": "k"}}), "couldn't find key k in Secret ns/s")]
fn words_for_what_is_absent(#[case] source: Value, #[case] expected: &str) {
    let error = composed(json!({"env": [{"name": "X", "valueFrom": source}]})).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn optional_sources_may_be_absent() {
    let source = json!({"configMapKeyRef": {"name": "none", "key": "k", "optional": true}});
    let env = composed(json!({"env": [{"name": "X", "valueFrom": source}]})).unwrap();
    assert!(!env.contains_key("X"));
}
