//! A cluster of somebody else's: what is done there is undone, whatever ends the run, and from wherever.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use serde_json::Value;

use crate::door::{Answer, as_nobody, binary, finish, start_until};
use crate::kubectl::{self, Kubectl};
use crate::place::Place;
use crate::up::Up;

/// Every object of the cluster, but for what changes by itself: events, heartbeats, bookkeeping of writes.
pub(crate) fn everything(kubectl: &Kubectl<'_>) -> Vec<Value> {
    let kinds = kubectl.ok("api-resources --verbs=list -o name");
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let listed = kubectl.ok(&format!("get {} -A -o json", kinds.join(",")));
    let mut objects = serde_json::from_str::<Value>(&listed).unwrap()["items"].take();
    for object in objects.as_array_mut().unwrap() {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        match object["kind"].as_str() {
            Some("Node") => object["status"] = Value::Null,
            Some("Lease") => object["spec"] = Value::Null,
            _ => {}
        }
    }
    let mut objects = objects.as_array().unwrap().clone();
    objects.sort_by_key(|object| format!("{}{}", object["kind"], object["metadata"]));
    objects
}

/// A cluster, and somebody who has nothing but a kubeconfig for it.
pub(crate) struct Scene<'a> {
    up: Up<'a>,
    config: PathBuf,
    pub(crate) guest: Place,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(owner: &'a Place, name: &'static str, address: &str) -> Scene<'a> {
        Scene::with(owner, name, address, "none")
    }

    /// The same with a mesh of the cluster's owner on it.
    pub(crate) fn with(owner: &'a Place, name: &'static str, address: &str, mesh: &str) -> Scene<'a> {
        Scene::of(Up::new(owner, name, address, &["--mesh", mesh]))
    }

    /// On a cluster that is up.
    pub(crate) fn of(up: Up<'a>) -> Scene<'a> {
        let (config, guest) = (up.kubeconfig(), Place::empty());
        let scene = Scene { up, config, guest };
        scene.lend_to(&scene.guest);
        scene
    }

    pub(crate) fn lend_to(&self, place: &Place) {
        let copy = place.directory().join("kubeconfig");
        fs::copy(self.up.kubeconfig(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// The cluster's name, which is its context's.
    pub(crate) fn name(&self) -> &'static str {
        self.up.name()
    }

    pub(crate) fn kubectl(&self) -> Kubectl<'_> {
        Kubectl { config: &self.config, home: self.up.place().directory() }
    }

    /// The program as the guest starts it: from another account than the cluster's, where one can be had.
    pub(crate) fn guest(&self, place: &Place, arguments: &[&str]) -> Command {
        let cluster = ["--kubeconfig", "kubeconfig", "--context", self.up.name()];
        let arguments = [arguments, &cluster].concat();
        as_nobody(place, &arguments).unwrap_or_else(|| binary(place, &arguments))
    }

    pub(crate) fn run(&self, place: &Place, arguments: &[&str]) -> Answer {
        Answer::of(&mut self.guest(place, arguments))
    }
}

pub(crate) const RUN: [&str; 5] = ["run", "--cluster", "given", "--cni", "flannel"];

#[test]
fn a_given_cluster_is_as_it_was_after_a_run() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, "lent", "127.68.0.1");
    let before = everything(&scene.kubectl());

    let doctor = scene.run(&scene.guest, &["doctor"]).expect(3);
    assert!(doctor.out.contains("MISSING  the cluster does not know Seldon's kinds"), "{}", doctor.out);
    let refused = scene.run(&scene.guest, &RUN).expect(3);
    assert!(refused.sentence().contains("--allow-cluster-scope"), "{}", refused.err);
    let doctor = scene.run(&scene.guest, &["doctor", "--allow-cluster-scope"]).expect(0);
    assert!(doctor.out.contains("touches  namespace seldon-conformance"), "{}", doctor.out);
    assert_eq!(everything(&scene.kubectl()), before, "nothing was to be changed yet");

    let foreign = "clusterrole seldon-v2-manager-role";
    scene.kubectl().ok(&format!("create {foreign} --verb=get --resource=pods"));
    let words = ["ready model", "--topology", "cluster-wide", "--allow-cluster-scope"];
    let stopped = scene.run(&scene.guest, &[&RUN[..], &words].concat()).expect(3);
    let said = "ClusterRole seldon-v2-manager-role exists and is not this run's; nothing was changed";
    assert!(stopped.out.contains(said), "{}", stopped.out);
    scene.kubectl().ok(&format!("delete {foreign}"));
    assert_eq!(everything(&scene.kubectl()), before);

    let words = ["hijacking", "ready model", "--topology", "cluster-wide", "--allow-cluster-scope"];
    let ran = scene
        .run(&scene.guest, &[&RUN[..], &words, &["--json", "r.json", "--seed", "42"]].concat())
        .expect(0);
    assert!(ran.out.contains("2 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", ran.out);
    let summary = fs::read_to_string(scene.guest.directory().join("r.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["cases"][0]["cluster"], "given");
    assert_eq!(everything(&scene.kubectl()), before);
    assert_eq!(ledgers(&scene.guest), Vec::<String>::new());
    let undone = scene.run(&scene.guest, &["undo"]).expect(0);
    assert_eq!(undone.out, "nothing to undo\n");
}

pub(crate) fn ledgers(place: &Place) -> Vec<String> {
    place.files().into_iter().filter(|file| file.starts_with("cache/ledgers/")).collect()
}

#[test]
fn what_a_killed_run_left_is_undone_from_elsewhere() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, "stricken", "127.68.0.2");
    let before = everything(&scene.kubectl());
    let arguments = [&RUN[..], &["DNS allowed", "--allow-cluster-scope"]].concat();
    let labels = || scene.kubectl().ok("get namespace kube-system -o jsonpath={.metadata.labels.name}");
    let mut run = start_until(scene.guest(&scene.guest, &arguments), "a label of kube-system", |_| {
        labels() == "kube-system"
    });

    let elsewhere = Place::empty();
    scene.lend_to(&elsewhere);
    let second = scene.run(&elsewhere, &arguments).expect(3);
    let said = "works on context \"stricken\", or was killed there";
    assert!(second.sentence().contains(said), "{}", second.err);
    run.kill().unwrap();
    finish(run);
    assert_ne!(everything(&scene.kubectl()), before);
    let third = scene.run(&elsewhere, &arguments).expect(3);
    assert!(third.sentence().contains("seldon-conformance undo --context stricken"), "{}", third.err);

    let used = "apiVersion: mlops.seldon.io/v1alpha1\nkind: Model\nmetadata: {name: iris, namespace: default}\n\
                spec: {storageUri: s3://models/iris, requirements: [sklearn]}\n";
    assert_eq!(scene.kubectl().feed("apply -f -", used).code, Some(0));
    let kept = scene.run(&elsewhere, &["undo"]).expect(3);
    let said =
        "CustomResourceDefinition models.mlops.seldon.io stays: Model default/iris is not the harness's";
    assert!(kept.sentence().contains(said), "{}", kept.err);
    scene.kubectl().ok("delete model iris");

    let undone = scene.run(&elsewhere, &["undo"]).expect(0);
    assert!(undone.out.contains("take back the change of Namespace kube-system"), "{}", undone.out);
    assert_eq!(everything(&scene.kubectl()), before);
    // The first machine still has its file: it tells of nothing that is left.
    let again = scene.run(&scene.guest, &["undo"]).expect(0);
    assert_eq!(again.out, "nothing to undo\n");
    assert_eq!(everything(&scene.kubectl()), before);
}

