//! What an account may do on a given cluster: what `doctor` asks for is enough, and what is missing is said.

use rstest::rstest;
use serde_json::Value;

use crate::charts::{charts, with_helm};
use crate::diagnose::guest;
use crate::door::{Answer, binary};
use crate::given::{RUN, Scene, everything};
use crate::kubectl::{self, Kubectl};
use crate::place::Place;

/// Somebody of whom the owner of a cluster has let do what `doctor --role` prints, and nothing else.
struct Guest<'a> {
    scene: &'a Scene<'a>,
    place: &'a Place,
    kubeconfig: &'static str,
    /// What `doctor` and `run` are told besides the context.
    asked: &'a [&'a str],
}

impl<'a> Guest<'a> {
    fn of(scene: &'a Scene<'a>, asked: &'a [&'a str]) -> Guest<'a> {
        Guest::at(&scene.guest, scene, asked)
    }

    fn at(place: &'a Place, scene: &'a Scene<'a>, asked: &'a [&'a str]) -> Guest<'a> {
        let kubectl = scene.kubectl();
        // Whoever may do nothing at all can print it.
        kubectl.ok("create clusterrole seldon-conformance --verb=get --resource=nodes");
        let kubeconfig = guest(&kubectl, place, "seldon-conformance");
        let guest = Guest { scene, place, kubeconfig, asked };
        let roles = guest.doctor(&["--role"]).expect(0).out;
        assert_eq!(kubectl.feed("apply -f -", &roles).code, Some(0), "{roles}");
        for line in roles.lines().filter_map(|line| line.strip_prefix("# kubectl create rolebinding ")) {
            let line = line.replace("--user=USER", "--serviceaccount=default:guest");
            kubectl.ok(&format!("create rolebinding {line}"));
        }
        guest
    }

    fn command(&self, words: &[&str]) -> Answer {
        let at = ["--kubeconfig", self.kubeconfig, "--context", self.scene.name()];
        Answer::of(&mut binary(self.place, &[words, self.asked, &at].concat()))
    }

    fn doctor(&self, more: &[&str]) -> Answer {
        self.command(&[&["doctor"], more].concat())
    }

    fn run(&self, more: &[&str]) -> Answer {
        self.command(&[&RUN[..], &["--records", "records"], more].concat())
    }

    /// What the records tell of that was forbidden.
    fn refusals(&self) -> Vec<String> {
        let files = self.place.files().into_iter().filter(|file| file.starts_with("records/"));
        let files = files.map(|file| self.place.directory().join(file)).filter(|file| file.is_file());
        let texts: Vec<Vec<u8>> = files.map(|file| std::fs::read(file).unwrap()).collect();
        let texts: Vec<_> = texts.iter().map(|text| String::from_utf8_lossy(text)).collect();
        let lines: Vec<String> = texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        assert!(!lines.is_empty(), "nothing was recorded");
        lines.into_iter().filter(|line| line.contains("forbidden")).collect()
    }
}

/// The role without one verb on one resource.
fn withdraw(kubectl: &Kubectl<'_>, resource: &str, verb: &str) {
    let found = kubectl.ok("get clusterrole seldon-conformance -o json");
    let mut role: Value = serde_json::from_str(&found).unwrap();
    let rules = role["rules"].as_array_mut().unwrap();
    let rule = rules.iter_mut().find(|rule| rule["resources"][0] == resource).unwrap();
    let verbs = rule["verbs"].as_array_mut().unwrap();
    let before = verbs.len();
    verbs.retain(|known| known != verb);
    assert_eq!(verbs.len(), before - 1, "{verb} {resource}");
    rules.retain(|rule| rule["verbs"] != serde_json::json!([]));
    assert_eq!(kubectl.feed("replace -f -", &role.to_string()).code, Some(0));
}

#[test]
fn who_may_what_doctor_asks_for_runs_every_case_of_a_given_cluster() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, "granted", "127.68.0.51");
    let guest = Guest::of(&scene, &["--allow-cluster-scope"]);
    let before = everything(&scene.kubectl());
    let doctor = guest.doctor(&[]).expect(0);
    assert!(!doctor.out.contains("you may not"), "{}", doctor.out);
    let ran = guest.run(&[]).expect(0);
    assert!(ran.out.contains(" passed, 0 failed, 0 inconclusive, "), "{}", ran.out);
    assert!(!ran.out.contains("allow that with --allow-cluster-scope"), "{}", ran.out);
    assert_eq!(guest.refusals(), [""; 0]);
    assert_eq!(everything(&scene.kubectl()), before);
}

