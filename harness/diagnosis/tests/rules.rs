//! Each rule on the smallest snapshot that shows its cause, and on one that must not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use diagnosis::{Answer, Cause, Log, Look, PodId, Sighting, Snapshot, diagnose, guards};
use netmodel::lost::Sent;
use netmodel::policy::Protocol;
use netmodel::{LostPackets, OutcomeClass, Profile};
use rstest::rstest;
use serde_json::{Value, json};

fn typed<T: serde::de::DeserializeOwned>(values: Value) -> Vec<T> {
    serde_json::from_value(values).unwrap()
}

/// A controller in `seldon-system`, a tenant `ml` with scheduler and server, DNS in `kube-system`; nothing wrong.
fn healthy() -> Snapshot {
    let pod = |namespace: &str, name: &str, address: &str, labels: Value, spec: Value| {
        json!({
            "metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": spec,
            "status": {"podIP": address, "phase": "Running"},
        })
    };
    let nothing = json!({"containers": []});
    let capabilities = json!([{"name": "SELDON_SERVER_CAPABILITIES", "value": "mlserver,mlflow,sklearn"}]);
    let server = json!({"containers": [{"name": "agent", "env": capabilities}]});
    let namespace =
        |name: &str| json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}});
    Snapshot {
        controller_namespace: "seldon-system".into(),
        namespaces: typed(json!([namespace("seldon-system"), namespace("ml"), namespace("kube-system")])),
        pods: typed(json!([
            pod(
                "seldon-system",
                "controller-0",
                "10.42.0.2",
                json!({"control-plane": "v2-controller-manager"}),
                nothing.clone()
            ),
            pod(
                "ml",
                "seldon-scheduler-0",
                "10.42.0.3",
                json!({"app.kubernetes.io/name": "seldon-scheduler"}),
                nothing.clone()
            ),
            pod("ml", "mlserver-0", "10.42.0.4", json!({"app.kubernetes.io/name": "seldon-server"}), server),
            pod("kube-system", "coredns-0", "10.42.0.5", json!({"k8s-app": "kube-dns"}), nothing),
        ])),
        services: typed(json!([service("seldon-scheduler", "10.43.0.9")])),
        ..Snapshot::default()
    }
}

fn service(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"namespace": "ml", "name": name},
        "spec": {"clusterIP": address, "ports": [{"port": 9004}]},
    })
}

fn model(state: &str, reason: &str) -> Vec<Value> {
    vec![json!({
        "kind": "Model", "metadata": {"namespace": "ml", "name": "iris"},
        "spec": {"requirements": ["mlflow", "torch"]},
        "status": {"conditions": [{"type": "ModelReady", "status": "False", "message": state, "reason": reason}]},
    })]
}

fn unavailable(detail: &str) -> String {
    format!("rpc error: code = Unavailable desc = {detail}")
}

fn dial(end: &str) -> String {
    unavailable(&format!("connection error: desc = \"transport: Error while dialing: dial tcp {end}\""))
}

fn policy(name: &str, namespace: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn sighting(
    namespace: &str,
    pod: &str,
    look: Look,
    class: OutcomeClass,
    addresses: &[&str],
    status: Option<u16>,
) -> Sighting {
    Sighting {
        from: PodId { namespace: namespace.into(), name: pod.into() },
        look,
        answer: Answer {
            class,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            status,
            text: "as the program said it".into(),
        },
    }
}

fn scheduler_policy() -> Value {
    policy(
        "deny",
        "ml",
        json!({
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "seldon-scheduler"}},
            "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 9005}]}],
        }),
    )
}

#[rstest]
fn nothing_is_named_when_nothing_is_wrong(#[values(Profile::Flannel, Profile::Calico)] profile: Profile) {
    assert_eq!(diagnose(&healthy(), profile), None);
}

#[test]
fn a_policy_without_a_symptom_is_no_cause() {
    let snapshot = Snapshot { policies: typed(json!([scheduler_policy()])), ..healthy() };
    assert_eq!(diagnose(&snapshot, Profile::Calico), None);
}