/// With what k3s imports, and where nothing is imported.
#[rstest]
#[case::custom("coredns-custom", "127.68.0.31", "")]
#[case::corefile("coredns", "127.68.0.32", "import /etc/coredns/custom/*.server\n")]
fn names_lead_outside_again_when_a_run_was_killed(
    #[case] map: &'static str,
    #[case] address: &str,
    #[case] not_imported: &str,
) {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, map, address);
    let found = scene.kubectl().ok("get configmap coredns -n kube-system -o json");
    let mut coredns: Value = serde_json::from_str(&found).unwrap();
    let corefile = coredns["data"]["Corefile"].as_str().unwrap().replace(not_imported, "");
    coredns["data"]["Corefile"] = corefile.into();
    assert_eq!(scene.kubectl().feed("replace -f -", &coredns.to_string()).code, Some(0));
    let before = everything(&scene.kubectl());

    let arguments = [&RUN[..], &["hijacking", "--allow-cluster-scope"]].concat();
    let text =
        || scene.kubectl().run(&format!("get configmap {map} -n kube-system -o jsonpath={{.data}}")).out;
    let mut run = start_until(scene.guest(&scene.guest, &arguments), "what CoreDNS is told", |_| {
        text().contains("invalid:53")
    });
    run.kill().unwrap();
    finish(run);

    let elsewhere = Place::empty();
    scene.lend_to(&elsewhere);
    let undone = scene.run(&elsewhere, &["undo"]).expect(0);
    let said = format!("take back the change of ConfigMap kube-system/{map}");
    assert!(undone.out.contains(&said), "{}", undone.out);
    assert_eq!(everything(&scene.kubectl()), before);
}