#[test]
fn who_may_what_doctor_asks_for_installs_charts() {
    let Some(place) = with_helm().filter(|_| kubectl::is_there()) else { return };
    charts(&place);
    let scene = Scene::new(&place, "granted-helm", "127.68.0.57");
    let guest = Guest::at(&place, &scene, &["--allow-cluster-scope", "--seldon", "charts:charts"]);
    let before = everything(&scene.kubectl());
    let ran = guest.run(&["ready model", "--topology", "cluster-wide"]).expect(0);
    assert!(ran.out.contains("1 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", ran.out);
    assert_eq!(guest.refusals(), [""; 0]);
    assert_eq!(everything(&scene.kubectl()), before);
}

#[test]
fn without_objects_beyond_namespaces_less_is_enough() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, "granted-less", "127.68.0.52");
    let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../harness/crds/src/definitions");
    scene.kubectl().ok(&format!("apply --server-side -f {definitions}"));
    let guest = Guest::of(&scene, &[]);
    let roles = guest.doctor(&["--role"]).expect(0).out;
    assert!(!roles.contains("clusterroles"), "{roles}");
    let before = everything(&scene.kubectl());
    let doctor = guest.doctor(&[]).expect(0);
    assert!(!doctor.out.contains("you may not"), "{}", doctor.out);
    let ran = guest.run(&["--topology", "per-namespace"]).expect(0);
    assert!(ran.out.contains("3 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", ran.out);
    assert_eq!(guest.refusals(), [""; 0]);
    assert_eq!(everything(&scene.kubectl()), before);

    withdraw(&scene.kubectl(), "namespaces", "patch");
    let doctor = guest.doctor(&[]).expect(3);
    assert!(doctor.out.contains("MISSING  you may not patch namespaces\n"), "{}", doctor.out);
    assert!(doctor.out.contains("remedy   the same command with --role prints roles"), "{}", doctor.out);
    let stopped = guest.run(&["ready model", "--topology", "per-namespace"]).expect(3);
    let said = "; `seldon-conformance doctor --context granted-less` lists what is missing";
    assert!(
        stopped.sentence().starts_with("cannot apply Namespace /seldon-conformance: "),
        "{}",
        stopped.err
    );
    assert!(stopped.sentence().ends_with(said), "{}", stopped.err);
    assert_eq!(everything(&scene.kubectl()).len(), before.len());
}

/// What a case does and what it waits for: neither is the mesh's failure.
#[rstest]
#[case::to_do(("may-not-do", "127.68.0.53"), "networkpolicies", "patch", "cannot patch resource \"networkpolicies\"")]
#[case::to_look(("may-not-look", "127.68.0.54"), "pods/log", "get", "cannot get resource \"pods/log\"")]
fn what_the_account_may_not_is_no_verdict_on_the_mesh(
    #[case] (name, address): (&'static str, &str),
    #[case] resource: &str,
    #[case] verb: &str,
    #[case] said: &str,
) {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, name, address);
    let guest = Guest::of(&scene, &["--allow-cluster-scope"]);
    withdraw(&scene.kubectl(), resource, verb);
    let ran = guest.run(&["requirements no server"]).expect(3);
    assert!(ran.out.contains("0 failed, 1 inconclusive"), "{}", ran.out);
    assert!(ran.out.contains(said), "{}", ran.out);
    let remedy =
        format!("`seldon-conformance doctor --context {name} --allow-cluster-scope` lists what is missing");
    assert!(ran.out.contains(&remedy), "{}", ran.out);
}

#[test]
fn a_lent_mesh_is_broken_by_who_may_what_doctor_asks_for() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::with(&owner, "granted-lent", "127.68.0.55", "cluster-wide");
    // To find the controller's namespace takes a look at Deployments: the owner prints the roles.
    scene.kubectl().ok("create clusterrole looks --verb=list --resource=deployments.apps");
    scene.kubectl().ok("create clusterrolebinding looks --clusterrole=looks --serviceaccount=default:guest");
    let guest = Guest::of(&scene, &["--namespace", "seldon-mesh"]);
    let before = everything(&scene.kubectl());
    let doctor = guest.doctor(&[]).expect(0);
    assert!(!doctor.out.contains("you may not"), "{}", doctor.out);
    let ran = guest.run(&["--allow-faults"]).expect(0);
    assert!(ran.out.contains("2 passed, 0 failed, 0 inconclusive, "), "{}", ran.out);
    assert_eq!(guest.refusals(), [""; 0]);
    assert_eq!(everything(&scene.kubectl()), before);
}

/// A network plugin's programs, as far as one sees them: they run nowhere.
fn plugin(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}, namespace: kube-system}}\n\
         spec: {{selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, \
         spec: {{nodeSelector: {{nobody: 'yes'}}, containers: [{{name: c, image: 'example.org/{name}:1'}}]}}}}}}\n"
    )
}

#[test]
fn a_cluster_that_makes_verdicts_worthless_is_refused_before_anything_is_made() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, "odd", "127.68.0.56");
    let kubectl = scene.kubectl();
    let run = |cni: &str| {
        let words = ["run", "ready model", "--cluster", "given", "--allow-cluster-scope", "--cni", cni];
        scene.run(&scene.guest, &words)
    };
    assert_eq!(kubectl.feed("apply -f -", &plugin("kube-flannel-ds")).code, Some(0));
    let before = everything(&kubectl);
    let doctor = scene.run(&scene.guest, &["doctor", "--allow-cluster-scope"]).expect(0);
    let said = "has      the network of flannel (DaemonSet kube-system/kube-flannel-ds): `run` takes --cni flannel\n";
    assert!(doctor.out.contains(said), "{}", doctor.out);
    let said = "the cluster of context \"odd\" has the network of flannel (DaemonSet kube-system/kube-flannel-ds): say \
                --cni flannel";
    assert_eq!(run("calico").expect(2).sentence(), said);

    let class = kubectl.ok("get storageclass -o name");
    kubectl.ok(&format!("annotate {} storageclass.kubernetes.io/is-default-class-", class.trim()));
    let refused = run("flannel").expect(3);
    assert!(
        refused.sentence().starts_with("no storage class is the default one (there are: "),
        "{}",
        refused.err
    );
    kubectl.ok(&format!("annotate {} storageclass.kubernetes.io/is-default-class=true", class.trim()));
    assert_eq!(everything(&kubectl), before);

    assert_eq!(kubectl.feed("apply -f -", &plugin("cilium")).code, Some(0));
    let before = everything(&kubectl);
    let refused = run("flannel").expect(3);
    let said = "more than one network plugin has been at work here: flannel (DaemonSet kube-system/kube-flannel-ds), Cilium";
    assert!(refused.sentence().starts_with(said), "{}", refused.err);
    assert_eq!(everything(&kubectl), before);
}
