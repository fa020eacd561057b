use embedded_machinery::builtin;
use embedded_machinery::status::Status;
use embedded_machinery::{FieldError, Gvk};
use rstest::rstest;
use serde_json::{Value, json};

use crate::yaml;

fn of(group: &str, kind: &str) -> Gvk {
    Gvk::new(group, "v1", kind)
}

/// A defaulted object with a name and a namespace.
fn object(gvk: &Gvk, text: &str) -> Value {
    let mut object = yaml(text);
    let meta = object.as_object_mut().unwrap().entry("metadata").or_insert(json!({}));
    meta["name"] = json!("x");
    if builtin::find(gvk).unwrap().namespaced() {
        meta["namespace"] = json!("default");
    }
    builtin::default(gvk, &mut object);
    object
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[rstest]
#[case::no_ports("{}", "spec.ports: Required value")]
#[case::port_zero(
    "{ports: [{port: 0, targetPort: 1}]}",
    "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"
)]
#[case::unnamed("{ports: [{port: 1}, {port: 2, name: b}]}", "spec.ports[0].name: Required value")]
#[case::same_name(
    "{ports: [{port: 1, name: b}, {port: 2, name: b}]}",
    "spec.ports[1].name: Duplicate value: \"b\""
)]
#[case::kind(
    "{type: Odd, ports: [{port: 1}]}",
    "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""
)]
#[case::node_port(
    "{ports: [{port: 1, nodePort: 30000}]}",
    "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"
)]
#[case::external("{type: ExternalName}", "spec.externalName: Required value")]
#[case::address(
    "{clusterIP: nine, clusterIPs: [nine], ports: [{port: 1}]}",
    "spec.clusterIPs[0]: Invalid value: \"nine\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
)]
#[case::target(
    "{ports: [{port: 1, targetPort: much-too-long-name}]}",
    "spec.ports[0].targetPort: Invalid value: \"much-too-long-name\": must be no more than 15 characters"
)]
fn services_are_checked(#[case] spec: &str, #[case] message: &str) {
    let gvk = of("", "Service");
    let service = object(&gvk, &format!("spec: {spec}"));
    assert_eq!(texts(&builtin::validate(&gvk, &service, None)), [message]);
}

#[rstest]
#[case::headless("{clusterIP: None, clusterIPs: [None]}")]
#[case::ordinary("{ports: [{port: 80, targetPort: http}], selector: {app: web}}")]
#[case::external("{type: ExternalName, externalName: example.com}")]
fn good_services_have_no_fault(#[case] spec: &str) {
    let gvk = of("", "Service");
    let service = object(&gvk, &format!("spec: {spec}"));
    assert_eq!(texts(&builtin::validate(&gvk, &service, None)), [""; 0]);
}

#[test]
fn a_services_address_may_not_change() {
    let gvk = of("", "Service");
    let service = |address: &str| {
        let text = format!(
            "{{metadata: {{resourceVersion: '1'}}, spec: {{clusterIP: {address}, clusterIPs: [{address}], ports: [{{port: 1}}]}}}}"
        );
        object(&gvk, &text)
    };
    let errors = builtin::validate(&gvk, &service("10.43.0.5"), Some(&service("10.43.0.4")));
    assert_eq!(
        texts(&errors),
        ["spec.clusterIPs[0]: Invalid value: []string{\"10.43.0.5\"}: may not change once set"]
    );
}

#[rstest]
#[case::no_peer("{ingress: [{from: [{}]}]}", "spec.ingress[0].from[0]: Required value: must specify a peer")]
#[case::both(
    "{egress: [{to: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}",
    "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer"
)]
#[case::cidr(
    "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0}}]}]}",
    "spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
)]
#[case::except(
    "{egress: [{to: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.2.0.0/24]}}]}]}",
    "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"10.2.0.0/24\": must be a strict subset of `cidr`"
)]
#[case::port(
    "{ingress: [{ports: [{port: 70000}]}]}",
    "spec.ingress[0].ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"
)]
#[case::last(
    "{ingress: [{ports: [{endPort: 7}]}]}",
    "spec.ingress[0].ports[0].endPort: Invalid value: 7: may not be specified when `port` is not specified"
)]
#[case::protocol(
    "{ingress: [{ports: [{port: 1, protocol: ICMP}]}]}",
    "spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\""
)]
#[case::kind(
    "{policyTypes: [Inbound]}",
    "spec.policyTypes[0]: Unsupported value: \"Inbound\": supported values: \"Ingress\", \"Egress\""
)]
#[case::operator(
    "{podSelector: {matchExpressions: [{key: a, operator: Is}]}}",
    "spec.podSelector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator"
)]
fn network_policies_are_checked(#[case] spec: &str, #[case] message: &str) {
    let gvk = of("networking.k8s.io", "NetworkPolicy");
    let policy = object(&gvk, &format!("spec: {spec}"));
    assert_eq!(texts(&builtin::validate(&gvk, &policy, None)), [message]);
}

