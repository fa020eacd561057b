//! A mirror: what is fetched into it, and that clusters and charts then come from it.

use std::fs;

use rstest::rstest;

use crate::door::{Answer, binary};
use crate::place::Place;
use crate::real::UP;
use crate::stage::Stage;

const IMAGES: [&str; 6] = [
    "docker.io/seldonio/seldonv2-controller:2.9.1",
    "docker.io/seldonio/seldon-scheduler:2.9.1",
    "docker.io/seldonio/seldon-envoy:2.9.1",
    "docker.io/seldonio/seldon-agent:2.9.1",
    "docker.io/seldonio/seldon-rclone:2.9.1",
    "docker.io/seldonio/mlserver:1.7.1",
];

/// Where a mirror has an image.
fn file(image: &str) -> String {
    format!("images/{}.tar", image.replace(['/', ':'], "_"))
}

#[test]
fn a_release_is_fetched_once_and_loaded_from_there() {
    let (stage, owner) = (Stage::new(), Place::new());
    stage.fetches();
    stage
        .run(&["mirror", "pull", "mirror", "--seldon", "2.9.1", "--image", "r.example.com/mine:1"])
        .expect(0);
    let mirror = stage.place().directory().join("mirror");
    for image in IMAGES {
        let archive = mirror.join(file(image));
        assert_eq!(fs::read_to_string(&archive).unwrap().trim(), image);
        let digests = fs::read_to_string(archive.with_extension("digests")).unwrap();
        let (name, _) = image.rsplit_once(':').unwrap();
        assert!(digests.starts_with(&format!("{name}@sha256:")), "{digests}");
    }
    let charts: Vec<String> =
        stage.place().files().into_iter().filter(|one| one.contains("/charts/")).collect();
    let named = |part: &str| format!("mirror/charts/seldon-core-v2-{part}-2.9.1.tgz");
    assert_eq!(charts, ["crds", "runtime", "servers", "setup"].map(named));

    let _behind = stage.behind(&owner, "127.69.0.9");
    let from = ["--mirror", "mirror", "--seldon", "2.9.1"];
    let own = ["--seldon-image", "agent=r.example.com/mine:1"];
    stage.run(&[&UP[..], &from, &own].concat()).expect(0);
    let imported = fs::read_to_string(stage.state("clusters/conformance/images")).unwrap();
    for image in IMAGES.iter().chain(&["r.example.com/mine:1"]) {
        let name = file(image).replace("images/", "").replace(".tar", "");
        assert_eq!(imported.lines().filter(|line| *line == name).count(), 1, "{image}: {imported}");
    }
    stage.run(&["cluster", "down", "conformance"]).expect(0);

    // What only pretends to be a chart is not installed, whoever says that it hashes as it should.
    let pulled = stage.times("helm pull");
    let run = ["run", "ready model", "--cluster", "k3d", "--cni", "flannel", "--images=present"];
    let answer = stage.run(&[&run[..], &from].concat()).expect(3);
    let chart = "mirror/charts/seldon-core-v2-crds-2.9.1.tgz has SHA-256 ";
    assert!(answer.sentence().starts_with(chart), "{}", answer.err);
    assert!(answer.sentence().ends_with("; nothing was installed"), "{}", answer.err);
    assert_eq!((pulled, stage.times("helm pull")), (4, 4));
    assert_eq!(stage.times("k3d cluster create"), 1);
    stage.assert_nothing_is_left();
}

#[rstest]
#[case::charts(&["run", "ready model", "--cluster", "k3d", "--cni", "flannel", "--images=present", "--mirror", "mirror", "--seldon", "2.9.1"], "there is no chart mirror/charts/seldon-core-v2-crds-2.9.1.tgz; `seldon-conformance mirror pull mirror --seldon 2.9.1` fetches it")]
#[case::images(&["cluster", "up", "--mesh", "none", "--cluster", "k3d", "--mirror", "mirror", "--seldon", "2.9.0"], " --seldon 2.9.0` fetches it")]
#[case::unpinned(&["mirror", "pull", "mirror", "--seldon", "2.10.2"], "what the charts of Seldon 2.10.2 hash to is not known here")]
#[case::no_release(&["mirror", "pull", "mirror", "--seldon", "standin"], "a mirror holds releases, and standin is none: say --seldon 2.9.1, or leave it out")]
fn what_a_mirror_lacks_is_said_with_the_command_that_fetches_it(#[case] words: &[&str], #[case] said: &str) {
    let stage = Stage::new();
    stage.fetches();
    fs::create_dir(stage.place().directory().join("mirror")).unwrap();
    let answer = stage.run(words).expect(2);
    assert!(answer.sentence().contains(said), "{}", answer.err);
    assert_eq!(stage.times("k3d") + stage.times("docker"), 0, "{:#?}", stage.log());
}

#[test]
fn a_run_from_a_mirror_asks_no_repository() {
    let place = Place::empty();
    fs::create_dir(place.directory().join("mirror")).unwrap();
    let words = ["run", "--dry-run", "--cluster", "k3d", "--cni", "flannel", "--topology", "per-namespace"];
    let from = ["--mirror", "mirror", "--seldon", "2.9.1"];
    let out = Answer::of(&mut binary(&place, &[&words[..], &from].concat())).expect(0).out;
    assert!(!out.contains("helm pull") && !out.contains("https://"), "{out}");
    let mirror = place.directory().join("mirror");
    for image in IMAGES {
        let import = format!("--cluster conformance-flannel {}\n", mirror.join(file(image)).display());
        assert_eq!(out.matches(&import).count(), 1, "{image}: {out}");
        assert!(out.contains(&format!("must say: {image}\n")), "{image}: {out}");
    }
    let setup = mirror.join("charts/seldon-core-v2-setup-2.9.1.tgz");
    assert!(
        out.contains(&format!("helm upgrade --install seldon-core-v2-setup {} ", setup.display())),
        "{out}"
    );
}
