//! `--model-server standin`: nodes without MLServer, from the images that are written for them to a case that passes there.

use std::fs;
use std::process::Command;

use rstest::rstest;
use serde_json::Value;

use crate::door::{Answer, binary};
use crate::given::{RUN, Scene};
use crate::images::without_cargo;
use crate::place::Place;
use crate::up::Up;

const STANDIN: [&str; 2] = ["--model-server", "standin"];
const IMAGE: &str = "seldon-conformance/model-server:1";
const MLSERVER: &str = "seldon-conformance/mlserver:1.7.1";
const ONE: [&str; 4] = ["--cni", "flannel", "--topology", "per-namespace"];
const PASSED: &str = "1 passed, 0 failed, 0 inconclusive, 0 skipped in ";

/// That the record of the one case in `records` says who served.
fn assert_confessed(place: &Place, records: &str, cluster: &str) {
    let file =
        format!("{records}/serving--a-ready-model-answers-200--{cluster}--flannel--per-namespace.json");
    let record = fs::read_to_string(place.directory().join(file)).unwrap();
    assert!(record.contains("models are served by a stand-in for MLServer, which runs none"), "{record}");
}

#[test]
fn a_case_passes_on_an_embedded_cluster_and_its_record_says_who_served() {
    let place = Place::new();
    let arguments = [&["run", "ready model", "--records", "records"], &ONE[..], &STANDIN].concat();
    let answer = Answer::of(&mut binary(&place, &arguments)).expect(0);
    assert!(answer.out.contains(PASSED), "{}", answer.out);
    assert_confessed(&place, "records", "embedded");
}

#[test]
fn nodes_with_the_stand_in_and_without_mlserver_are_enough_for_a_guest_who_says_so() {
    let owner = Place::new();
    let scene =
        Scene::of(Up::new(&owner, "small", "127.68.0.15", &[&["--mesh", "none"], &STANDIN[..]].concat()));
    let doctor = ["doctor", "--allow-cluster-scope"];
    let said = scene.run(&scene.guest, &[&doctor[..], &STANDIN].concat()).expect(0).out;
    assert!(said.contains(&format!(", {IMAGE}, ")) && !said.contains(MLSERVER), "{said}");
    let said = scene.run(&scene.guest, &doctor).expect(3).out;
    assert!(said.contains(&format!("MISSING  node node-0 has no image {MLSERVER}; ")), "{said}");

    let case =
        ["ready model", "--topology", "per-namespace", "--allow-cluster-scope", "--records", "records"];
    let ran = scene.run(&scene.guest, &[&RUN[..], &case, &STANDIN].concat()).expect(0);
    assert!(ran.out.contains(PASSED), "{}", ran.out);
    assert_confessed(&scene.guest, "records", "given");
}

#[test]
fn a_mesh_to_play_with_says_in_its_answers_who_served() {
    let place = Place::new();
    let up = Up::new(&place, "served", "127.67.0.9", &STANDIN);
    let (status, body) = up.ask();
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let said = body["parameters"]["stand_in"].as_str().unwrap();
    assert!(said.contains("no model was run"), "{said}");
    assert_eq!(body["outputs"][0]["data"], serde_json::json!([0]));
    up.down().expect(0);
    up.footprint.assert_gone();
}

#[test]
fn the_file_of_images_has_nothing_of_python_and_is_small() {
    let place = Place::new();
    let words = [&["images", "write", "ours.tar"], &STANDIN[..]].concat();
    let answer = Answer::of(&mut without_cargo(&place, &words)).expect(0);
    assert!(
        answer.out.contains(&format!("  {IMAGE}\n")) && !answer.out.contains("mlserver"),
        "{}",
        answer.out
    );
    let file = place.directory().join("ours.tar");
    let mut index = Command::new("tar");
    index.arg("-xOf").arg(&file).arg("index.json");
    let index: Value = serde_json::from_str(&Answer::of(&mut index).expect(0).out).unwrap();
    let name = |one: &Value| one["annotations"]["io.containerd.image.name"].as_str().unwrap().to_owned();
    let names: Vec<String> = index["manifests"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(names.contains(&format!("docker.io/{IMAGE}")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("mlserver")), "{names:?}");
    // Beside Envoy and rclone there is this whole program, once, as there is no cargo to build a smaller one. MLServer's
    // packages would be twice as much again.
    let program = fs::metadata(env!("CARGO_BIN_EXE_seldon-conformance")).unwrap().len();
    let rest = fs::metadata(&file).unwrap().len() - program;
    assert!(rest < 300_000_000, "{rest} bytes beside {program}");
}

#[rstest]
#[case::embedded(&[])]
#[case::kubernetes(&["--cluster", "kubernetes"])]
#[case::given(&["--cluster", "given", "--context", "theirs"])]
#[case::k3d(&["--cluster", "k3d"])]
#[case::k3s(&["--cluster", "k3s"])]
fn whatever_the_cluster_mlserver_is_neither_made_nor_asked_for(#[case] cluster: &[&str]) {
    let place = Place::empty();
    let rehearsed = |more: &[&str]| {
        let words = [&["run", "--dry-run"], &ONE[..], cluster, more].concat();
        Answer::of(&mut binary(&place, &words)).expect(0).out
    };
    let (usual, small) = (rehearsed(&[]), rehearsed(&STANDIN));
    // As an image and as what a pod runs from.
    assert!(usual.matches("/mlserver:1.7.1").count() >= 2 && !usual.contains(IMAGE), "{usual}");
    assert!(small.matches(IMAGE).count() >= 2 && !small.contains("/mlserver:1.7.1"), "{small}");
}
