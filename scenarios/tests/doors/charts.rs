//! Seldon by helm: the real `helm` installs charts of Seldon's shape, whose images are stand-ins.

use std::fs;
use std::path::{Path, PathBuf};

use harness::clusters::{Cache, GivenCluster, Helm, HelmError, HelmTarget, Onlooker};
use harness::seldon::{Chart, Layout, Reach, Seldon, SeldonSource, uninstall, uninstall_steps};
use rstest::rstest;
use serde_json::Value;

use crate::door::{Answer, binary, finish, required, start_until};
use crate::given::everything;
use crate::kubectl::{self, Kubectl};
use crate::place::Place;
use crate::up::Up;

/// A place with helm, where one can be had; says why not. `CONFORMANCE_REQUIRE=helm` makes that a failure.
pub(crate) fn with_helm() -> Option<Place> {
    let cache = Cache::from_environment().unwrap();
    match Helm::provide(&cache, &Onlooker::patient(&|line| eprintln!("{line}"))) {
        Ok(_) => Some(Place::new()),
        Err(error @ HelmError::Neither { .. }) => {
            assert!(!required("helm"), "{error}");
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        match source.is_dir() {
            true => copy(&source, &target),
            false => assert!(fs::copy(&source, &target).is_ok(), "{}", source.display()),
        }
    }
}

/// The charts, with the definitions of Seldon's kinds in the first one.
pub(crate) fn charts(place: &Place) -> PathBuf {
    let (here, charts) = (Path::new(env!("CARGO_MANIFEST_DIR")), place.directory().join("charts"));
    copy(&here.join("tests/charts-of-stand-ins"), &charts);
    copy(&here.join("../harness/crds/src/definitions"), &charts.join("seldon-core-v2-crds/templates"));
    charts
}

const RUN: [&str; 6] = ["run", "ready model", "--cni", "flannel", "--seldon", "charts:charts"];

#[rstest]
#[case::one_namespace("per-namespace")]
#[case::whole_cluster("cluster-wide")]
fn a_mesh_from_charts_serves(#[case] topology: &str) {
    let Some(place) = with_helm() else { return };
    charts(&place);
    let words = ["--topology", topology, "--records", "records"];
    let ran = Answer::of(&mut binary(&place, &[&RUN[..], &words].concat())).expect(0);
    assert!(ran.out.contains("1 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", ran.out);
    let records = place.files().into_iter().filter(|file| file.starts_with("records/"));
    let (values, records): (Vec<String>, Vec<String>) = records.partition(|file| file.contains(".helm/"));
    // What helm was given stays beside the record; the token by which it did so does not.
    assert!(values.len() == 4 && values.iter().all(|file| file.ends_with(".yaml")), "{values:?}");
    let record = records.iter().find(|file| file.ends_with(".json")).unwrap();
    let record = fs::read_to_string(place.directory().join(record)).unwrap();
    assert!(record.contains("upgrade --install seldon-core-v2-setup"), "{record}");
}

/// What is written into the setup chart, and what is then said.
#[rstest]
#[case::not_rendered("{{ fail \"the moon is full\" }}", "the moon is full")]
#[case::not_taken(
    "apiVersion: v1\nkind: Service\nmetadata: {name: Not_A_Name}\nspec: {ports: [{port: 80}]}",
    "\"Not_A_Name\""
)]
#[case::hook_not_taken(
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Hook, annotations: {helm.sh/hook: pre-install}}",
    "failed pre-install"
)]
fn a_chart_that_cannot_be_installed_says_why(#[case] template: &str, #[case] said: &str) {
    let Some(place) = with_helm() else { return };
    let broken = charts(&place).join("seldon-core-v2-setup/templates/broken.yaml");
    fs::write(broken, template).unwrap();
    let words = ["--topology", "per-namespace"];
    let ran = Answer::of(&mut binary(&place, &[&RUN[..], &words].concat())).expect(3);
    assert!(ran.out.contains("helm upgrade --install seldon-core-v2-setup"), "{}", ran.out);
    assert!(ran.out.contains(said), "{}", ran.out);
}