#[rstest]
#[case::no_containers("{}", "spec.containers: Required value")]
#[case::no_image("{containers: [{name: a}]}", "spec.containers[0].image: Required value")]
#[case::name(
    "{containers: [{name: A_b, image: i}]}",
    "spec.containers[0].name: Invalid value: \"A_b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)]
#[case::twice(
    "{containers: [{name: a, image: i}, {name: a, image: i}]}",
    "spec.containers[1].name: Duplicate value: \"a\""
)]
#[case::mount(
    "{containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v}]}]}",
    "spec.containers[0].volumeMounts[0].name: Not found: \"v\""
)]
#[case::probe(
    "{containers: [{name: a, image: i, livenessProbe: {periodSeconds: 1}}]}",
    "spec.containers[0].livenessProbe: Required value: must specify a handler type"
)]
#[case::policy(
    "{containers: [{name: a, image: i}], restartPolicy: Sometimes}",
    "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\""
)]
#[case::request(
    "{containers: [{name: a, image: i, resources: {limits: {cpu: 1}, requests: {cpu: 2}}}]}",
    "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
)]
#[case::dns(
    "{containers: [{name: a, image: i}], dnsPolicy: None}",
    "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"
)]
#[case::volume(
    "{containers: [{name: a, image: i}], volumes: [{name: v, secret: {}}]}",
    "spec.volumes[0].secret.secretName: Required value"
)]
#[case::climbing_host_path(
    "{containers: [{name: a, image: i}], volumes: [{name: v, hostPath: {path: /a/../../b}}]}",
    "spec.volumes[0].hostPath.path: Invalid value: \"/a/../../b\": must not contain '..'"
)]
#[case::climbing_field(
    "{containers: [{name: a, image: i}], volumes: [{name: v, downwardAPI: {items: [{path: ../a, fieldRef: {fieldPath: metadata.name}}]}}]}",
    "spec.volumes[0].downwardAPI.items[0].path: Invalid value: \"../a\": must not contain '..'"
)]
#[case::token_somewhere_else(
    "{containers: [{name: a, image: i}], volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: /etc/passwd}}]}}]}",
    "spec.volumes[0].projected.sources[0].serviceAccountToken.path: Invalid value: \"/etc/passwd\": must be a relative path"
)]
#[case::projected_key(
    "{containers: [{name: a, image: i}], volumes: [{name: v, projected: {sources: [{configMap: {name: m, items: [{key: k, path: a/../..}]}}]}}]}",
    "spec.volumes[0].projected.sources[0].configMap.items[0].path: Invalid value: \"a/../..\": must not contain '..'"
)]
fn pods_are_checked(#[case] spec: &str, #[case] message: &str) {
    let gvk = of("", "Pod");
    let pod = object(&gvk, &format!("spec: {spec}"));
    assert_eq!(texts(&builtin::validate(&gvk, &pod, None)), [message]);
}

const DEPLOYMENT: &str = "{metadata: {resourceVersion: '1'}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: i}]}}}}";

#[rstest]
#[case::selector("matchLabels: {app: web}", "matchLabels: {app: db}", &[
    "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"web\"}: `selector` does not match template `labels`",
    "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"app\":\"db\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable",
])]
#[case::replicas("spec: {selector", "spec: {replicas: -1, selector", &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"])]
#[case::image("image: i", "image: j", &[])]
#[case::version("resourceVersion: '1'", "resourceVersion: ''", &["metadata.resourceVersion: Invalid value: \"\": must be specified for an update"])]
fn deployments_are_checked_on_update(#[case] from: &str, #[case] to: &str, #[case] messages: &[&str]) {
    let gvk = of("apps", "Deployment");
    let (old, new) = (object(&gvk, DEPLOYMENT), object(&gvk, &DEPLOYMENT.replacen(from, to, 1)));
    assert_eq!(texts(&builtin::validate(&gvk, &new, Some(&old))), messages);
}