#[rstest]
#[case::timeout(Profile::Calico, "10.43.0.9:9004: i/o timeout", "drops")]
#[case::refused(Profile::Flannel, "10.43.0.9:9004: connect: connection refused", "rejects")]
fn a_policy_on_the_schedulers_port_is_named_with_what_it_does(
    #[case] profile: Profile,
    #[case] end: &str,
    #[case] verb: &str,
) {
    let snapshot = Snapshot {
        policies: typed(json!([scheduler_policy()])),
        models: model("ModelProgressing", &dial(end)),
        ..healthy()
    };
    let diagnosis = diagnose(&snapshot, profile).unwrap();
    assert_eq!(
        diagnosis.cause,
        Cause::PolicyDenies {
            policies: vec!["ml/deny".into()],
            from: "controller".into(),
            to: "scheduler".into(),
            port: 9004
        }
    );
    assert_eq!(
        diagnosis.named.sentence,
        format!(
            "NetworkPolicy ml/deny {verb} controller seldon-system/controller-0 → scheduler ml/seldon-scheduler-0:9004"
        )
    );
}

#[test]
fn the_same_text_without_a_policy_is_not_blamed_on_one() {
    let snapshot =
        Snapshot { models: model("ModelProgressing", &dial("10.43.0.9:9004: i/o timeout")), ..healthy() };
    assert_eq!(diagnose(&snapshot, Profile::Calico), None);
}

#[rstest]
#[case::label_nobody_has("name", Some("name=kube-system"))]
#[case::right_namespace_wrong_port("kubernetes.io/metadata.name", None)]
fn denied_names_are_named_with_the_label_that_matches_nothing(
    #[case] key: &str,
    #[case] unmatched: Option<&str>,
) {
    let port = if unmatched.is_some() { 53 } else { 54 };
    let deny = policy(
        "isolation",
        "seldon-system",
        json!({
            "podSelector": {}, "policyTypes": ["Egress"],
            "egress": [{
                "to": [{"namespaceSelector": {"matchLabels": {key: "kube-system"}}}],
                "ports": [{"protocol": "UDP", "port": port}],
            }],
        }),
    );
    let lookup = "dns: A record lookup error: lookup seldon-scheduler.ml on 10.43.0.10:53: dial udp 10.43.0.10:53: i/o timeout";
    let snapshot = Snapshot {
        policies: typed(json!([deny])),
        models: model("ModelProgressing", &unavailable(lookup)),
        ..healthy()
    };
    let expected = Cause::PolicyDeniesNames {
        policies: vec!["seldon-system/isolation".into()],
        namespace: "seldon-system".into(),
        unmatched_label: unmatched.map(str::to_owned),
    };
    let diagnosis = diagnose(&snapshot, Profile::Calico).unwrap();
    assert_eq!(diagnosis.cause, expected);
    assert_eq!(diagnosis.named.ruled_out, [""; 0], "nothing was seen of the name server");
}

const NO_SERVER: &str = "Failed to schedule model as no matching servers are available";

#[test]
fn unmet_requirements_are_named_one_by_one() {
    let snapshot = Snapshot { models: model("ScheduleFailed", NO_SERVER), ..healthy() };
    let diagnosis = diagnose(&snapshot, Profile::Flannel).unwrap();
    assert_eq!(
        diagnosis.cause,
        Cause::RequirementsUnmet { model: "ml/iris".into(), missing: vec!["torch".into()] }
    );
    insta::assert_snapshot!(diagnosis.named.sentence, @"Model ml/iris requires torch, which no server in ml offers");
}

#[test]
fn without_a_server_the_requirements_are_not_blamed() {
    let mut snapshot = Snapshot { models: model("ScheduleFailed", NO_SERVER), ..healthy() };
    snapshot.pods.retain(|pod| pod.metadata.name.as_deref() != Some("mlserver-0"));
    assert_eq!(diagnose(&snapshot, Profile::Flannel), None);
}

#[test]
fn an_absent_name_is_told_from_a_service_under_another_one() {
    let snapshot = Snapshot {
        services: typed(json!([service("seldon-system-scheduler", "10.43.0.9")])),
        models: model("ModelProgressing", &unavailable("name resolver error: produced zero addresses")),
        ..healthy()
    };
    let diagnosis = diagnose(&snapshot, Profile::Flannel).unwrap();
    let lookalikes = vec!["seldon-system-scheduler".to_owned()];
    assert_eq!(diagnosis.cause, Cause::SchedulerNameAbsent { namespace: "ml".into(), lookalikes });
    assert!(diagnosis.named.fix.contains("ExternalName"), "{}", diagnosis.named.fix);
}

