//! Clusters that programs of others start, with programs that only pretend: what they are told, what becomes of their
//! lies, and that nothing is left, whatever happens.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::door::{Answer, PATIENCE, finish, start_until};
use crate::machine::{GRACE, host, until};
use crate::place::Place;
use crate::stage::{BUSYBOX, K3S, K3S_UP, Stage};

pub(crate) const UP: [&str; 9] = [
    "cluster",
    "up",
    "conformance",
    "--cluster",
    "k3d",
    "--mesh",
    "none",
    "--timeout=60",
    "--images=present",
];

/// A case on such a cluster.
pub(crate) const RUN: [&str; 9] = [
    "run",
    "ready model",
    "--cluster",
    "k3d",
    "--cni",
    "flannel",
    "--topology",
    "per-namespace",
    "--images=present",
];

#[test]
fn a_cluster_comes_up_is_reused_and_goes() {
    let (stage, owner) = (Stage::new(), Place::new());
    let _behind = stage.behind(&owner, "127.69.0.1");
    let up = stage.run(&UP).expect(0);
    assert!(up.out.starts_with("cluster conformance is up (k3d flannel)\n"), "{}", up.out);
    let steps: Vec<&str> = up.err.lines().collect();
    let last =
        ["  have every node Ready", "  have the cluster's DNS Ready", "  have the cluster's DNS answer"];
    assert_eq!(steps[steps.len() - 3..], last, "{}", up.err);
    // It was told no more than the dry run says, in its order.
    let rehearsed = stage.run(&[&UP[..], &["--dry-run"]].concat()).expect(0).out.replace('\'', "");
    let mut lines = rehearsed.lines();
    for line in stage.log() {
        assert!(lines.any(|said| said.contains(&line)), "{line}\nis not in what was rehearsed:\n{rehearsed}");
    }

    let told = stage.log().len();
    let again = stage.run(&[&UP[..], &["--reuse"]].concat()).expect(0);
    assert!(again.err.contains("reuse the cluster that is idle"), "{}", again.err);
    assert_eq!(stage.log().len(), told, "a cluster that is reused is not made again");
    for (words, found, wanted) in [
        (["--cni", "calico"], "k3d flannel with", "k3d calico with 0 agents, v1.33.1-k3s1"),
        (["--k3s-version", "v1.32.5-k3s1"], "agents, v1.33.1-k3s1", "with 0 agents, v1.32.5-k3s1"),
    ] {
        let other = stage.run(&[&UP[..], &words, &["--reuse"]].concat()).expect(2);
        let (is, not) = other.sentence().split_once(", not ").unwrap_or_default();
        assert!(is.contains(found) && not.contains(wanted), "{}", other.err);
        assert!(
            not.ends_with("; remove it with `seldon-conformance cluster down conformance`"),
            "{}",
            other.err
        );
    }

    let listed = stage.run(&["cluster", "list"]).expect(0).out;
    let columns: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(columns[..5], ["conformance", "k3d", "flannel", "idle", "until"], "{listed}");
    assert!(columns[5].ends_with('Z') && columns[6].starts_with("https://127.69.0.1:"), "{listed}");
    assert!(columns[7].ends_with("real-clusters/conformance/kubeconfig"), "{listed}");

    let idle = stage.run(&["cluster", "gc"]).expect(0);
    assert_eq!(idle.out, "conformance is idle; it may be removed in 60 minutes\n");
    assert_eq!(stage.kept("clusters"), ["conformance"]);
    let down = stage.run(&["cluster", "down", "conformance"]).expect(0);
    assert_eq!(down.out, "cluster conformance is down\n");
    stage.assert_nothing_is_left();
    let again = stage.run(&["cluster", "down", "conformance"]).expect(2);
    assert!(again.sentence().starts_with("there is no cluster conformance"), "{}", again.err);
    assert_eq!(stage.run(&["cluster", "list"]).expect(0).out, "");
}