#[test]
fn a_stateful_sets_spec_is_mostly_fixed() {
    let gvk = of("apps", "StatefulSet");
    let old = object(&gvk, DEPLOYMENT);
    let mut scaled = old.clone();
    scaled["spec"]["replicas"] = json!(3);
    assert_eq!(texts(&builtin::validate(&gvk, &scaled, Some(&old))), [""; 0]);
    let mut renamed = old.clone();
    renamed["spec"]["serviceName"] = json!("other");
    let message = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    assert_eq!(texts(&builtin::validate(&gvk, &renamed, Some(&old))), [message]);
}

#[test]
fn of_a_pod_only_little_may_change() {
    let gvk = of("", "Pod");
    let old = object(&gvk, "{metadata: {resourceVersion: '1'}, spec: {containers: [{name: a, image: i}]}}");
    let mut image = old.clone();
    image["spec"]["containers"][0]["image"] = json!("j");
    assert_eq!(texts(&builtin::validate(&gvk, &image, Some(&old))), [""; 0]);
    let mut command = old.clone();
    command["spec"]["containers"][0]["command"] = json!(["x"]);
    let errors = texts(&builtin::validate(&gvk, &command, Some(&old)));
    assert!(
        errors[0].starts_with(
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        ),
        "{errors:?}"
    );
}

#[test]
fn the_aggregate_names_the_object_and_every_fault_once() {
    let gvk = of("", "Service");
    let service = object(&gvk, "spec: {ports: [{port: 0, targetPort: 1}, {port: 1, name: a}]}");
    let status = Status::invalid(&gvk, "x", &builtin::validate(&gvk, &service, None));
    assert_eq!(
        status.message,
        "Service \"x\" is invalid: [spec.ports[0].name: Required value, spec.ports[0].port: Invalid value: 0: must \
         be between 1 and 65535, inclusive]"
    );
}

#[rstest]
#[case::upper(
    "",
    "ConfigMap",
    "Upper",
    "metadata.name: Invalid value: \"Upper\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)]
#[case::dots("", "Namespace", "a.b", "metadata.name: Invalid value: \"a.b\": must not contain dots")]
#[case::digit(
    "",
    "Service",
    "1a",
    "metadata.name: Invalid value: \"1a\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)]
#[case::slash(
    "rbac.authorization.k8s.io",
    "ClusterRole",
    "a/b",
    "metadata.name: Invalid value: \"a/b\": may not contain '/'"
)]
#[case::absent("", "ConfigMap", "", "metadata.name: Required value: name or generateName is required")]
fn names_follow_the_rule_of_their_kind(
    #[case] group: &str,
    #[case] kind: &str,
    #[case] name: &str,
    #[case] message: &str,
) {
    let gvk = of(group, kind);
    let mut named = object(&gvk, "spec: {ports: [{port: 1}]}");
    named["metadata"]["name"] = json!(name);
    assert_eq!(texts(&builtin::validate(&gvk, &named, None)), [message]);
}

#[test]
fn frozen_config_maps_stay_as_they_are() {
    let gvk = of("", "ConfigMap");
    let old = object(&gvk, "{metadata: {resourceVersion: '1'}, immutable: true, data: {a: b}}");
    let new = object(&gvk, "{metadata: {resourceVersion: '1'}, immutable: true, data: {a: c}}");
    let message = "data: Forbidden: field is immutable when `immutable` is set";
    assert_eq!(texts(&builtin::validate(&gvk, &new, Some(&old))), [message]);
}

#[test]
fn a_definition_is_called_by_plural_and_group() {
    let gvk = of("apiextensions.k8s.io", "CustomResourceDefinition");
    let mut definition = object(
        &gvk,
        "spec: {group: example.com, scope: Namespaced, names: {plural: toys, kind: Toy}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}",
    );
    let message = "metadata.name: Invalid value: \"x\": must be spec.names.plural+\".\"+spec.group";
    assert_eq!(texts(&builtin::validate(&gvk, &definition, None)), [message]);
    definition["metadata"]["name"] = json!("toys.example.com");
    assert_eq!(texts(&builtin::validate(&gvk, &definition, None)), [""; 0]);
}