#[test]
fn an_address_outside_the_cluster_is_foreign() {
    let text = dial("143.244.220.150:9004: i/o timeout");
    let snapshot = Snapshot { models: model("ModelProgressing", &text), ..healthy() };
    let cause = diagnose(&snapshot, Profile::Flannel).unwrap().cause;
    assert_eq!(cause, Cause::ForeignAddressDialled { address: "143.244.220.150".into() });
}

#[test]
fn the_address_of_a_service_that_was_made_again_is_not_foreign() {
    let text = dial("10.43.71.8:9004: i/o timeout");
    let snapshot = Snapshot { models: model("ModelProgressing", &text), ..healthy() };
    assert_eq!(diagnose(&snapshot, Profile::Flannel), None);
}

#[test]
fn a_dial_of_the_agent_is_not_the_controllers() {
    let snapshot = Snapshot {
        models: model("ModelFailed", &dial("0.0.0.0:9500: connect: connection refused")),
        ..healthy()
    };
    assert_eq!(diagnose(&snapshot, Profile::Flannel), None);
}

#[rstest]
#[case::nobody_asked(None, &[])]
#[case::an_honest_resolver(Some(""), &[])]
#[case::another_answer(Some("8.8.8.8"), &[])]
#[case::the_same_answer(
    Some("143.244.220.150"),
    &["an external DNS record (nobody-has-this-name.invalid, which nobody can have, gets 143.244.220.150 too)"]
)]
fn a_record_is_ruled_out_when_a_name_nobody_has_was_seen_to_get_the_same(
    #[case] answered: Option<&str>,
    #[case] ruled_out: &[&str],
) {
    let look = Look::NobodysName { name: "nobody-has-this-name.invalid".into() };
    let seen = answered.map(|address| {
        let addresses: Vec<&str> = Some(address).filter(|address| !address.is_empty()).into_iter().collect();
        sighting("seldon-system", "controller-0", look, OutcomeClass::Open, &addresses, None)
    });
    let text = dial("143.244.220.150:9004: i/o timeout");
    let snapshot = Snapshot {
        models: model("ModelProgressing", &text),
        sightings: seen.into_iter().collect(),
        ..healthy()
    };
    assert_eq!(diagnose(&snapshot, Profile::Flannel).unwrap().named.ruled_out, ruled_out);
}

#[rstest]
#[case::another_address("143.244.220.150", true)]
#[case::the_same_address("10.43.0.9", false)]
fn nslookup_misleads_only_when_it_differs(#[case] shown: &str, #[case] misleads: bool) {
    let name = || "seldon-scheduler.ml".to_owned();
    let see =
        |look, address| sighting("seldon-system", "controller-0", look, OutcomeClass::Open, &[address], None);
    let snapshot = Snapshot {
        sightings: vec![
            see(Look::Nslookup { name: name() }, shown),
            see(Look::GoLookup { name: name() }, "10.43.0.9"),
        ],
        ..healthy()
    };
    let cause = diagnose(&snapshot, Profile::Flannel).map(|diagnosis| diagnosis.cause);
    let expected = Cause::MisleadingLookup { name: name(), address: shown.into() };
    assert_eq!(cause, misleads.then_some(expected));
}

#[rstest]
#[case::version_one_path("/seldon/ml/iris/v2/docs", 404, true)]
#[case::a_model_that_is_not_there("/v2/models/absent/infer", 404, false)]
#[case::an_answer("/seldon/ml/iris/v2/docs", 200, false)]
fn only_a_404_outside_the_routes_is_the_paths_fault(
    #[case] path: &str,
    #[case] status: u16,
    #[case] named: bool,
) {
    let look = Look::Get { path: path.into() };
    let seen = sighting("ml", "visitor", look, OutcomeClass::Open, &[], Some(status));
    let snapshot = Snapshot { sightings: vec![seen], ..healthy() };
    let cause = diagnose(&snapshot, Profile::Flannel).map(|diagnosis| diagnosis.cause);
    assert_eq!(cause, named.then(|| Cause::NoSuchRoute { path: path.into() }));
}