#[test]
fn a_cluster_that_is_kept_and_gone_is_made_again() {
    let (stage, owner) = (Stage::new(), Place::new());
    let behind = stage.behind(&owner, "127.69.0.4");
    stage.run(&UP).expect(0);
    behind.down().expect(0);
    let _again = stage.behind(&owner, "127.69.0.4");
    // Its API stands at another port now, where the old kubeconfig does not lead.
    let answer = stage.run(&[&UP[..], &["--reuse"]].concat()).expect(0);
    assert!(answer.err.contains("remove the k3d cluster conformance, which nobody uses"), "{}", answer.err);
    assert_eq!((stage.times("k3d cluster delete"), stage.times("k3d cluster create")), (1, 2));
}

#[test]
fn a_run_takes_the_cluster_as_a_given_one_and_ends_it() {
    let (stage, owner) = (Stage::new(), Place::new());
    let _behind = stage.behind(&owner, "127.69.0.5");
    let answer = stage.run(&RUN).expect(0);
    assert!(answer.err.contains("context k3d-conformance-flannel (https://127.69.0.5:"), "{}", answer.err);
    assert!(answer.out.contains("1 passed"), "{}", answer.out);
    assert_eq!(stage.times("k3d cluster delete conformance-flannel"), 1, "{:#?}", stage.log());
    stage.assert_nothing_is_left();
}

#[test]
fn the_program_k3s_runs_in_namespaces_and_leaves_nothing() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root makes these namespaces");
        return;
    }
    let (stage, owner) = (Stage::new(), Place::new());
    stage.program("k3s", K3S);
    stage.program("busybox", BUSYBOX);
    let _behind = stage.behind(&owner, "127.69.0.6");
    fs::create_dir(stage.place().directory().join("mirror")).unwrap();
    fs::write(stage.place().directory().join("mirror/k3s-images.tar.zst"), "").unwrap();
    let before = host();
    let up = stage.run(&[&K3S_UP[..], &["--mirror", "mirror"]].concat()).expect(0);
    assert!(up.out.starts_with("cluster conformance is up (k3s flannel)\n"), "{}", up.out);
    let seen = fs::read_to_string(stage.state("seen")).unwrap();
    assert!(
        seen.contains("pid 1\n") && seen.contains("link eth0\n") && seen.contains("images k3s.tar.zst\n"),
        "{seen}"
    );
    assert!(seen.contains("asked beside link eth0\n"), "{seen}");
    // A link, and what keeps the namespace in which its other end is.
    assert_eq!(host().difference(&before).count(), 2, "{:?}", host());
    for file in ["/etc/pretended-k3s", "/var/lib/pretended-k3s", "/opt/pretended-k3s", "/run/pretended-k3s"] {
        assert!(seen.contains(&format!("wrote {file}\n")), "{seen}");
        assert!(!std::path::Path::new(file).exists(), "{file}");
    }
    let supervisor = below_with(&stage.state("").display().to_string());
    assert!(!supervisor.is_empty(), "the pretended k3s should run");
    assert_eq!(stage.run(&["cluster", "gc", "conformance"]).expect(0).out, "conformance is gone\n");
    assert!(until(GRACE, || below_with(&stage.state("").display().to_string()).is_empty()));
    assert_eq!(host(), before);
    assert_eq!(stage.ledgers(), [""; 0]);
}

/// Processes in whose environment `words` stand: those of one stage.
fn below_with(words: &str) -> Vec<u32> {
    let entries =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(words.trim_end_matches('/'))
    };
    entries.filter(ours).collect()
}

