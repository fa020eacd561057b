//! A mesh that somebody lends: it is broken in ways that leave no trace, and only when that is allowed.

use std::fs;

use rstest::rstest;
use serde_json::Value;

use crate::diagnose::{READER, guest};
use crate::door::{Answer, binary, finish, start_until};
use crate::given::{Scene, everything, ledgers, write_config};
use crate::kubectl;
use crate::place::Place;

const RUN: [&str; 6] = ["run", "--cluster", "given", "--cni", "flannel", "--namespace"];

/// A moment at which a run is killed: its case, what is there then, and how that is undone.
struct Moment {
    case: &'static str,
    made: &'static str,
    undoes: &'static str,
}

const POLICY_IN_FORCE: Moment = Moment {
    case: "open connection",
    made: "get networkpolicy scheduler-without-its-api -n seldon-mesh -o name --ignore-not-found",
    undoes: "delete NetworkPolicy seldon-mesh/scheduler-without-its-api",
};
const MODEL_UNSCHEDULED: Moment = Moment {
    case: "requirements no server",
    made: "get model conformance-unmet -n seldon-mesh -o name --ignore-not-found",
    undoes: "delete Model seldon-mesh/conformance-unmet",
};

#[rstest]
#[case::per_namespace("per-namespace", ("lent-near", "127.68.0.15"), POLICY_IN_FORCE)]
#[case::cluster_wide("cluster-wide", ("lent-far", "127.68.0.16"), MODEL_UNSCHEDULED)]
fn a_lent_mesh_is_broken_and_is_then_as_it_was(
    #[case] layout: &'static str,
    #[case] (name, address): (&'static str, &str),
    #[case] killed_with: Moment,
) {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::with(&owner, name, address, layout);
    let kubectl = scene.kubectl();
    let before = everything(&kubectl);
    let run = |more: &[&str]| scene.run(&scene.guest, &[&RUN[..], more].concat());

    let looked_at = run(&["seldon-mesh"]).expect(2);
    let said = format!("`seldon-conformance diagnose --context {name} --namespace seldon-mesh`");
    assert!(looked_at.sentence().contains(&said), "{}", looked_at.err);
    let none = run(&["default", "--allow-faults"]).expect(3);
    let said = "namespace default has no mesh to break, for it lacks ";
    assert!(none.sentence().starts_with(said), "{}", none.err);
    assert_eq!(everything(&kubectl), before);

    let ran = run(&["seldon-mesh", "--allow-faults", "--json", "r.json"]).expect(0);
    assert!(ran.out.contains("2 passed, 0 failed, 0 inconclusive, "), "{}", ran.out);
    assert!(ran.out.contains("it installs a mesh of its own, or changes one"), "{}", ran.out);
    let summary = fs::read_to_string(scene.guest.directory().join("r.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let cases = summary["cases"].as_array().unwrap();
    assert!(cases.iter().all(|case| case["topology"] == layout && case["cluster"] == "lent"), "{summary}");
    assert_eq!(everything(&kubectl), before);
    assert_eq!(ledgers(&scene.guest), Vec::<String>::new());

    let Moment { case, made, undoes } = killed_with;
    let words = ["seldon-mesh", "--allow-faults", case];
    let killed = scene.guest(&scene.guest, &[&RUN[..], &words].concat());
    let mut killed = start_until(killed, made, |_| !kubectl.ok(made).is_empty());
    killed.kill().unwrap();
    finish(killed);
    assert_ne!(everything(&kubectl), before);
    let elsewhere = Place::empty();
    scene.lend_to(&elsewhere);
    let undone = scene.run(&elsewhere, &["undo"]).expect(0);
    assert!(undone.out.contains(undoes), "{}", undone.out);
    assert_eq!(everything(&kubectl), before);
}

/// Selects nobody: it is only called as one of ours.
const OWNERS: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: scheduler-without-its-api, namespace: seldon-mesh}
spec: {podSelector: {matchLabels: {app: nobody}}, policyTypes: [Ingress]}
";

/// Decides who reaches the scheduler: everybody.
const GATE: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: gate, namespace: seldon-mesh}
spec: {podSelector: {matchLabels: {app.kubernetes.io/name: seldon-scheduler}}, ingress: [{}]}
";

