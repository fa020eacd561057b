//! A real Kubernetes: that it comes up, that the scenarios hold on it, and that nothing is left of it.
//!
//! Most of these need root and programs that take ten minutes to build: `cargo run -p ci -- real` runs them.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::door::{Answer, as_nobody, binary, finish, start, start_until};
use crate::kubectl::Kubectl;
use crate::machine::until;
use crate::place::Place;
use crate::up::Up;

/// The cgroups of the real clusters of a process; other tests have theirs.
fn cgroups(of: u32) -> Vec<String> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let groups = hierarchies.filter_map(|hierarchy| fs::read_dir(hierarchy.path()).ok()).flatten().flatten();
    let names = groups.filter_map(|group| group.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&format!("seldon-conformance-{of}-"))).collect()
}

/// The state of clusters in a place's cache.
fn states(place: &Place) -> usize {
    fs::read_dir(place.cache().join("kubernetes")).map_or(0, |entries| entries.count())
}

#[test]
fn who_is_not_root_is_told_before_anything_is_fetched() {
    let place = Place::empty();
    let arguments = ["run", "--cluster", "kubernetes", "ready model"];
    let Some(mut command) = as_nobody(&place, &arguments) else { return };
    let answer = Answer::of(&mut command).expect(3);
    let sentence = answer.sentence();
    assert!(sentence.contains("needs root") && sentence.contains("--cluster embedded"), "{sentence}");
    assert!(!answer.err.contains("provisioning"), "{}", answer.err);
}

#[test]
fn a_cluster_that_exists_is_not_brought_up() {
    let place = Place::empty();
    let answer = Answer::of(&mut binary(&place, &["cluster", "up", "--cluster", "given"])).expect(2);
    assert!(answer.sentence().contains("up already"), "{}", answer.err);
}

#[test]
#[ignore = "needs root and programs that take ten minutes to build; cargo run -p ci -- real"]
fn a_scenario_holds_on_real_kubernetes_with_calico_and_nothing_is_left() {
    let place = Place::new();
    let arguments = ["run", "--cluster", "kubernetes", "--cni", "calico", "cut off"];
    let run = start(binary(&place, &arguments));
    let id = run.id();
    let answer = finish(run).expect(0);
    assert!(answer.out.contains("1 passed, 0 failed, 0 inconclusive, 0 skipped"), "{}", answer.out);
    assert_eq!(cgroups(id), [""; 0]);
    assert_eq!(states(&place), 0);
}

#[test]
#[ignore = "needs root and programs that take ten minutes to build; cargo run -p ci -- real"]
fn without_a_policy_engine_what_needs_one_is_skipped_by_name() {
    let place = Place::new();
    let arguments = ["run", "--cluster", "kubernetes", "--cni", "flannel", "cut off", "outlives"];
    // Nothing ran.
    let answer = Answer::of(&mut binary(&place, &arguments)).expect(4);
    assert!(answer.out.contains("0 passed, 0 failed, 0 inconclusive, 2 skipped"), "{}", answer.out);
    assert!(answer.out.contains("nobody enforces policies on this cluster"), "{}", answer.out);
}

#[test]
#[ignore = "needs root and programs that take ten minutes to build; cargo run -p ci -- real"]
fn kubectl_works_on_one_that_is_up_and_it_goes_down() {
    let place = Place::new();
    let up = Up::new(&place, "real", "127.0.0.63", &["--cluster", "kubernetes", "--mesh", "none"]);
    let config = up.kubeconfig();
    let kubectl = Kubectl { config: &config, home: place.directory() };
    assert!(kubectl.ok("version").contains("Server Version: v1.33.1"));
    assert!(kubectl.ok("get nodes").contains("node-0   Ready"));
    assert!(kubectl.ok("get storageclass").contains("local-path (default)"));
    let holder = up.pid();
    assert_ne!(cgroups(holder), [""; 0]);
    up.down().expect(0);
    assert_eq!(cgroups(holder), [""; 0]);
    assert_eq!(states(&place), 0);
}

#[test]
#[ignore = "needs root and programs that take ten minutes to build; cargo run -p ci -- real"]
fn a_killed_run_takes_its_cluster_along() {
    let place = Place::new();
    let records = place.directory().join("records");
    let arguments =
        ["run", "--cluster", "kubernetes", "--cni", "flannel", "ready model", "--records", "records"];
    let log = records.join("kubernetes-flannel/supervisor.log");
    let booted = || fs::read_to_string(&log).is_ok_and(|text| text.contains("booted in"));
    let run = start_until(binary(&place, &arguments), "a cluster", |_| booted());
    let id = run.id();
    assert_ne!(cgroups(id), [""; 0], "the cluster has cgroups while it runs");
    kill(Pid::from_raw(i32::try_from(run.id()).unwrap()), Signal::SIGKILL).unwrap();
    finish(run);
    assert!(until(Duration::from_secs(20), || cgroups(id).is_empty()), "left: {:?}", cgroups(id));
    assert!(until(Duration::from_secs(20), || states(&place) == 0));
}
