//! Dry runs: what would be told to programs of others and to the API, in order, and nothing touched.

use regex::Regex;
use rstest::rstest;

use crate::door::{Answer, binary};
use crate::place::Place;

/// Longer documents are counted: what is in them stands in the snapshots of what makes them.
const LONG: usize = 24;

/// Paths, and names that are made from them.
fn settled(place: &Place, text: &str) -> String {
    let text = text.replace(&place.cache().display().to_string(), "[cache]");
    let text = text.replace(&place.directory().display().to_string(), "[place]");
    let text = Regex::new("cf[0-9a-f]{8}").unwrap().replace_all(&text, "[link]").into_owned();
    let text = Regex::new(r"10\.213\.[0-9]+").unwrap().replace_all(&text, "10.213.[n]").into_owned();
    let documents = text.split("\n---\n").map(|document| {
        let (document, after) = document.split_once("\nEOF").map_or((document, None), |(d, a)| (d, Some(a)));
        let after = after.map_or(String::new(), |after| format!("\nEOF{after}"));
        let kind = document.lines().find_map(|line| line.strip_prefix("kind: "));
        match (document.lines().count(), kind) {
            (count, Some(kind)) if count > LONG && document.starts_with("apiVersion") => {
                let name = document.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap_or("?");
                format!("[{kind} {name}, {count} lines]{after}")
            }
            _ => format!("{document}{after}"),
        }
    });
    documents.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn another_k3s_is_asked_for_by_its_tag() {
    let place = Place::empty();
    let words =
        ["run", "--cluster", "k3d", "--cni", "flannel", "--k3s-version", "v1.29.15-k3s1", "--dry-run"];
    let said = Answer::of(&mut binary(&place, &words)).expect(0).out;
    assert!(said.contains("rancher/k3s:v1.29.15-k3s1") && !said.contains("v1.33.1-k3s1"), "{said}");
}

#[rstest]
#[case::k3d("k3d", &["--cluster", "k3d"])]
#[case::container("k3s-container", &["--cluster", "k3s"])]
#[case::binary("k3s-binary", &["--cluster", "k3s", "--k3s", "binary"])]
fn a_dry_run_prints_everything_and_touches_nothing(
    #[case] provider: &str,
    #[case] words: &[&str],
    #[values("flannel", "calico")] cni: &str,
    #[values("per-namespace", "cluster-wide")] topology: &str,
) {
    if provider == "k3s-binary" && !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: without root k3s is run otherwise");
        return;
    }
    let place = Place::empty();
    let before = place.files();
    let arguments = [&["run", "--dry-run", "--cni", cni, "--topology", topology], words].concat();
    // Not even a program is asked for: there is none.
    let answer = Answer::of(binary(&place, &arguments).env("PATH", "/nonexistent")).expect(0);
    assert_eq!(answer.err, "");
    assert_eq!(place.added(&before, &[]), [""; 0]);
    insta::assert_snapshot!(format!("{provider}_{cni}_{topology}"), settled(&place, &answer.out));
}

#[test]
fn a_dry_run_of_a_cluster_with_everything() {
    let place = Place::empty();
    std::fs::create_dir(place.directory().join("mirror")).unwrap();
    let words =
        ["cluster", "up", "mine", "--cluster", "k3d", "--cni", "calico", "--mesh", "none", "--dry-run"];
    let more = [
        "--agents",
        "2",
        "--reuse=30",
        "--timeout",
        "120",
        "--mirror",
        "mirror",
        "--balancer",
        "10.9.0.1-10.9.0.9",
    ];
    let answer =
        Answer::of(binary(&place, &[&words[..], &more].concat()).env("PATH", "/nonexistent")).expect(0);
    insta::assert_snapshot!("k3d_with_everything", settled(&place, &answer.out));
}

#[rstest]
#[case::pull("mirror_pull", &["mirror", "pull", "there", "--image", "docker.io/seldonio/seldon-scheduler:2.9.1"])]
#[case::push("mirror_push", &["mirror", "push", "there", "registry.example.org:5000"])]
fn a_mirror_is_rehearsed(#[case] name: &str, #[case] words: &[&str]) {
    let place = Place::empty();
    let before = place.files();
    let arguments = [words, &["--dry-run"]].concat();
    let answer = Answer::of(binary(&place, &arguments).env("PATH", "/nonexistent")).expect(0);
    assert_eq!(place.added(&before, &[]), [""; 0]);
    insta::assert_snapshot!(name, settled(&place, &answer.out));
}

#[rstest]
#[case::charts(&["run", "--dry-run", "--cluster", "k3d", "--seldon", "2.9.1"], "--dry-run shows what is applied for the stand-ins")]
#[case::no_tag(&["run", "--dry-run", "--cluster", "k3d", "--k3s-version", "v1.33.1+k3s1"], "no tag of k3s's images; they are like v1.33.1-k3s1")]
#[case::tag_of_what(&["cluster", "up", "--k3s-version", "v1.33.1-k3s1"], "--k3s-version is of clusters that k3d or k3s start")]
#[case::embedded(&["run", "--dry-run"], "--dry-run is of clusters that k3d or k3s start, not of --cluster embedded")]
#[case::agents(&["cluster", "up", "--agents", "1"], "--agents is of clusters that k3d or k3s start")]
#[case::agents_of_k3s(&["run", "--dry-run", "--cluster", "k3s", "--agents", "1"], "k3s-container has one node; leave out --agents, or say --cluster k3d")]
#[case::no_mirror(&["run", "--dry-run", "--cluster", "k3d", "--mirror", "nowhere"], "there is no mirror in nowhere; fill one with `seldon-conformance mirror pull nowhere`")]
#[case::jobs(&["run", "--cluster", "k3s", "--cni", "flannel", "--jobs", "2"], "cases on a k3s cluster run one after the other; leave out --jobs")]
#[case::keep(&["run", "--cluster", "k3d", "--cni", "flannel", "--keep", "always"], "a k3d cluster is kept with --reuse; leave out --keep")]
#[case::mesh(&["cluster", "up", "--cluster", "k3d"], "a k3d cluster comes up empty: say --mesh none")]
#[case::name(&["cluster", "up", "a23456789012345678901234567890123", "--cluster", "k3d", "--mesh", "none"], "use at most 32 lower-case letters, digits and dashes")]
#[case::given(&["cluster", "up", "--cluster", "given"], "a given cluster is up already")]
fn what_makes_no_sense_is_refused(#[case] arguments: &[&str], #[case] said: &str) {
    let place = Place::empty();
    let before = place.files();
    let answer = Answer::of(&mut binary(&place, arguments)).expect(2);
    assert!(answer.sentence().contains(said), "{}", answer.err);
    assert_eq!(place.added(&before, &[]), [""; 0]);
}
