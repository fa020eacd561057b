//! A run in parts, and one report of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use crate::door::{Answer, binary, finish, start};
use crate::kubectl::{self, Kubectl};
use crate::place::Place;
use crate::up::Up;

fn listed(place: &Place, arguments: &[&str]) -> Vec<String> {
    let answer = Answer::of(&mut binary(place, &[&["list"], arguments].concat())).expect(0);
    answer.out.lines().map(str::to_owned).collect()
}

#[test]
fn shards_are_the_whole_and_share_nothing() {
    let place = Place::empty();
    let whole = listed(&place, &[]);
    let shards = ["1/3", "2/3", "3/3"].map(|shard| listed(&place, &["--shard", shard]));
    assert!(shards.iter().all(|shard| shard.len() * 3 >= whole.len() - 2), "{shards:?}");
    let mut joined: Vec<String> = shards.concat();
    joined.sort_by_key(|name| whole.iter().position(|other| other == name));
    assert_eq!(joined, whole);
}

#[test]
fn what_two_shards_ran_is_one_report() {
    let place = Place::new();
    let shard = |shard: &str, records: &str| {
        start(binary(&place, &["run", "serving", "--cni", "flannel", "--shard", shard, "--records", records]))
    };
    for run in [shard("1/2", "one"), shard("2/2", "two")] {
        let ran = finish(run).expect(0);
        assert!(ran.out.contains("1 passed, 0 failed"), "{}", ran.out);
    }
    let merge =
        |more: &[&str]| Answer::of(&mut binary(&place, &[&["reports", "merge", "two"], more].concat()));
    let merged = merge(&["one", "--json", "r.json", "--junit", "r.xml"]).expect(0);
    assert!(merged.out.contains("2 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", merged.out);
    let summary = fs::read_to_string(place.directory().join("r.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let cases: Vec<[&str; 3]> = summary["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| ["name", "topology", "verdict"].map(|field| case[field].as_str().unwrap()))
        .collect();
    let name = "a ready model answers 200";
    assert_eq!(cases, [[name, "per-namespace", "passed"], [name, "cluster-wide", "passed"]]);
    let report = fs::read_to_string(place.directory().join("r.xml")).unwrap();
    assert_eq!(report.matches("<testcase ").count(), 2, "{report}");

    let twice = merge(&["two"]).expect(2);
    assert!(twice.sentence().contains("are records of the same case"), "{}", twice.err);
    let nothing = merge(&["nowhere"]).expect(2);
    assert!(nothing.sentence().starts_with("cannot read nowhere: "), "{}", nothing.err);
}

#[test]
fn a_shard_that_is_missing_or_was_cut_off_is_missed() {
    let place = Place::empty();
    let of = |index: u32, verdict: &str| {
        format!(
            "{{\"version\":1,\"harness\":\"0\",\"case\":{{\"name\":\"n{index}\",\"family\":\"f\",\"cni\":\"c\",\
             \"topology\":\"t\",\"cluster\":\"embedded\"}},\"claim\":\"\",\"seeds\":[],\"shard\":{{\"index\":{index},\
             \"count\":2,\"cases\":2}},\"started\":\"2026-01-01T00:00:00Z\",\"seconds\":1.0,\"entries\":[],\
             \"verdict\":{verdict},\"message\":null}}"
        )
    };
    let shard = |name: &str, text: String| {
        let directory = place.directory().join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("record.json"), text).unwrap();
    };
    shard("first", of(1, "\"passed\""));
    shard("second", of(2, "\"passed\""));
    shard("killed", of(2, "null"));
    let merge = |names: &[&str]| Answer::of(&mut binary(&place, &[&["reports", "merge"], names].concat()));
    assert!(merge(&["first", "second"]).expect(0).out.contains("2 passed"));
    let missing = merge(&["first"]).expect(3);
    assert!(missing.sentence().starts_with("shard 2/2 is missing"), "{}", missing.err);
    assert!(missing.out.contains("1 passed"), "what is there is reported: {}", missing.out);
    let killed = merge(&["first", "killed"]).expect(3);
    assert!(killed.sentence().contains("has no verdict: its run was cut off"), "{}", killed.err);
}

/// What every record in the directories tells, by its file: the case, the verdict, and what was done and seen in which
/// order, but for what differs from run to run.
fn told(directories: &[&Path]) -> BTreeMap<String, Vec<String>> {
    let chance = [
        // A time, an id that is drawn, the end of a pod's name.
        (Regex::new(r"\d+(\.\d+)? m?s\b").unwrap(), "a while"),
        (Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap(), "an id"),
        (Regex::new(r"-[bcdfghjklmnpqrstvwxz2456789]{5}\)").unwrap(), "-xxxxx)"),
    ];
    let plain = |text: String| {
        chance.iter().fold(text, |text, (pattern, word)| pattern.replace_all(&text, *word).into_owned())
    };
    let files = directories.iter().flat_map(|directory| fs::read_dir(directory).unwrap());
    let files = files
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|it| it == "json"));
    let one = |file: std::path::PathBuf| {
        let record: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut lines =
            vec![record["case"].to_string(), record["verdict"].to_string(), record["message"].to_string()];
        for entry in record["entries"].as_array().unwrap() {
            let texts =
                ["phase", "event", "what", "seen", "breaks", "proof", "undoes", "outcome", "sentence"];
            let texts = texts.iter().filter_map(|key| entry[key].as_str());
            lines.push(plain(texts.collect::<Vec<_>>().join(" | ")));
        }
        (file.file_name().unwrap().to_string_lossy().into_owned(), lines)
    };
    files.map(one).collect()
}

