//! Programs that come into the cache: asked for by `provision`, rehearsed, and given up in the middle.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::door::{Answer, as_nobody, binary, finish, start_until};
use crate::machine::{Footprint, below};
use crate::place::Place;
use crate::rehearsals::{rehearsed, settled};
use crate::stage::Stage;

/// How soon a wish to stop is heeded.
const SOON: Duration = Duration::from_secs(2);

/// Says that it was begun, and never ends; nor does what it starts.
const HANG: &str =
    "echo begun >\"$PRETEND/begun\"\n/usr/bin/tail -f /dev/null &\nexec /usr/bin/tail -f /dev/null\n";

/// A helm that can be asked which it is.
const HELM: &str = "#!/bin/sh\nif test \"$1\" = version; then echo v3.18.4; exit; fi\n";
/// A Go that is new enough.
const GO: &str = "#!/bin/sh\nif test \"$1\" = env; then echo go1.24.4; exit; fi\n";
/// A Python that will do.
const PYTHON: &str = "#!/bin/sh\nif test \"$1\" = -c; then\n\
                      echo '{\"executable\": \"'\"$0\"'\", \"major\": 3, \"minor\": 11, \"micro\": 2, \"library\": []}'\n\
                      exit; fi\n";
/// A program that does not even answer.
const DUMB: &str = "#!/bin/sh\n";

const CHARTS: &[&str] = &["run", "ready model", "--cni", "flannel", "--seldon", "2.9.1"];
const MODELS: &[&str] = &["run", "ready model", "--cni", "flannel"];

#[rstest]
#[case::charts("helm", HELM, CHARTS, Signal::SIGTERM)]
#[case::question("helm", DUMB, CHARTS, Signal::SIGINT)]
#[case::build("go", GO, CHARTS, Signal::SIGTERM)]
#[case::question_to_go("go", DUMB, &["provision", "kubernetes"], Signal::SIGTERM)]
#[case::helm_to_come("go", GO, &["provision", "helm"], Signal::SIGINT)]
#[case::packages("python3", PYTHON, MODELS, Signal::SIGTERM)]
#[case::packages_to_come("python3", PYTHON, &["provision"], Signal::SIGINT)]
#[case::packages_of_a_cluster("python3", PYTHON, &["cluster", "up", "x"], Signal::SIGTERM)]
fn who_gives_up_on_a_program_that_hangs_is_heeded(
    #[case] program: &str,
    #[case] answers: &str,
    #[case] words: &[&str],
    #[case] signal: Signal,
) {
    let stage = Stage::new();
    stage.program(program, &format!("{answers}{HANG}"));
    let begun = stage.state("begun");
    let mut footprint = Footprint::default();
    let run = start_until(stage.alone(words), "the program that hangs", |id| {
        footprint = Footprint::of(id);
        // It, and what it started.
        begun.exists() && below(id).len() == 2
    });
    let asked = Instant::now();
    kill(Pid::from_raw(i32::try_from(run.id()).unwrap()), signal).unwrap();
    let answer = finish(run).expect(3);
    assert!(asked.elapsed() < SOON, "only after {:?}", asked.elapsed());
    footprint.assert_gone();
    assert!(answer.err.contains("ending in order; interrupt again to end at once"), "{}", answer.err);
    let said = "interrupted; what was whole by then stays in the cache, and nothing half-made";
    assert_eq!(answer.sentence(), said);
    let mut left: Vec<String> = fs::read_dir(stage.place().cache())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.retain(|name| !["lock", "mountpoint"].contains(&name.as_str()));
    assert_eq!(left, [""; 0]);
}

#[test]
fn without_go_nothing_of_a_kubernetes_is_even_fetched() {
    let place = Place::empty();
    let before = place.files();
    let mut provision = binary(&place, &["provision", "kubernetes"]);
    let answer = Answer::of(provision.env("PATH", place.temporary())).expect(3);
    insta::assert_snapshot!(answer.sentence(), @"the programs of a real Kubernetes are built with Go 1.24.0 or later (not found); install it: `curl -sL https://go.dev/dl/go1.24.4.linux-amd64.tar.gz | tar -xz -C /usr/local && ln -sf /usr/local/go/bin/go /usr/local/bin/`");
    assert_eq!(place.added(&before, &[]), [""; 0]);
}

#[test]
fn it_is_an_old_go_that_is_in_the_way_not_who_asks() {
    let stage = Stage::new();
    stage.program("go", "#!/bin/sh\necho go1.19.8\n");
    let Some(mut provision) = as_nobody(stage.place(), &["provision", "kubernetes", "--cni", "flannel"])
    else {
        return;
    };
    let bin = stage.place().directory().join("bin");
    provision.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let answer = Answer::of(&mut provision).expect(3);
    let said =
        "the programs of a real Kubernetes are built with Go 1.24.0 or later (go1.19.8); install it: `";
    assert!(answer.sentence().starts_with(said), "{}", answer.err);
}

#[test]
fn everything_is_rehearsed() {
    let place = Place::empty();
    let said = rehearsed(&place, &["provision", "helm", "kubernetes", "embedded", "--dry-run"]);
    insta::assert_snapshot!("provision_everything", settled(&place, &said));
    let flannel = rehearsed(&place, &["provision", "kubernetes", "--cni", "flannel", "--dry-run"]);
    assert!(
        flannel.contains("/kube-") && !flannel.contains("calico") && !flannel.contains("helm"),
        "{flannel}"
    );
}

/// What stands in the cache of a place that has every program, some of them in name only.
fn full() -> Place {
    let place = Place::new();
    let rehearsed = rehearsed(&place, &["provision", "kubernetes", "--dry-run"]);
    let named = rehearsed.lines().filter_map(|line| line.strip_prefix("# fetch or make "));
    let named = named.filter_map(|line| line.strip_suffix(", unless it is there"));
    for directory in named.filter(|directory| !directory.ends_with("PYTHON")) {
        if fs::create_dir(directory).is_ok() {
            fs::write(format!("{directory}/.manifest.json"), "[]").unwrap();
        }
    }
    place
}

#[test]
fn what_is_there_already_is_said_to_be() {
    let place = full();
    let before = place.files();
    let bin = place.directory().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("helm"), HELM).unwrap();
    fs::set_permissions(bin.join("helm"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut provision = binary(&place, &["provision", "kubernetes", "helm"]);
    let answer = Answer::of(provision.env("PATH", format!("{}:{path}", bin.display()))).expect(0);
    assert_eq!(answer.err, "");
    let said = settled(&place, &answer.out);
    assert_eq!(
        said,
        "programs of a real Kubernetes: all there already\n\
         programs of embedded clusters and of images: all there already\n\
         helm: all there already\n\
         cache: [cache]\n"
    );
    assert_eq!(place.added(&before, &["bin", "cache/mountpoint"]), [""; 0]);
}