#[test]
fn an_import_that_lies_is_repeated_and_then_believed_by_its_nodes_alone() {
    let (stage, owner) = (Stage::new(), Place::new());
    let _behind = stage.behind(&owner, "127.69.0.2");
    let mirror = stage.place().directory().join("mirror/images");
    fs::create_dir_all(&mirror).unwrap();
    for image in ["quay.io_metallb_controller_v0.15.3", "quay.io_metallb_speaker_v0.15.3"] {
        fs::write(mirror.join(format!("{image}.tar")), "").unwrap();
    }
    let words = [&UP[..], &["--mirror", "mirror", "--balancer", "10.9.0.1-10.9.0.9"]].concat();
    stage.let_imports_lie(1);
    let answer = stage.run(&words).expect(3);
    // Two images, and one that was told twice; then the mirror has no manifest.
    assert_eq!(stage.times("k3d image import"), 3, "{:#?}", stage.log());
    assert!(answer.sentence().contains("metallb-native.yaml: No such file or directory"), "{}", answer.err);
    stage.assert_nothing_is_left();

    stage.tell("log", "");
    stage.let_imports_lie(6);
    let answer = stage.run(&words).expect(3);
    assert_eq!(stage.times("k3d image import"), 6, "{:#?}", stage.log());
    let sentence = answer.sentence();
    assert!(sentence.starts_with("cannot import the images into every node: quay.io/metallb/"), "{sentence}");
    assert!(
        sentence.contains("is not there (`docker exec k3d-conformance-server-0 crictl images"),
        "{sentence}"
    );
    stage.assert_nothing_is_left();
}

