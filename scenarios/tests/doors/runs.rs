//! Runs that go through: what they print and what they write.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::door::{Answer, as_nobody, binary, finish, start};
use crate::machine::host;
use crate::place::Place;

const ONE: &[&str] = &["run", "serving", "--cni", "flannel", "--topology", "per-namespace"];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Names of elements and of their attributes; panics where a consumer would stop.
fn elements(document: &str) -> BTreeSet<String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(document);
    let mut found = BTreeSet::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return found,
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.name().as_ref().to_owned();
                for attribute in tag.attributes() {
                    found.insert(format!("{name} {}", attribute.unwrap().key.as_ref()));
                }
                found.insert(name);
            }
            _ => {}
        }
    }
}

#[test]
fn a_passed_case_is_printed_recorded_and_reported() {
    let place = Place::new();
    let (before, host_before) = (place.files(), host());
    let arguments = [ONE, &["--json", "r.json", "--junit", "r.xml", "--records", "kept/records"]].concat();
    let answer = Answer::of(&mut binary(&place, &arguments)).expect(0);

    // Without a terminal: what begins on standard error, what ended on standard output.
    assert!(answer.err.contains("running 1 case, 1 at a time; records: "), "{}", answer.err);
    assert!(
        answer.err.contains("started       serving: a ready model answers 200 [flannel per-namespace]"),
        "{}",
        answer.err
    );
    assert!(answer.out.starts_with("passed        serving     a ready model answers 200"), "{}", answer.out);
    assert!(answer.out.contains("1 passed, 0 failed, 0 inconclusive, 0 skipped in "), "{}", answer.out);
    assert!(
        !answer.out.contains('\u{1b}') && !answer.err.contains('\u{1b}'),
        "escape sequences without a terminal"
    );

    let json: Value =
        serde_json::from_str(&fs::read_to_string(place.directory().join("r.json")).unwrap()).unwrap();
    assert_eq!(keys(&json), ["version", "seconds", "cases"]);
    let case = &json["cases"][0];
    assert_eq!(
        keys(case),
        ["name", "family", "cni", "topology", "cluster", "verdict", "seconds", "cause", "message"]
    );
    assert_eq!((case["verdict"].as_str(), case["cluster"].as_str()), (Some("passed"), Some("embedded")));
    assert_eq!(json["cases"].as_array().unwrap().len(), 1);

    let found = elements(&fs::read_to_string(place.directory().join("r.xml")).unwrap());
    for expected in [
        "testsuites",
        "testsuite tests",
        "testsuite failures",
        "testcase name",
        "testcase classname",
        "testcase time",
    ] {
        assert!(found.contains(expected), "{expected} in {found:?}");
    }

    let record = "kept/records/serving--a-ready-model-answers-200--embedded--flannel--per-namespace.json";
    let record: Value =
        serde_json::from_str(&fs::read_to_string(place.directory().join(record)).unwrap()).unwrap();
    assert_eq!(record["verdict"], "passed");
    assert!(!record["entries"].as_array().unwrap().is_empty());
    let made = ["r.json", "r.xml", "kept", "cache/mountpoint"];
    assert_eq!(place.added(&before, &made), [""; 0]);
    assert_eq!(host(), host_before);
}

#[test]
fn two_runs_share_a_cache_and_records_stand_below_it_by_default() {
    let place = Place::new();
    let both = [0, 1].map(|_| start(binary(&place, ONE)));
    for child in both {
        finish(child).expect(0);
    }
    assert_eq!(fs::read_dir(place.cache().join("records")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(place.temporary()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.cache().join("mountpoint")).unwrap().count(), 0);
}

#[test]
#[ignore = "fetches every program once more, for another user: some minutes and 700 MB"]
fn an_ordinary_user_without_a_home_is_served() {
    let place = Place::empty();
    let Some(mut nobody) = as_nobody(&place, ONE) else { return };
    let answer = Answer::of(&mut nobody).expect(0);
    assert!(answer.err.contains("provisioning envoy") && answer.out.contains("1 passed"), "{}", answer.err);
}

#[test]
fn another_home_and_working_directory_serve_as_well() {
    let place = Place::new();
    fs::rename(place.cache(), place.directory().join("seldon-conformance")).unwrap();
    let mut command = binary(&place, ONE);
    command
        .env_remove("SELDON_CONFORMANCE_CACHE")
        .env_remove("HOME")
        .env("XDG_CACHE_HOME", place.directory());
    Answer::of(command.current_dir("/")).expect(0);
    assert!(place.directory().join("seldon-conformance/records").is_dir());
}