#[test]
fn a_run_whose_lease_is_taken_changes_nothing_any_more() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, "robbed", "127.68.0.13");
    let before = everything(&scene.kubectl());
    let arguments =
        [&RUN[..], &["open connection", "requirements no server", "--allow-cluster-scope"]].concat();
    let models = || scene.kubectl().run("get models -A -o name").out;
    let run = start_until(scene.guest(&scene.guest, &arguments), "a Model", |_| !models().is_empty());
    let thief = r#"{"spec":{"holderIdentity":"thief"}}"#;
    scene.kubectl().ok(&format!("patch lease harness -n seldon-conformance --type=merge -p {thief}"));
    let ended = finish(run).expect(3);
    let said = "this run lost the cluster's Lease";
    assert!(ended.out.contains(said), "{}", ended.out);
    assert!(ended.out.contains("an earlier case left something behind, or this run lost"), "{}", ended.out);
    assert!(ended.sentence().contains("undo --context robbed"), "{}", ended.err);
    // What was made is still there: the thief may be using it.
    assert!(!models().is_empty());
    let holder =
        scene.kubectl().ok("get lease harness -n seldon-conformance -o jsonpath={.spec.holderIdentity}");
    assert_eq!(holder, "thief");

    scene.kubectl().ok("delete lease harness -n seldon-conformance");
    let undone = scene.run(&scene.guest, &["undo"]).expect(0);
    assert!(undone.out.contains("delete Namespace "), "{}", undone.out);
    assert_eq!(everything(&scene.kubectl()), before);
}