#[test]
fn three_pods_run_what_one_process_runs() {
    let place = Place::new();
    let up = Up::new(&place, "lender", "127.0.0.61", &["--mesh", "none"]);
    let config = up.kubeconfig();
    let config = config.to_str().unwrap();
    let line = [
        "shards",
        "serving",
        "--kubeconfig",
        config,
        "--context",
        "lender",
        "--shards",
        "3",
        "--records",
        "pods",
        "--json",
        "pods.json",
    ];
    let ran = Answer::of(&mut binary(&place, &line)).expect(0);
    assert!(ran.out.contains("4 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", ran.out);
    for ended in
        ["shard 1/3 has ended, 2 records", "shard 2/3 has ended, 1 record", "shard 3/3 has ended, 1 record"]
    {
        assert!(ran.err.contains(ended), "{}", ran.err);
    }
    if kubectl::is_there() {
        let kubectl = Kubectl { config: Path::new(config), home: place.directory() };
        let namespaces = kubectl.ok("get namespaces -o name");
        assert!(!namespaces.contains("seldon-conformance"), "what was made is left: {namespaces}");
    }

    let whole = ["run", "serving", "--jobs", "2", "--records", "whole", "--json", "whole.json"];
    Answer::of(&mut binary(&place, &whole)).expect(0);
    let shards = ["pods/shard-1", "pods/shard-2", "pods/shard-3"].map(|shard| place.directory().join(shard));
    let merged =
        ["reports", "merge", "pods/shard-1", "pods/shard-2", "pods/shard-3", "--json", "merged.json"];
    Answer::of(&mut binary(&place, &merged)).expect(0);
    let in_pods = told(&shards.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
    let at_once = told(&[&place.directory().join("whole")]);
    assert_eq!(at_once.len(), 4);
    assert!(at_once.values().all(|lines| lines.len() > 10), "{at_once:#?}");
    assert_eq!(in_pods, at_once);
    let cases = |file: &str| {
        let text = fs::read_to_string(place.directory().join(file)).unwrap();
        let mut summary: Value = serde_json::from_str(&text).unwrap();
        summary["seconds"].take();
        summary["cases"].as_array_mut().unwrap().iter_mut().for_each(|case| drop(case["seconds"].take()));
        summary
    };
    assert_eq!(cases("merged.json"), cases("whole.json"));
    assert_eq!(cases("pods.json"), cases("whole.json"));
}

#[test]
fn what_pods_would_run_is_shown_without_a_cluster() {
    let place = Place::empty();
    let line = ["shards", "serving", "--shards", "2", "--context", "nowhere", "--dry-run"];
    let shown = Answer::of(&mut binary(&place, &line)).expect(0).out;
    let objects: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&objects[0]["kind"], &objects[1]["kind"]), (&"Namespace".into(), &"Job".into()));
    assert_eq!(objects[1]["spec"]["completions"], 2);
    let nobody = ["shards", "--shards", "2"];
    let refused = Answer::of(&mut binary(&place, &nobody)).expect(2);
    assert!(refused.sentence().starts_with("which cluster? name its context"), "{}", refused.err);
}
