//! Ends that nobody planned: interruptions and kills. Whatever ends, nothing is left.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use serde_json::Value;

use crate::door::{binary, finish, start, start_until};
use crate::machine::{Footprint, children, host, supervisor, until};
use crate::place::Place;

/// How far a run has come, by the number of processes below it.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The supervisor has made its namespaces.
    Boot,
    /// Pods run.
    Pods,
}

/// A run of one case, at a moment of it, and what there is then.
fn one_case(place: &Place, moment: Moment) -> (Child, Footprint) {
    let arguments = ["run", "serving", "--cni", "calico", "--topology", "per-namespace"];
    let run = binary(place, &[&arguments[..], &["--records", "records", "--json", "r.json"]].concat());
    let wanted = match moment {
        Moment::Boot => 0,
        Moment::Pods => 14,
    };
    let mut footprint = Footprint::default();
    let run = start_until(run, &format!("{moment:?}"), |id| {
        footprint = Footprint::of(id);
        supervisor(id).is_some() && footprint.len() >= wanted
    });
    (run, footprint)
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[rstest]
#[case::boot(Moment::Boot, Signal::SIGINT)]
#[case::pods(Moment::Pods, Signal::SIGINT)]
#[case::terminated(Moment::Pods, Signal::SIGTERM)]
fn one_interruption_ends_in_order(#[case] moment: Moment, #[case] signal: Signal) {
    let (place, before) = (Place::new(), host());
    let (run, footprint) = one_case(&place, moment);
    send(run.id(), signal);
    let answer = finish(run).expect(3);
    footprint.assert_gone();
    assert_eq!(host(), before);
    assert!(answer.err.contains("ending in order; interrupt again to end at once"), "{}", answer.err);
    assert!(answer.out.contains("0 passed, 0 failed, 1 inconclusive"), "{}", answer.out);
    let json: Value =
        serde_json::from_str(&fs::read_to_string(place.directory().join("r.json")).unwrap()).unwrap();
    assert_eq!(
        (json["cases"][0]["verdict"].as_str(), json["cases"][0]["message"].as_str()),
        (Some("inconclusive"), Some("interrupted"))
    );
    assert_eq!(fs::read_dir(place.temporary()).unwrap().count(), 0);
}

#[test]
fn letting_go_of_a_kept_cluster_does_not_change_the_verdict() {
    let (place, before) = (Place::new(), host());
    let arguments = ["run", "serving", "--cni", "calico", "--topology", "per-namespace", "--keep", "always"];
    let mut run = start(binary(&place, &arguments));
    let mut said = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("Ctrl-C ends the kept clusters") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the run ended before it held its cluster");
    }
    let footprint = Footprint::of(run.id());
    send(run.id(), Signal::SIGINT);
    finish(run).expect(0);
    footprint.assert_gone();
    assert_eq!(host(), before);
}

#[rstest]
#[case::boot(Moment::Boot)]
#[case::pods(Moment::Pods)]
fn two_interruptions_end_at_once(#[case] moment: Moment) {
    let (place, before) = (Place::new(), host());
    let (mut run, footprint) = one_case(&place, moment);
    send(run.id(), Signal::SIGINT);
    // The second signal must find the first one taken: the same signal pending twice is one signal.
    let mut again = || {
        send(run.id(), Signal::SIGINT);
        run.try_wait().unwrap().is_some()
    };
    assert!(until(Duration::from_secs(2), &mut again), "the run goes on after two interruptions");
    finish(run).expect(3);
    footprint.assert_gone();
    assert_eq!(host(), before);
    assert_eq!(fs::read_dir(place.temporary()).unwrap().count(), 0);
}

#[rstest]
#[case::boot(Moment::Boot)]
#[case::pods(Moment::Pods)]
fn a_killed_run_leaves_nothing(#[case] moment: Moment) {
    let (place, before) = (Place::new(), host());
    let (run, footprint) = one_case(&place, moment);
    send(run.id(), Signal::SIGKILL);
    assert_eq!(finish(run).code, None);
    footprint.assert_gone();
    assert_eq!(host(), before);
    assert_eq!(fs::read_dir(place.temporary()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.cache().join("mountpoint")).unwrap().count(), 0);
}

#[rstest]
#[case::boot(Moment::Boot, 0)]
#[case::outermost(Moment::Pods, 0)]
#[case::pid_1(Moment::Pods, 1)]
#[case::supervisor(Moment::Pods, 2)]
fn a_killed_cluster_is_what_the_verdict_says(#[case] moment: Moment, #[case] depth: usize) {
    let place = Place::new();
    let (run, _) = one_case(&place, moment);
    let outermost = supervisor(run.id()).unwrap();
    let victim = (0..depth).fold(outermost, |process, _| children(process)[0]);
    let footprint = Footprint::of(outermost);
    send(victim, Signal::SIGKILL);
    footprint.assert_gone();
    let answer = finish(run);
    let json: Value =
        serde_json::from_str(&fs::read_to_string(place.directory().join("r.json")).unwrap()).unwrap();
    let case = &json["cases"][0];
    assert_eq!(
        (answer.code, case["verdict"].as_str()),
        (Some(3), Some("inconclusive")),
        "{}\n{}",
        answer.out,
        answer.err
    );
    let message = case["message"].as_str().unwrap();
    assert!(message.contains("the cluster's supervisor ended"), "{message}");
}