/// Everything in the namespaces of a mesh that helm or the mesh made, as `kind/name`.
fn objects(kubectl: &Kubectl<'_>, namespace: &str) -> Vec<String> {
    let kinds = kubectl.ok("api-resources --verbs=list --namespaced -o name");
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let listed = kubectl.ok(&format!("get {} -n {namespace} -o name", kinds.join(",")));
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn hooks_run_and_a_release_goes_also_without_its_controller() {
    let Some(place) = with_helm().filter(|_| kubectl::is_there()) else { return };
    let directory = charts(&place);
    let up =
        Up::new(&place, "charted", "127.68.0.9", &["--seldon", "charts:charts", "--mesh", "cluster-wide"]);
    let config = up.kubeconfig();
    let kubectl = Kubectl { config: &config, home: place.directory() };
    let version = |kind: &str, name: &str| -> u64 {
        let made = kubectl.ok(&format!(
            "get {kind} {name} -n seldon-system -o jsonpath={{.metadata.creationTimestamp}}.{{.metadata.uid}}"
        ));
        assert!(!made.is_empty());
        let whole = kubectl.ok(&format!("get {kind} {name} -n seldon-system -o json"));
        serde_json::from_str::<Value>(&whole).unwrap()["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    // Nothing changes them once they are made, so that their versions tell in which order that was.
    let (before, account) =
        (version("configmap", "before-install"), version("serviceaccount", "seldon-v2-controller-manager"));
    let after = version("configmap", "after-install");
    assert!(before < account && account < after, "{before} {account} {after}");
    let done = kubectl.run("get configmap gone-when-done -n seldon-system");
    assert!(done.err.contains("NotFound"), "{}", done.err);
    let found = kubectl.ok("logs job/job-after-install -n seldon-system");
    assert!(found.contains("10.43.0.1"), "{found}");
    assert_eq!(kubectl.ok("get job job-after-install -n seldon-system -o jsonpath={.status.succeeded}"), "1");

    let scaled = kubectl.ok("scale deployment seldon-v2-controller-manager -n seldon-system --replicas=0");
    assert!(scaled.contains("scaled"), "{scaled}");
    kubectl.ok("wait pod -n seldon-system -l control-plane=v2-controller-manager --for=delete --timeout=60s");
    let held = kubectl.ok("get model iris -n seldon-mesh -o jsonpath={.metadata.finalizers}");
    assert!(held.contains("seldon.model.finalizer"), "nobody holds the Model: {held}");
    let target = HelmTarget {
        kubeconfig: Some(config.clone()),
        context: up.name().to_owned(),
        discovery: place.temporary().join("discovery"),
    };
    take_away(&place, &directory, &target);
    assert_eq!(
        objects(&kubectl, "seldon-system").into_iter().filter(|object| is_ours(object)).collect::<Vec<_>>(),
        [
            // helm leaves what hooks made to whoever wrote them.
            "configmap/after-install",
            "configmap/before-install",
            "job.batch/job-after-install",
        ]
    );
    for kind in ["models", "servers", "seldonruntimes", "crd"] {
        assert!(!kubectl.run(&format!("get {kind} -n seldon-mesh -o name")).out.contains("seldon"), "{kind}");
    }
    let roles = kubectl.ok("get clusterrole,clusterrolebinding -o name");
    assert!(!roles.contains("seldon"), "{roles}");
}

/// What every namespace has by itself is not ours, nor is the lock of a controller that is gone, nor a pod of the Job's.
fn is_ours(object: &str) -> bool {
    !["configmap/kube-root-ca.crt", "serviceaccount/default"].contains(&object)
        && !["lease.", "pod/job-after-install-"].iter().any(|beginning| object.starts_with(beginning))
}

fn take_away(place: &Place, directory: &Path, target: &HelmTarget) {
    let cache = Cache::at(place.cache());
    let source = SeldonSource::Charts(directory.to_owned());
    let seldon = Seldon::provide(&source, &[], None, &cache, &Onlooker::patient(&|_| {})).unwrap();
    let Seldon::Charts(charts) = seldon else { panic!("{seldon:?}") };
    let layout = Layout { home: "seldon-system".into(), tenant: "seldon-mesh".into(), reach: Reach::Cluster };
    let steps = uninstall_steps(&charts, &Chart::ALL, &layout, target);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = GivenCluster::connect(target.kubeconfig.as_deref(), &target.context).await.unwrap();
        uninstall(&cluster.client().unwrap(), &steps).await.unwrap();
    });
}

#[test]
fn a_given_cluster_is_as_it_was_after_charts() {
    let Some(place) = with_helm().filter(|_| kubectl::is_there()) else { return };
    charts(&place);
    let up = Up::new(&place, "lent-to-helm", "127.68.0.14", &["--mesh", "none"]);
    let config = up.kubeconfig();
    let kubectl = Kubectl { config: &config, home: place.directory() };
    let before = everything(&kubectl);
    let words = ["--topology", "cluster-wide", "--cluster", "given", "--context", up.name(), "--kubeconfig"];
    let run = [&RUN[..], &words, &[config.to_str().unwrap()]].concat();

    kubectl.ok("create clusterrole seldon-v2-manager-role --verb=get --resource=pods");
    let mut scoped = binary(&place, &[&run[..], &["--allow-cluster-scope"]].concat());
    let stopped = Answer::of(&mut scoped).expect(3);
    let said = "ClusterRole seldon-v2-manager-role exists and is not this run's; nothing was changed";
    assert!(stopped.out.contains(said), "{}", stopped.out);
    kubectl.ok("delete clusterrole seldon-v2-manager-role");
    assert_eq!(everything(&kubectl), before);

    let ran = Answer::of(&mut scoped).expect(0);
    assert!(ran.out.contains("1 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", ran.out);
    assert_eq!(everything(&kubectl), before);
    let left =
        place.files().into_iter().filter(|file| file.ends_with("/kubeconfig") && file.contains(".helm"));
    assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn what_others_made_of_a_chart_s_definitions_stays() {
    let Some(place) = with_helm().filter(|_| kubectl::is_there()) else { return };
    charts(&place);
    let up = Up::new(&place, "shared-with-helm", "127.68.0.22", &["--mesh", "none"]);
    let config = up.kubeconfig();
    let kubectl = Kubectl { config: &config, home: place.directory() };
    let words = ["--topology", "cluster-wide", "--cluster", "given", "--context", up.name(), "--kubeconfig"];
    let run = [&RUN[..], &words, &[config.to_str().unwrap(), "--allow-cluster-scope"]].concat();
    let model = "apiVersion: mlops.seldon.io/v1alpha1\nkind: Model\nmetadata: {name: theirs, namespace: default}\n\
                 spec: {storageUri: s3://models/iris, requirements: [sklearn]}\n";
    let applied = || kubectl.feed("apply -f -", model).code == Some(0);
    let running = start_until(binary(&place, &run), "Seldon's definitions", |_| applied());
    let ended = finish(running).expect(3);
    let said =
        "CustomResourceDefinition models.mlops.seldon.io stays: Model default/theirs is not the harness's";
    assert!(ended.sentence().contains(said), "{}", ended.err);
    assert_eq!(kubectl.ok("get model theirs -n default -o name").trim(), "model.mlops.seldon.io/theirs");
}

#[rstest]
#[case::no_directory(&["--seldon", "charts:nowhere"], "nowhere holds no chart seldon-core-v2-crds")]
#[case::release_without_images(&["--seldon", "2.10.2"], "no images of Seldon 2.10.2")]
#[case::older_release(&["--seldon", "2.9.0"], "no images of Seldon 2.9.0")]
#[case::image_of_a_stand_in(&["--seldon-image", "agent=a/b:1"], "say which with --seldon")]
#[case::image_that_is_not_pulled(&["--seldon", "2.9.1", "--seldon-image", "agent=a/b:1"], "pulls no images")]
fn a_seldon_that_cannot_be_is_refused_before_anything_starts(
    #[case] words: &[&str],
    #[case] said: &str,
    // Neither pulls an image.
    #[values("embedded", "kubernetes")] cluster: &str,
) {
    let place = Place::empty();
    let before = place.files();
    for command in [&["run", "serving"][..], &["cluster", "up", "x"]] {
        let words = [command, words, &["--cluster", cluster]].concat();
        let answer = Answer::of(&mut binary(&place, &words)).expect(2);
        assert!(answer.sentence().contains(said), "{}", answer.err);
    }
    assert_eq!(place.added(&before, &[]), [""; 0]);
}

#[test]
fn without_helm_and_without_go_it_is_said_what_to_install() {
    let place = Place::empty();
    charts(&place);
    let mut run = binary(&place, &RUN);
    let answer = Answer::of(run.env("PATH", place.temporary())).expect(3);
    insta::assert_snapshot!(answer.sentence(), @"there is no usable `helm` (none is on PATH), and no Go to build helm 3.18.4 with (not found); install helm 3 (https://helm.sh/docs/intro/install), or Go: `curl -sL https://go.dev/dl/go1.24.4.linux-amd64.tar.gz | tar -xz -C /usr/local && ln -sf /usr/local/go/bin/go /usr/local/bin/`");
}