#[test]
fn a_closing_connection_tells_of_a_deleted_runtime() {
    let log = Log {
        pod: PodId { namespace: "seldon-system".into(), name: "controller-0".into() },
        container: "manager".into(),
        text: "x\tERROR\tScheduler not ready\t{\"error\": \"rpc error: code = Canceled desc = grpc: the client connection is closing\"}".into(),
    };
    let snapshot = Snapshot { logs: vec![log], ..healthy() };
    assert_eq!(diagnose(&snapshot, Profile::Flannel).unwrap().cause, Cause::RuntimeWasDeleted);
}

#[rstest]
#[case::of_the_scheduler("ml", json!({"podSelector": {}, "ingress": [{}]}), &["ml/gate"])]
#[case::of_another_pod("ml", json!({"podSelector": {"matchLabels": {"app": "nobody"}}, "ingress": [{}]}), &[])]
#[case::of_what_leaves("ml", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}), &[])]
#[case::of_another_tenant("other", json!({"podSelector": {}, "ingress": [{}]}), &[])]
fn who_guards_a_scheduler_is_known(
    #[case] namespace: &str,
    #[case] spec: Value,
    #[case] guarding: &[&str],
    #[values(Profile::Flannel, Profile::Calico)] profile: Profile,
) {
    let mut snapshot = Snapshot { policies: typed(json!([policy("gate", namespace, spec)])), ..healthy() };
    let theirs = json!([{
        "metadata": {
            "namespace": "other", "name": "seldon-scheduler-0",
            "labels": {"app.kubernetes.io/name": "seldon-scheduler"},
        },
        "spec": {"containers": []}, "status": {"podIP": "10.42.0.9", "phase": "Running"},
    }]);
    snapshot.pods.extend(typed(theirs));
    assert_eq!(guards(&snapshot, profile, "ml", 9004), guarding);
    assert_eq!(guards(&snapshot, profile, "other", 9004).is_empty(), namespace != "other");
}

/// The controller's packets to a port of the scheduler's Service, of which the node lost some.
fn losing(to: &str, port: u16) -> Snapshot {
    let (protocol, from) = (Protocol::Tcp, "10.42.0.2".parse().unwrap());
    let lost = LostPackets { sent: Sent { protocol, from, to: to.parse().unwrap(), port }, packets: 2 };
    let slice = json!([{
        "metadata": {
            "namespace": "ml", "name": "seldon-scheduler-1", "labels": {"kubernetes.io/service-name": "seldon-scheduler"},
        },
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.42.0.3"]}], "ports": [{"port": 9004}],
    }]);
    Snapshot { lost: vec![lost], endpoint_slices: typed(slice), ..healthy() }
}

#[rstest]
#[case::by_its_service("10.43.0.9", 9004, true)]
#[case::by_its_own_address("10.42.0.3", 9004, true)]
#[case::another_port("10.42.0.3", 9005, false)]
#[case::nobodys_address("10.43.0.77", 9004, false)]
fn what_no_policy_stops_the_node_does(
    #[case] to: &str,
    #[case] port: u16,
    #[case] named: bool,
    #[values(Profile::Flannel, Profile::Calico)] profile: Profile,
) {
    let cause = Cause::NodeDrops { from: "controller".into(), to: "scheduler".into(), port: 9004 };
    let diagnosis = diagnose(&losing(to, port), profile);
    assert_eq!(diagnosis.map(|diagnosis| diagnosis.cause), named.then_some(cause));
}

#[test]
fn a_policy_that_denies_what_was_lost_is_certainly_the_cause() {
    let snapshot = Snapshot { policies: typed(json!([scheduler_policy()])), ..losing("10.43.0.9", 9004) };
    let named = diagnose(&snapshot, Profile::Calico).unwrap().named;
    assert_eq!((named.kind.as_str(), named.certainty), ("policy-denies", reports::Certainty::Certain));
    insta::assert_snapshot!(named.evidence.join("\n"), @"2 tcp packet(s) from seldon-system/controller-0 to 10.43.0.9:9004 came to the node and went no further, by its kernel's log");
}
