//! A run in parts, and one report of them.

use std::fs;

use serde_json::Value;

use crate::door::{Answer, binary, finish, start};
use crate::place::Place;

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