#[test]
fn what_the_owner_has_is_not_taken_over_and_what_the_guest_may_not_is_said() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::with(&owner, "lent-warily", "127.68.0.17", "per-namespace");
    let kubectl = scene.kubectl();
    let doctor = scene.run(&scene.guest, &["doctor", "--namespace", "seldon-mesh"]).expect(0);
    let touches = "touches  namespace seldon-mesh: a policy on its scheduler and a Model";
    assert!(doctor.out.contains(touches), "{}", doctor.out);
    assert!(doctor.out.contains("has      a per-namespace mesh in seldon-mesh"), "{}", doctor.out);

    assert_eq!(kubectl.feed("apply -f -", OWNERS).code, Some(0));
    let before = everything(&kubectl);
    let words = ["seldon-mesh", "--allow-faults", "open connection"];
    let ran = scene.run(&scene.guest, &[&RUN[..], &words].concat()).expect(3);
    let said = "NetworkPolicy seldon-mesh/scheduler-without-its-api exists and is not this run's; nothing was changed";
    assert!(ran.out.contains(said) && ran.out.contains("1 inconclusive"), "{}", ran.out);
    assert_eq!(everything(&kubectl), before);

    assert_eq!(kubectl.feed("delete -f -", OWNERS).code, Some(0));
    assert_eq!(kubectl.feed("apply -f -", GATE).code, Some(0));
    let before = everything(&kubectl);
    let ran = scene.run(&scene.guest, &[&RUN[..], &words].concat()).expect(4);
    let said = "NetworkPolicy seldon-mesh/gate decides already who reaches the scheduler";
    assert!(ran.out.contains(said) && ran.out.contains("1 skipped"), "{}", ran.out);
    assert_eq!(everything(&kubectl), before);

    assert_eq!(kubectl.feed("apply -f -", READER).code, Some(0));
    let guest = guest(&kubectl, &scene.guest, "reader");
    let at = ["--kubeconfig", guest, "--context", "lent-warily"];
    let words = ["doctor", "--namespace", "seldon-mesh"];
    let doctor = Answer::of(&mut binary(&scene.guest, &[&words[..], &at].concat())).expect(3);
    for said in [
        "MISSING  you may not create, delete, patch networkpolicies.networking.k8s.io in seldon-mesh\n",
        "MISSING  you may not create, delete, patch namespaces\n",
    ] {
        assert!(doctor.out.contains(said), "{}", doctor.out);
    }
}

#[rstest]
#[case::faults_not_allowed(&["ml"], "the mesh in ml is looked at only: `seldon-conformance diagnose --context test --namespace ml`")]
#[case::scope(&["ml", "--allow-faults", "--allow-cluster-scope"], "leave out --allow-cluster-scope")]
#[case::layout(&["ml", "--allow-faults", "--topology", "cluster-wide"], "leave out --topology: it has the layout that it has")]
#[case::rehearsal(&["ml", "--allow-faults", "--dry-run"], "leave out --dry-run: it tells of meshes that are installed")]
#[case::shard(&["ml", "--allow-faults", "--shard", "1/2"], "leave out --shard")]
#[case::registry(&["ml", "--allow-faults", "--registry", "r.example.com"], "leave out --registry: no pod of ours runs there")]
#[case::seldon(&["ml", "--allow-faults", "--seldon", "2.9.1"], "leave out --seldon, --model-server and --seldon-image")]
fn what_makes_no_sense_on_a_lent_mesh_is_refused(#[case] words: &[&str], #[case] said: &str) {
    let place = Place::empty();
    let config = write_config(&place, "");
    let at = ["--context", "test", "--kubeconfig", "kubeconfig"];
    let mut command = binary(&place, &[&RUN[..], words, &at].concat());
    let answer = Answer::of(command.env("XDG_CONFIG_HOME", &config)).expect(2);
    assert!(answer.sentence().contains(said), "{}", answer.err);
    assert_eq!(ledgers(&place), Vec::<String>::new());
}

#[rstest]
#[case::of_no_cluster(&["run", "--namespace", "ml"], "--context <CONTEXT>")]
#[case::faults_where(&["run", "--cluster", "given", "--context", "test", "--allow-faults"], "--namespace <NAMESPACE>")]
fn a_lent_mesh_is_named_in_full(#[case] words: &[&str], #[case] said: &str) {
    let answer = Answer::of(&mut binary(&Place::empty(), words)).expect(2);
    assert!(answer.err.contains(said), "{}", answer.err);
}
