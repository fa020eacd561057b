use std::collections::BTreeSet;

use embedded_machinery::builtin::{self, KINDS, Subresource};
use embedded_machinery::{Gvk, strict};
use k8s_openapi::api::{apps, core, networking};
use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::yaml;

const WORKLOADS: &str = "
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.local:5000/web
        ports: [{containerPort: 80}]
        livenessProbe: {httpGet: {port: 80}}
        resources: {limits: {cpu: 1}}
        env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
      volumes:
      - name: scratch
      - name: settings
        configMap: {name: settings}
      - name: token
        projected: {sources: [{serviceAccountToken: {path: token}}]}
";

fn of(group: &str, kind: &str) -> Gvk {
    Gvk::new(group, "v1", kind)
}

fn defaulted(gvk: &Gvk, text: &str) -> Value {
    let mut object = yaml(text);
    builtin::default(gvk, &mut object);
    object
}

#[test]
fn every_kind_is_found_by_its_names() {
    let mut seen = BTreeSet::new();
    for kind in KINDS {
        assert_eq!(builtin::find(&kind.gvk()), Some(kind));
        assert_eq!(builtin::find_plural(kind.group, kind.version, kind.plural), Some(kind));
        assert!(seen.insert((kind.group, kind.plural)), "{} stands twice", kind.plural);
        assert_eq!(
            builtin::unknown_fields(&kind.gvk(), &json!({"nonsense": 1})),
            ["nonsense"],
            "{}",
            kind.kind
        );
    }
}

#[test]
fn discovery_knows_what_pods_serve() {
    let pod = builtin::find(&of("", "Pod")).unwrap();
    let paths: Vec<&str> = pod.subresources.iter().map(|path| path.name()).collect();
    let all = [
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "proxy",
        "resize",
        "status",
    ];
    assert_eq!(paths, all);
    assert_eq!(Subresource::Eviction.serves(pod), Gvk::new("policy", "v1", "Eviction"));
}

#[test]
fn deployments_get_their_defaults() {
    let gvk = of("apps", "Deployment");
    insta::assert_json_snapshot!(defaulted(&gvk, WORKLOADS));
}

#[test]
fn stateful_sets_get_their_defaults() {
    let claims = "  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}]";
    let mut object = defaulted(&of("apps", "StatefulSet"), &format!("{WORKLOADS}{claims}"));
    object["spec"]["template"].take();
    insta::assert_json_snapshot!(object);
}

#[rstest]
#[case::service("", "Service", "spec: {ports: [{port: 80}], selector: {app: web}}")]
#[case::external("", "Service", "spec: {type: ExternalName, externalName: example.com}")]
#[case::balancer("", "Service", "spec: {type: LoadBalancer, ports: [{port: 80, targetPort: http}]}")]
#[case::policy(
    "networking.k8s.io",
    "NetworkPolicy",
    "spec: {podSelector: {}, egress: [{ports: [{port: 53}]}]}"
)]
#[case::secret("", "Secret", "{stringData: {a: b}, data: {c: ZA==}}")]
#[case::namespace("", "Namespace", "metadata: {name: one}")]
#[case::claim("", "PersistentVolumeClaim", "spec: {accessModes: [ReadWriteOnce]}")]
#[case::definition(
    "apiextensions.k8s.io",
    "CustomResourceDefinition",
    "spec: {names: {kind: Toy, plural: toys}}"
)]
#[case::pod("", "Pod", "spec: {containers: [{name: a, image: 'a:1', resources: {limits: {cpu: 1}}}]}")]
#[case::binding(
    "rbac.authorization.k8s.io",
    "RoleBinding",
    "{roleRef: {kind: Role, name: a}, subjects: [{kind: User, name: b}]}"
)]
fn other_kinds_get_their_defaults(#[case] group: &str, #[case] kind: &str, #[case] text: &str) {
    let name = format!("default_{kind}_{}", text.len());
    insta::assert_snapshot!(name, serde_json::to_string_pretty(&defaulted(&of(group, kind), text)).unwrap());
}

