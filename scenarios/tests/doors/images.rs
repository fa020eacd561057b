//! Images that nobody but the harness has: which nodes have them, and what becomes of cases where one is missing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Answer, binary, finish, start};
use crate::given::{RUN, Scene, everything};
use crate::kubectl;
use crate::machine::until;
use crate::place::Place;

/// A node without images. Nobody runs there: this test is its kubelet.
const ELSEWHERE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: elsewhere}\n";

/// What a kubelet says of a container whose image it has not and may not pull.
const MISSING: &str = r#"{"status":{"containerStatuses":[STATUSES]}}"#;

#[test]
fn a_node_that_lacks_an_image_is_named_and_no_case_fails_for_it() {
    if !kubectl::is_there() {
        return;
    }
    let owner = Place::new();
    let scene = Scene::new(&owner, "unequal", "127.68.0.14");
    let kubectl = scene.kubectl();
    let doctor = scene.run(&scene.guest, &["doctor", "--allow-cluster-scope"]).expect(0);
    let has = "has      node node-0: images seldon-conformance/seldonv2-controller:2.9.1, ";
    assert!(doctor.out.contains(has), "{}", doctor.out);

    assert_eq!(kubectl.feed("apply -f -", ELSEWHERE).code, Some(0));
    let before = everything(&kubectl);
    let doctor = scene.run(&scene.guest, &["doctor", "--allow-cluster-scope", "--seldon", "2.9.1"]).expect(3);
    let lacks = "MISSING  node elsewhere has no image seldon-conformance/toolbox:1, seldon-conformance/store:1; \
                 write our images to a file with `seldon-conformance images write FILE` and import it on every node: ";
    assert!(doctor.out.contains(lacks), "{}", doctor.out);

    let words = ["ready model", "--topology", "cluster-wide", "--allow-cluster-scope", "--seed", "42"];
    let run = start(scene.guest(&scene.guest, &[&RUN[..], &words].concat()));
    let namespace = "seldon-conformance-images-0000002a";
    let get = |what: &str| kubectl.run(&format!("get pod looks-0 -n {namespace} -o {what}")).out;
    assert!(until(Duration::from_secs(30), || !get("name").is_empty()), "nobody looks on the node");
    let pod: Value = serde_json::from_str(&get("json")).unwrap();
    let status = |container: &Value| {
        assert_eq!(container["imagePullPolicy"], "Never");
        format!(
            r#"{{"name":{},"image":{},"imageID":"","ready":false,"restartCount":0,"state":{{"waiting":{{"reason":"ErrImageNeverPull"}}}}}}"#,
            container["name"], container["image"]
        )
    };
    let statuses: Vec<String> = pod["spec"]["containers"].as_array().unwrap().iter().map(status).collect();
    let patch = MISSING.replace("STATUSES", &statuses.join(","));
    kubectl.ok(&format!("patch pod looks-0 -n {namespace} --subresource=status --type=merge -p {patch}"));
    let leaves = || get("jsonpath={.metadata.deletionTimestamp}");
    assert!(until(Duration::from_secs(30), || get("name").is_empty() || !leaves().is_empty()));
    kubectl.run(&format!("delete pod looks-0 -n {namespace} --force --grace-period=0"));
    let ran = finish(run).expect(4);
    assert!(ran.out.contains("0 passed, 0 failed, 0 inconclusive, 1 skipped"), "{}", ran.out);
    let said = "node elsewhere has no image seldon-conformance/seldonv2-controller:2.9.1, ";
    assert!(ran.out.contains(said) && ran.out.contains("`k3s ctr images import FILE`"), "{}", ran.out);
    assert_eq!(everything(&kubectl), before);
}

/// The program, for which there is no cargo that builds a smaller executable for the images than this one.
pub(crate) fn without_cargo(place: &Place, words: &[&str]) -> Command {
    let cargo = place.directory().join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho there is nothing to build here >&2\nexit 1\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = binary(place, words);
    command.env("PATH", format!("{}:{path}", place.directory().display()));
    command
}

#[test]
fn our_images_are_written_to_a_file_that_engines_import() {
    let place = Place::new();
    let words = ["images", "write", "ours.tar", "--seldon", "2.9.1"];
    let answer = Answer::of(&mut without_cargo(&place, &words)).expect(0);
    assert_eq!(answer.out, "ours.tar holds:\n  seldon-conformance/toolbox:1\n  seldon-conformance/store:1\n");
    let mut index = Command::new("tar");
    index.arg("-xOf").arg(place.directory().join("ours.tar")).arg("index.json");
    let index: Value = serde_json::from_str(&Answer::of(&mut index).expect(0).out).unwrap();
    let name = |one: &Value| one["annotations"]["io.containerd.image.name"].as_str().unwrap().to_owned();
    let names: Vec<String> = index["manifests"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(names, ["docker.io/seldon-conformance/toolbox:1", "docker.io/seldon-conformance/store:1"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let place = Place::new();
    let words = ["images", "write", "nowhere/ours.tar", "--seldon", "2.9.1"];
    let answer = Answer::of(&mut without_cargo(&place, &words)).expect(3);
    let said = "cannot write the image archive nowhere/ours.tar: ";
    assert!(answer.sentence().starts_with(said), "{}", answer.err);
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let place = Place::new();
    // Nobody listens on a port that was just let go of.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = format!("{nobody}/team");
    let words = ["images", "push", &registry, "--plain-http", "--seldon", "2.9.1"];
    let mut push = without_cargo(&place, &words);
    let answer = Answer::of(push.env("HOME", place.directory()).env_remove("DOCKER_CONFIG")).expect(3);
    let said = format!("cannot push {registry}/seldon-conformance/toolbox:1: ");
    assert!(answer.sentence().starts_with(&said), "{}", answer.err);
    assert!(answer.sentence().ends_with("; is that its address?"), "{}", answer.err);
}

#[test]
fn pods_run_from_the_registry_where_the_images_were_pushed() {
    let words =
        ["run", "ready model", "--cluster", "given", "--context", "theirs", "--cni", "flannel", "--dry-run"];
    let said = Answer::of(&mut binary(
        &Place::empty(),
        &[&words[..], &["--registry", "r.example.com/team"]].concat(),
    ));
    let out = said.expect(0).out;
    assert!(out.contains("# nodes pull our images from r.example.com/team\n"), "{out}");
    let images: Vec<&str> =
        out.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("image: ")).collect();
    assert!(images.len() > 8, "{images:?}");
    assert!(
        images.iter().all(|image| image.starts_with("r.example.com/team/seldon-conformance/")),
        "{images:?}"
    );
    assert!(!out.contains("imagePullPolicy: Never"), "{out}");
}
