//! Command lines that are wrong: exit 2 (or 4), what is allowed, and nothing started.

use std::fs;
use std::os::unix::fs::DirBuilderExt;

use rstest::rstest;

use crate::door::{Answer, as_nobody, binary};
use crate::place::Place;

const FILTERS: &[&str] =
    &["serving: a ready model answers 200", "names: the scheduler answers to one name only"];

#[rstest]
#[case::filter(&["run", "no such thing"], FILTERS)]
#[case::second_filter(&["run", "serving", "no such thing"], FILTERS)]
#[case::list_filter(&["list", "no such thing"], FILTERS)]
#[case::cni(&["run", "--cni", "weave"], &["flannel, calico"])]
#[case::topology(&["run", "--topology", "star"], &["per-namespace, cluster-wide"])]
#[case::jobs(&["run", "--jobs", "0"], &["1..=64"])]
#[case::keep(&["run", "--keep", "some"], &["never, failed, always"])]
#[case::pace(&["run", "--pace", "slow"], &["fast, real"])]
#[case::flag(&["run", "--retries", "3"], &["--retries"])]
#[case::action(&["frobnicate"], &["frobnicate", "--help"])]
#[case::no_action(&[], &["run", "list", "doctor", "cluster"])]
#[case::registry(&["images", "push", "https://r.example.com"], &["names no registry", "HOST[:PORT][/PATH]"])]
#[case::mesh(&["cluster", "up", "--mesh", "full"], &["none, per-namespace, cluster-wide"])]
#[case::address(&["cluster", "up", "--host-address", "here"], &["here", "--host-address"])]
#[case::port(&["cluster", "up", "--api-port", "70000"], &["70000"])]
#[case::cluster_name(&["cluster", "up", "../elsewhere"], &["lower-case letters, digits and dashes"])]
#[case::down_cluster_name(&["cluster", "down", "../elsewhere"], &["lower-case letters, digits and dashes"])]
#[case::unknown_cluster(&["cluster", "down", "nobody"], &["there is no cluster nobody", "cluster list"])]
#[case::report_in_no_directory(&["run", "serving", "--json", "no/such/r.json"], &["no/such/r.json cannot be written", "another file"])]
#[case::report_is_a_directory(&["run", "serving", "--junit", "temporary"], &["temporary cannot be written", "another file"])]
#[case::records_below_a_file(&["run", "serving", "--records", "/proc/version/records"], &["/proc/version/records", "--records"])]
#[case::shards_among_others(&["shards", "--shards", "2", "--context", "x", "--records", "temporary/.."], &["temporary/.. holds files already", "--records"])]
#[case::shared_and_kept(&["run", "serving", "--cluster", "kubernetes", "--keep", "failed"], &["on a cluster they share; leave out --keep"])]
#[case::shared_and_at_once(&["run", "serving", "--cluster", "kubernetes", "--jobs", "2"], &["cases on a kubernetes cluster run one after the other"])]
#[case::model_server(&["run", "serving", "--model-server", "triton"], &["mlserver, standin"])]
#[case::model_server_of_a_release(&["run", "serving", "--cluster", "k3d", "--seldon", "2.9.1", "--model-server", "standin"], &["the charts of Seldon 2.9.1 load models into MLServer: leave out --model-server, or say --seldon standin"])]
#[case::model_server_of_charts(&["cluster", "up", "--seldon", "charts:x", "--model-server", "standin"], &["the charts of Seldon charts:x load models into MLServer", "--seldon standin"])]
#[case::images_of_a_release(&["images", "write", "x.tar", "--seldon", "2.9.1", "--model-server", "standin"], &["leave out --model-server"])]
#[case::doctor_of_a_release(&["doctor", "--context", "c", "--seldon", "2.9.1", "--model-server", "standin"], &["leave out --model-server"])]
#[case::doctor_without_a_context(&["doctor", "--model-server", "standin"], &["--context"])]
#[case::records_where_nothing_is_written(&["run", "serving", "--records", "/proc/records"], &["/proc/records", "--records"])]
fn a_wrong_command_line_is_answered_and_starts_nothing(#[case] arguments: &[&str], #[case] said: &[&str]) {
    let place = Place::empty();
    let before = place.files();
    let answer = Answer::of(&mut binary(&place, arguments)).expect(2);
    assert!(said.iter().all(|words| answer.err.contains(words)), "{}", answer.err);
    assert_eq!(answer.out, "");
    assert_eq!(place.added(&before, &[]), [""; 0]);
}

#[rstest]
#[case::layout(&["run", "policy", "--topology", "per-namespace"])]
#[case::network_and_layout(&["run", "names", "--cni", "calico", "--topology", "cluster-wide", "--json", "r.json"])]
fn a_selection_that_selects_nothing_is_its_own_code(#[case] arguments: &[&str]) {
    let place = Place::empty();
    let before = place.files();
    let answer = Answer::of(&mut binary(&place, arguments)).expect(4);
    assert_eq!(answer.err, "nothing to run: no selected scenario has that network and layout\n");
    assert_eq!(place.added(&before, &[]), [""; 0]);
}

#[rstest]
#[case("0.5")]
#[case("fast")]
fn patience_out_of_range_is_refused(#[case] value: &str) {
    let place = Place::empty();
    for arguments in [&["run", "serving"][..], &["cluster", "up", "--mesh", "none"]] {
        let answer = Answer::of(binary(&place, arguments).env("CONFORMANCE_PATIENCE", value)).expect(2);
        assert_eq!(
            answer.sentence(),
            format!("CONFORMANCE_PATIENCE is {value:?}; it must be a number from 1 to 100")
        );
    }
}

#[test]
fn cases_are_listed_as_they_would_run() {
    let place = Place::empty();
    let answer = Answer::of(&mut binary(&place, &["list", "serving", "--cni", "calico"])).expect(0);
    insta::assert_snapshot!(answer.out, @r"
    serving: a ready model answers 200 [calico per-namespace]
    serving: a ready model answers 200 [calico cluster-wide]
    ");
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let place = Place::empty();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = binary(&place, &["list"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn without_a_home_the_cache_must_be_named() {
    let place = Place::empty();
    let nowhere = |arguments: &[&str]| {
        let mut command = binary(&place, arguments);
        for name in ["SELDON_CONFORMANCE_CACHE", "XDG_CACHE_HOME", "HOME"] {
            command.env_remove(name);
        }
        Answer::of(&mut command).expect(3).sentence().to_owned()
    };
    for arguments in [&["run"][..], &["doctor"], &["cluster", "list"], &["cluster", "up"]] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(nowhere(arguments), @"there is no place for a cache: set SELDON_CONFORMANCE_CACHE to a writable directory (HOME and XDG_CACHE_HOME are unset)");
        }
    }
}

#[test]
fn records_that_another_user_owns_are_refused() {
    let place = Place::empty();
    let Some(mut nobody) = as_nobody(&place, &["run", "serving", "--records", "theirs"]) else { return };
    let theirs = place.directory().join("theirs");
    for mode in [0o755, 0o700] {
        let made = fs::DirBuilder::new().mode(mode).create(&theirs);
        made.unwrap();
        let answer = Answer::of(&mut nobody).expect(2);
        let sentence = answer.sentence();
        assert!(
            sentence.starts_with("records cannot be kept in ") && sentence.contains("--records"),
            "{sentence}"
        );
        fs::remove_dir(&theirs).unwrap();
    }
}