#[test]
fn defaulting_twice_is_defaulting_once() {
    for kind in KINDS {
        for text in ["{metadata: {name: a}}", WORKLOADS, "{spec: {}, status: null, data: {a: Yg==}}"] {
            let mut object = yaml(text);
            builtin::default(&kind.gvk(), &mut object);
            let once = object.clone();
            builtin::default(&kind.gvk(), &mut object);
            assert_eq!(object, once, "{}", kind.kind);
        }
    }
}

#[rstest]
#[case("web", "Always")]
#[case("web:latest", "Always")]
#[case("web:1", "IfNotPresent")]
#[case("registry.local:5000/web", "Always")]
#[case("web@sha256:00", "IfNotPresent")]
fn the_pull_policy_follows_the_tag(#[case] image: &str, #[case] policy: &str) {
    let pod = defaulted(&of("", "Pod"), &format!("spec: {{containers: [{{name: a, image: '{image}'}}]}}"));
    assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy);
}

/// What k8s-openapi's types ignore of a document, as paths.
fn ignored<T: DeserializeOwned>(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let _: T = serde_ignored::deserialize(object, |path| found.push(path.to_string())).unwrap();
    found
}

#[test]
fn unknown_fields_are_those_that_the_typed_client_ignores() {
    let policy = yaml("spec: {podSelector: {}, ingress: [{to: []}, {from: [{ipBlok: {}}]}], extra: 1}");
    let gvk = of("networking.k8s.io", "NetworkPolicy");
    assert_eq!(
        builtin::unknown_fields(&gvk, &policy),
        ["spec.ingress[0].to", "spec.ingress[1].from[0].ipBlok", "spec.extra"]
    );
    assert_eq!(ignored::<networking::v1::NetworkPolicy>(&policy).len(), 3);
    let text = WORKLOADS.replace("image:", "imagee:");
    let deployment = yaml(&text);
    assert_eq!(
        builtin::unknown_fields(&of("apps", "Deployment"), &deployment),
        ["spec.template.spec.containers[0].imagee"]
    );
    assert_eq!(ignored::<apps::v1::Deployment>(&deployment).len(), 1);
}

#[test]
fn what_the_typed_client_writes_is_known() {
    let pod: core::v1::Pod = serde_json::from_value(yaml(WORKLOADS)["spec"]["template"].clone()).unwrap();
    let gvk = of("", "Pod");
    assert_eq!(builtin::unknown_fields(&gvk, &serde_json::to_value(pod).unwrap()), [""; 0]);
}

#[rstest]
#[case(
    "apps",
    "Deployment",
    "spec: {replicas: three}",
    "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
)]
#[case(
    "",
    "Service",
    "spec: {ports: {port: 80}}",
    "json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort"
)]
#[case(
    "",
    "ConfigMap",
    "data: {a: 1}",
    "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
)]
#[case(
    "",
    "Pod",
    "spec: {containers: [{name: a, args: [true]}]}",
    "json: cannot unmarshal bool into Go struct field Container.spec.containers.args of type string"
)]
fn values_of_the_wrong_type_are_refused_as_go_does(
    #[case] group: &str,
    #[case] kind: &str,
    #[case] text: &str,
    #[case] message: &str,
) {
    assert_eq!(builtin::decode_fault(&of(group, kind), &yaml(text)).as_deref(), Some(message));
}

#[test]
fn duplicate_fields_are_seen_in_the_raw_text() {
    let raw = br#"{"spec": {"replicas": 1, "a": [{"x": 1, "x": 2}], "replicas": 2}}"#;
    let duplicate = strict::duplicate_fields(raw).unwrap();
    assert_eq!(duplicate, ["spec.a[0].x", "spec.replicas"]);
    let refusal = strict::refusal(&["spec.foo".to_owned()], &duplicate[1..]).unwrap();
    assert_eq!(
        refusal,
        "strict decoding error: duplicate field \"spec.replicas\", unknown field \"spec.foo\""
    );
    assert!(strict::duplicate_fields(b"{").is_err());
    assert_eq!(strict::refusal(&[], &[]), None);
}