#[test]
fn whoever_is_killed_leaves_a_cluster_that_is_swept_up() {
    let stage = Stage::new();
    nix::unistd::mkfifo(&stage.state("hold-create"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let up = start_until(stage.command(&UP), "a cluster", |_| stage.kept("clusters") == ["conformance"]);
    kill(Pid::from_raw(up.id().cast_signed()), Signal::SIGKILL).unwrap();
    finish(up);
    // k3d still works on it: whoever swept now would race with it.
    assert_eq!(stage.run(&["cluster", "gc"]).expect(0).out, "conformance is in use\n");
    let listed = stage.run(&["cluster", "list"]).expect(0).out;
    assert!(listed.contains(" k3d           flannel  coming up "), "{listed}");
    let down = stage.run(&["cluster", "down", "conformance"]).expect(2);
    assert!(down.sentence().contains("cluster conformance is in use by another process"), "{}", down.err);
    let busy = stage.run(&UP).expect(2);
    assert!(busy.sentence().contains("cluster conformance is in use by another process"), "{}", busy.err);
    fs::write(stage.state("hold-create"), "go on\n").unwrap();
    let gone = until(PATIENCE, || stage.run(&["cluster", "gc"]).expect(0).out != "conformance is in use\n");
    assert!(gone);
    stage.assert_nothing_is_left();
}

#[test]
fn an_interruption_ends_k3d_and_removes_what_it_had_begun() {
    let stage = Stage::new();
    nix::unistd::mkfifo(&stage.state("hold-create"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let up = start_until(stage.command(&UP), "a cluster", |_| stage.kept("clusters") == ["conformance"]);
    kill(Pid::from_raw(up.id().cast_signed()), Signal::SIGTERM).unwrap();
    let answer = finish(up).expect(3);
    assert_eq!(answer.sentence(), "interrupted while it was to create the cluster");
    stage.assert_nothing_is_left();
}

#[test]
fn a_cluster_of_somebody_else_is_left_alone() {
    let stage = Stage::new();
    let theirs = stage.state("clusters/conformance");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("labels"), "app=k3d\n").unwrap();
    let answer = stage.run(&UP).expect(3);
    assert!(
        answer
            .sentence()
            .contains("there is a cluster conformance that this program did not make; choose another name"),
        "{}",
        answer.err
    );
    assert_eq!(stage.times("k3d cluster"), 0, "{:#?}", stage.log());
    assert_eq!(stage.kept("clusters"), ["conformance"]);
    assert_eq!(stage.ledgers(), [""; 0]);
}

#[test]
fn a_ledger_whose_cluster_became_somebody_elses_deletes_nothing() {
    let (stage, owner) = (Stage::new(), Place::new());
    let _behind = stage.behind(&owner, "127.69.0.3");
    stage.run(&UP).expect(0);
    fs::write(stage.state("clusters/conformance/labels"), "seldon-conformance.owner=bob.elsewhere.1\n")
        .unwrap();
    let down = stage.run(&["cluster", "down", "conformance"]).expect(3);
    assert!(down.sentence().contains("conformance is not gone: "), "{}", down.err);
    let answer = stage.run(&["cluster", "gc", "conformance"]).expect(3);
    assert!(answer.out.contains("it belongs to \"bob.elsewhere.1\", not to"), "{}", answer.out);
    assert_eq!(stage.times("k3d cluster delete"), 0);
    assert_eq!(stage.kept("clusters"), ["conformance"]);
}

#[rstest]
#[case::no_daemon("no-daemon", "", &["cannot reach the Docker daemon", "Cannot connect to the Docker daemon", "systemctl start docker"])]
#[case::forbidden("forbidden", "", &["cannot reach the Docker daemon", "permission denied", "usermod -aG docker"])]
#[case::old("version", "k3d version v4.4.8\n", &["k3d 4.4.8 is too old, 5.5.0 or newer is needed", "install.sh"])]
#[case::strange("version", "hello\n", &["k3d does not say its version but \"hello\"", "install.sh"])]
#[case::no_registry("no-registry", "", &["cannot create the cluster", "docker failed to pull image", "network is unreachable", "--mirror DIR"])]
fn what_is_wrong_is_said_with_the_remedy(#[case] name: &str, #[case] told: &str, #[case] said: &[&str]) {
    let stage = Stage::new();
    stage.tell(name, told);
    let answer = stage.run(&UP).expect(3);
    let sentence = answer.sentence();
    assert!(said.iter().all(|words| sentence.contains(words)), "{sentence}");
    stage.assert_nothing_is_left();
}

#[rstest]
#[case::k3d("k3d", "cannot see which k3d there is: k3d is not installed; install it: `curl ")]
#[case::docker(
    "docker",
    "cannot see which docker there is: docker is not installed; install it: `apt-get install docker.io`"
)]
fn a_missing_program_is_named_with_the_command_that_installs_it(#[case] name: &str, #[case] said: &str) {
    let stage = Stage::new();
    stage.without(name);
    let answer = Answer::of(&mut stage.alone(&UP)).expect(3);
    assert!(answer.sentence().starts_with(said), "{}", answer.err);
    assert_eq!(stage.ledgers(), [""; 0]);
}

/// What the doctor says of programs that only real clusters need, and of this tester.
fn doctor(stage: &Stage) -> String {
    let out = Answer::of(&mut stage.alone(&["doctor"])).out;
    let mut lines = out.lines().skip_while(|line| !line.contains(" disk ")).skip(1);
    let root = match nix::unistd::Uid::effective().is_root() {
        true => "ok       root             for --cluster kubernetes",
        false => {
            "absent   root             a real Kubernetes of this machine needs root (kubelet and containerd do): run with sudo, \
             or use --cluster embedded"
        }
    };
    assert_eq!(lines.next(), Some(root));
    lines.collect::<Vec<_>>().join("\n")
}

fn daemon(stage: &Stage) -> String {
    doctor(stage).lines().find(|line| line.contains("docker daemon")).unwrap().to_owned()
}

#[test]
fn the_doctor_names_each_missing_program_and_tells_a_daemon_from_a_client() {
    let stage = Stage::new();
    insta::assert_snapshot!("doctor_with_docker_and_k3d", doctor(&stage));
    stage.tell("no-daemon", "");
    insta::assert_snapshot!("doctor_without_a_daemon", daemon(&stage));
    fs::remove_file(stage.state("no-daemon")).unwrap();
    stage.tell("forbidden", "");
    insta::assert_snapshot!("doctor_with_a_forbidden_daemon", daemon(&stage));
    stage.without("docker");
    stage.without("k3d");
    insta::assert_snapshot!("doctor_with_nothing_for_real_clusters", doctor(&stage));
    let go =
        "#!/bin/sh\nif test $1 = env; then echo go1.24.4; else echo go version go1.24.4 linux/amd64; fi\n";
    stage.program("go", go);
    let said = doctor(&stage);
    let kube = "later    kube             1.33.1 is built from its Go module at the first run, or by `seldon-conformance provision \
                kubernetes`";
    assert!(said.lines().any(|line| line == kube), "{said}");
    assert!(said.contains("\nok       go               1.24.4\n"), "{said}");
}