#[test]
fn two_kinds_of_clusters_are_held_against_each_other() {
    let place = Place::new();
    let up = Up::new(&place, "compared", "127.68.0.3", &["--mesh", "none"]);
    let config = up.kubeconfig();
    let words = [
        &["run", "ready model", "hijacking", "--topology", "cluster-wide", "--cni", "flannel"][..],
        &["--cluster", "embedded,given", "--compare", "--allow-cluster-scope", "--json", "r.json"],
        &["--context", up.name(), "--kubeconfig", config.to_str().unwrap()],
    ];
    let ran = Answer::of(&mut binary(&place, &words.concat())).expect(0);
    let same = "same          serving: a ready model answers 200 [flannel cluster-wide]: \
                embedded passed (no cause named) · given passed (no cause named)";
    assert!(ran.out.contains(same), "{}", ran.out);
    let same = "same          dns: a hijacking upstream misleads nslookup only";
    assert!(ran.out.contains(same), "{}", ran.out);
    assert!(ran.out.contains("2 cases compared, 0 differ for no known reason"), "{}", ran.out);
    let summary = fs::read_to_string(place.directory().join("r.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let clusters: Vec<&str> =
        summary["cases"].as_array().unwrap().iter().map(|case| case["cluster"].as_str().unwrap()).collect();
    assert_eq!(clusters, ["embedded", "embedded", "given", "given"]);
    let rows = summary["comparison"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| row["agreement"]["is"].as_str().unwrap()).collect::<Vec<_>>(),
        ["same"; 2]
    );
    assert_eq!(rows[0]["case"], "serving: a ready model answers 200 [flannel cluster-wide]");
}

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: prod-eu
clusters:
- {name: c, cluster: {server: 'http://127.0.0.1:1'}}
users:
- {name: u, user: {token: t}}
contexts:
- {name: prod-eu, context: {cluster: c, user: u}}
- {name: test, context: {cluster: c, user: u}}
";

pub(crate) fn write_config(place: &Place, text: &str) -> PathBuf {
    let directory = place.directory().join("config/seldon-conformance");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.toml"), text).unwrap();
    fs::write(place.directory().join("kubeconfig"), KUBECONFIG).unwrap();
    place.directory().join("config")
}

#[rstest]
#[case::no_context(&[], 2, "the current context is never assumed")]
#[case::unknown(&["--context", "staging"], 3, "no context \"staging\"; it has: prod-eu, test")]
#[case::ruled_out(&["--context", "prod-eu"], 2, "context \"prod-eu\" is ruled out by \"prod-*\"")]
#[case::silent(&["--context", "test"], 3, "http://127.0.0.1:1/ of context \"test\" does not answer")]
#[case::jobs(&["--context", "test", "--jobs", "2"], 2, "one after the other")]
#[case::keep(&["--context", "test", "--keep", "failed"], 2, "left as it was")]
#[case::compared_with_itself(&["--context", "test", "--compare"], 2, "--compare takes two kinds of clusters")]
#[case::networks(&["--context", "test", "--cni", "calico"], 2, "which network")]
fn a_cluster_that_is_not_clearly_meant_is_not_touched(
    #[case] words: &[&str],
    #[case] code: i32,
    #[case] said: &str,
) {
    let place = Place::empty();
    let config = write_config(&place, "refused_contexts = [\"prod-*\"]\n");
    let arguments = [&RUN[..], &["--kubeconfig", "kubeconfig"], words].concat();
    let mut command = binary(&place, &arguments);
    command.env("XDG_CONFIG_HOME", &config);
    let answer = Answer::of(&mut command).expect(code);
    assert!(answer.sentence().contains(said), "{}", answer.err);
    assert_eq!(ledgers(&place), Vec::<String>::new());
}

#[rstest]
#[case::embedded(&["run", "--context", "test"], "say --cluster given")]
#[case::scope_of_what(&["doctor", "--allow-cluster-scope"], "--context <CONTEXT>")]
#[case::seed_of_what(&["run", "--seed", "1"], "--seed names namespaces on a cluster that cases share")]
#[case::nothing_to_seed(&["undo", "--context", "test", "--seed", "1"], "unexpected argument '--seed'")]
fn options_of_a_given_cluster_are_not_ignored_elsewhere(#[case] words: &[&str], #[case] said: &str) {
    let answer = Answer::of(&mut binary(&Place::empty(), words)).expect(2);
    assert!(answer.err.contains(said), "{}", answer.err);
}

#[test]
fn a_list_of_refused_contexts_that_cannot_be_read_refuses_all() {
    let place = Place::empty();
    let config = write_config(&place, "refused_context = [\"prod-*\"]\n");
    let mut command = binary(&place, &["undo", "--context", "test", "--kubeconfig", "kubeconfig"]);
    command.env("XDG_CONFIG_HOME", &config);
    let answer = Answer::of(&mut command).expect(2);
    let file = Path::new("seldon-conformance/config.toml");
    assert!(answer.sentence().contains(&format!("{}: ", config.join(file).display())), "{}", answer.err);
    assert!(answer.err.contains("refused_contexts"), "{}", answer.err);
}
