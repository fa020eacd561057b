//! Dry runs: what would be told to programs of others and to the API, in order, and nothing touched.

use regex::Regex;
use rstest::rstest;

use crate::door::{Answer, as_nobody, binary};
use crate::place::Place;

/// Longer documents are counted: what is in them stands in the snapshots of what makes them.
const LONG: usize = 25;

/// Paths, and names that are made from them; pins, which stand in lock files; what a container engine may do here.
pub(crate) fn settled(place: &Place, text: &str) -> String {
    let pins = Regex::new("(containers|nft|kube|calico-node)-([0-9.]+(?:-bookworm)?)-[0-9a-f]{8}").unwrap();
    let text = pins.replace_all(text, "$1-$2-[digest]").into_owned();
    let may = Regex::new("restrict_oom_score_adj = (true|false)").unwrap();
    let text = may.replace_all(&text, "restrict_oom_score_adj = [as may be]").into_owned();
    let text =
        Regex::new("cd [^ ]*/harness/[.][.] ").unwrap().replace_all(&text, "cd [sources] ").into_owned();
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

/// What a dry run prints, settled: each part under its heading.
fn parts(place: &Place, out: &str) -> Vec<String> {
    let settled = settled(place, out);
    let parts = settled.split("#### ").map(str::trim_end).filter(|part| !part.is_empty());
    parts.map(|part| format!("#### {part}\n")).collect()
}

/// Takes the part out whose heading begins so.
fn take(parts: &mut Vec<String>, heading: &str) -> Option<String> {
    let heading = format!("#### {heading}");
    let place = parts.iter().position(|part| part.starts_with(&heading))?;
    Some(parts.remove(place))
}

/// Runs without any program on the path, and sees that nothing was touched.
pub(crate) fn rehearsed(place: &Place, arguments: &[&str]) -> String {
    let before = place.files();
    // Not even a program is asked for: there is none.
    let answer = Answer::of(binary(place, arguments).env("PATH", "/nonexistent")).expect(0);
    assert_eq!(answer.err, "");
    assert_eq!(place.added(&before, &[]), [""; 0]);
    answer.out
}

/// As `ci` writes it (`ci/src/suite_job.rs`).
#[rstest]
#[case::stand_ins("standin", "fast")]
#[case::charts("2.9.1", "real")]
fn a_cell_of_the_nightly_matrix_is_one_command_line(#[case] seldon: &str, #[case] pace: &str) {
    let place = Place::empty();
    let words = [
        &["run", "--cluster", "embedded,k3d", "--compare", "--k3s-version", "v1.29.15-k3s1"][..],
        &["--seldon", seldon, "--cni", "calico", "--topology", "cluster-wide", "--shard", "2/2"],
        &["--pace", pace, "--dry-run"],
    ];
    let said = rehearsed(&place, &words.concat());
    let clusters: Vec<&str> =
        said.lines().filter(|line| line.starts_with("#### ") && line.ends_with("(calico)")).collect();
    assert_eq!(
        clusters,
        ["#### embedded cluster, one for each case (calico)", "#### k3d cluster conformance-calico (calico)"]
    );
    assert!(said.contains("rancher/k3s:v1.29.15-k3s1"), "{said}");
}

/// A kind of cluster: what it is called here, how it is asked for, whose it is, and how helm is told of it.
struct Kind {
    name: &'static str,
    words: &'static [&'static str],
    whose: &'static str,
    helm: &'static str,
}

const EMBEDDED: Kind = Kind {
    name: "embedded",
    words: &[],
    whose: "alone",
    helm: "--kubeconfig [cache]/records/RUN/CASE.helm/kubeconfig --kube-context case",
};
const KUBERNETES: Kind = Kind {
    name: "kubernetes",
    words: &["--cluster", "kubernetes"],
    whose: "shared",
    helm: "--kubeconfig [cache]/records/RUN/CASE.helm/kubeconfig --kube-context case",
};
const GIVEN: Kind = Kind {
    name: "given",
    words: &["--cluster", "given", "--context", "theirs"],
    whose: "shared",
    helm: "--kube-context theirs",
};
const K3D: Kind = Kind {
    name: "k3d",
    words: &["--cluster", "k3d"],
    whose: "shared",
    helm: "--kubeconfig [cache]/real-clusters/conformance-calico/kubeconfig --kube-context k3d-conformance-calico",
};
const CONTAINER: Kind = Kind {
    name: "k3s-container",
    words: &["--cluster", "k3s"],
    whose: "shared",
    helm: "--kubeconfig [cache]/real-clusters/conformance-calico/kubeconfig --kube-context default",
};
const BINARY: Kind = Kind {
    name: "k3s-binary",
    words: &["--cluster", "k3s", "--k3s", "binary"],
    whose: "shared",
    helm: "--kubeconfig [cache]/real-clusters/conformance-calico/kubeconfig --kube-context default",
};

impl Kind {
    /// Whether this tester's machine says of it what another's does.
    fn is_told_alike(&self) -> bool {
        let root = nix::unistd::Uid::effective().is_root();
        if self.name == BINARY.name && !root {
            eprintln!("skipped: without root k3s is run otherwise");
        }
        self.name != BINARY.name || root
    }
}

/// What a cluster is made of does not depend on the mesh, nor a mesh on who started its cluster: so the snapshots of each
/// do for all of the other, and say so.
#[rstest]
#[case::embedded(EMBEDDED)]
#[case::kubernetes(KUBERNETES)]
#[case::given(GIVEN)]
#[case::k3d(K3D)]
#[case::container(CONTAINER)]
#[case::binary(BINARY)]
fn a_dry_run_prints_everything_and_touches_nothing(
    #[case] kind: Kind,
    #[values("flannel", "calico")] cni: &str,
    #[values("per-namespace", "cluster-wide")] topology: &str,
) {
    if !kind.is_told_alike() {
        return;
    }
    let place = Place::empty();
    let words = ["run", "--dry-run", "--cni", cni, "--topology", topology];
    let mut parts = parts(&place, &rehearsed(&place, &[&words, kind.words].concat()));
    match (take(&mut parts, "programs"), kind.name) {
        (programs, "given") => assert_eq!(programs, None),
        (programs, "kubernetes") => {
            insta::assert_snapshot!(format!("programs_kubernetes_{cni}"), programs.unwrap());
        }
        (programs, _) => insta::assert_snapshot!("programs", programs.unwrap()),
    }
    let (cluster, mesh, end) = match parts.as_slice() {
        [cluster, mesh, case, end] if kind.whose == "shared" => (cluster, format!("{mesh}\n{case}"), end),
        [cluster, mesh, end] if kind.whose == "alone" => (cluster, mesh.clone(), end),
        other => panic!("{} parts of {}", other.len(), kind.name),
    };
    insta::assert_snapshot!(format!("{}_{cni}", kind.name), format!("{cluster}\n{end}"));
    insta::assert_snapshot!(format!("mesh_{}_{topology}", kind.whose), mesh);
}

/// helm is told the same of every cluster, but for which it is.
#[rstest]
#[case::embedded(EMBEDDED)]
#[case::kubernetes(KUBERNETES)]
#[case::given(GIVEN)]
#[case::k3d(K3D)]
#[case::container(CONTAINER)]
#[case::binary(BINARY)]
fn charts_are_rehearsed_with_their_values(
    #[case] kind: Kind,
    #[values("per-namespace", "cluster-wide")] topology: &str,
) {
    if !kind.is_told_alike() {
        return;
    }
    let place = Place::empty();
    let words = ["run", "--dry-run", "--cni", "calico", "--topology", topology, "--seldon", "2.9.1"];
    let mut parts = parts(&place, &rehearsed(&place, &[&words, kind.words].concat()));
    take(&mut parts, "programs");
    let [fetch, _, mesh, .., _] = parts.as_slice() else { panic!("{} parts", parts.len()) };
    let mesh = match kind.whose {
        "shared" => format!("{fetch}\n{mesh}\n{}", parts[3]),
        _ => format!("{fetch}\n{mesh}"),
    };
    // Four charts come; on a shared cluster they go, too, but for the definitions, which others may use.
    let times = if kind.whose == "shared" { 7 } else { 4 };
    assert_eq!(mesh.matches(&format!("{} --timeout", kind.helm)).count(), times, "{mesh}");
    // For a cluster of ours a kubeconfig is written, and removed.
    let (of_kubeconfig, rest): (Vec<&str>, Vec<&str>) =
        mesh.split("\n\n").partition(|step| step.contains("the cluster's kubeconfig"));
    assert_eq!(of_kubeconfig.len(), if kind.helm.contains("CASE.helm") { 2 } else { 0 }, "{of_kubeconfig:?}");
    let told = rest.join("\n\n").replace(kind.helm, "[to the cluster]");
    insta::assert_snapshot!(format!("charts_{}_{topology}", kind.whose), told);
}

#[test]
fn a_layout_that_a_release_cannot_have_is_said_and_the_other_rehearsed() {
    let place = Place::empty();
    let words = ["run", "--dry-run", "--cni", "flannel", "--cluster", "k3d", "--seldon", "2.9.0"];
    let parts = parts(&place, &rehearsed(&place, &words));
    let meshes: Vec<&String> = parts.iter().filter(|part| part.starts_with("#### a mesh on it")).collect();
    assert!(meshes[0].contains("helm upgrade --install seldon-core-v2-setup"), "{}", meshes[0]);
    assert_eq!(
        meshes[1],
        "#### a mesh on it (cluster-wide)\n\n# its cases cannot be judged: the controller of Seldon 2.9.0 cannot watch a list \
         of namespaces, which this mesh needs; 2.9.1 can\n"
    );
}

#[test]
fn charts_of_ones_own_and_images_are_rehearsed_where_they_are() {
    let place = Place::empty();
    for chart in ["crds", "setup", "runtime", "servers"] {
        let directory = place.directory().join(format!("charts/seldon-core-v2-{chart}"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("Chart.yaml"), "").unwrap();
    }
    let words = ["run", "--dry-run", "--cni", "flannel", "--topology", "per-namespace", "--cluster", "k3d"];
    let more = ["--seldon", "charts:charts", "--seldon-image", "agent=r.example.com/mine:1"];
    let out = rehearsed(&place, &[&words[..], &more].concat());
    let settled = settled(&place, &out);
    let installed = "helm upgrade --install seldon-core-v2-setup [place]/charts/seldon-core-v2-setup ";
    assert!(settled.contains(installed) && settled.contains("registry: r.example.com"), "{settled}");
    assert!(!settled.contains("helm pull"), "{settled}");
}

#[rstest]
#[case::embedded("embedded")]
#[case::kubernetes("kubernetes")]
fn a_cluster_to_play_with_is_rehearsed(#[case] kind: &str) {
    let place = Place::empty();
    let words = ["cluster", "up", "mine", "--cluster", kind, "--mesh", "cluster-wide", "--dry-run"];
    let mut parts = parts(&place, &rehearsed(&place, &words));
    assert!(take(&mut parts, "programs").is_some());
    let [cluster, mesh, end] = parts.as_slice() else { panic!("{} parts", parts.len()) };
    // What is created on it is what a run's gets.
    let run = rehearsed(&place, &["run", "--dry-run", "--cluster", kind, "--cni", "flannel"]);
    let created = cluster.split_once("# create the ").unwrap().1;
    let created = created.split_once("\n\n# start a pod").map_or(created, |(created, _)| created);
    assert!(settled(&place, &run).contains(created.trim_end()), "{created}");
    let (head, _) = cluster.split_once("\n\n# start the supervisor").unwrap();
    let head = head.split_once("\n\n# make images").map_or(head, |(head, _)| head);
    let (_, extras) = mesh.split_once("# let the mesh be reached").unwrap();
    insta::assert_snapshot!(
        format!("up_{kind}"),
        format!("{head}\n...\n# let the mesh be reached{extras}\n{end}")
    );
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
        "--host-address",
        "127.0.0.2",
        "--api-port",
        "6550",
        "--port",
        "8080:30080",
        "--port",
        "127.0.0.3:8080:30080",
    ];
    let out = rehearsed(&place, &[&words[..], &more].concat());
    insta::assert_snapshot!("k3d_with_everything", settled(&place, &out));
}

#[test]
fn ports_of_a_container_are_published() {
    let place = Place::empty();
    let words = ["cluster", "up", "mine", "--cluster", "k3s", "--mesh", "none", "--dry-run"];
    let more = ["--api-port", "6550", "--port", "8080:30080"];
    let out = rehearsed(&place, &[&words[..], &more].concat());
    assert!(out.contains(" --name k3s-mine --publish 6550:6443 --publish 8080:30080 "), "{out}");
}

#[test]
fn without_root_k3s_is_a_scope_of_the_users_own() {
    let place = Place::empty();
    let words =
        ["run", "--dry-run", "--cluster", "k3s", "--k3s", "binary", "--topology", "per-namespace", "--cni"];
    let Some(mut flannel) = as_nobody(&place, &[&words[..], &["flannel"]].concat()) else { return };
    let mut parts = parts(&place, &Answer::of(&mut flannel).expect(0).out);
    assert!(take(&mut parts, "programs").is_some());
    let [cluster, _, _, end] = parts.as_slice() else { panic!("{} parts", parts.len()) };
    insta::assert_snapshot!("k3s-rootless_flannel", format!("{cluster}\n{end}"));

    let calico = as_nobody(&place, &[&words[..], &["calico"]].concat()).unwrap();
    let refused = Answer::of(&mut { calico }).expect(2);
    let said = "Calico does not run on a k3s without root: run as root, or say --cni flannel";
    assert_eq!(refused.sentence(), said);
}

#[rstest]
#[case::pull("mirror_pull", &["mirror", "pull", "there", "--seldon", "2.9.1", "--image", "r.example.com/mine:1"])]
#[case::push("mirror_push", &["mirror", "push", "there", "registry.example.org:5000"])]
fn a_mirror_is_rehearsed(#[case] name: &str, #[case] words: &[&str]) {
    let place = Place::empty();
    let out = rehearsed(&place, &[words, &["--dry-run"]].concat());
    insta::assert_snapshot!(name, settled(&place, &out));
}

#[rstest]
#[case::unpinned(&["run", "--dry-run", "--cluster", "k3d", "--seldon", "2.10.2"], "what the charts of Seldon 2.10.2 hash to is not known here")]
#[case::images(&["run", "--cluster", "kubernetes", "--images", "present"], "--images is of clusters that k3d or k3s start")]
#[case::no_charts(&["run", "--dry-run", "--cluster", "k3d", "--seldon", "charts:nowhere"], "nowhere holds no chart seldon-core-v2-crds")]
#[case::other_release(&["run", "--dry-run", "--seldon", "2.9.0"], "an embedded cluster has no images of Seldon 2.9.0")]
#[case::no_context(&["run", "--dry-run", "--cluster", "given", "--cni", "flannel"], "which cluster? name its context with --context")]
#[case::up_given(&["cluster", "up", "--cluster", "given", "--dry-run"], "a given cluster is up already")]
#[case::up_mesh(&["cluster", "up", "--cluster", "k3d", "--dry-run"], "a k3d cluster comes up empty: say --mesh none")]
#[case::no_tag(&["run", "--dry-run", "--cluster", "k3d", "--k3s-version", "v1.33.1+k3s1"], "no tag of k3s's images; they are like v1.33.1-k3s1")]
#[case::tag_of_what(&["cluster", "up", "--k3s-version", "v1.33.1-k3s1"], "--k3s-version is of clusters that k3d or k3s start")]
#[case::agents(&["cluster", "up", "--agents", "1"], "--agents is of clusters that k3d or k3s start")]
#[case::agents_of_k3s(&["run", "--dry-run", "--cluster", "k3s", "--agents", "1"], "k3s-container has one node; leave out --agents, or say --cluster k3d")]
#[case::host_address_of_k3s(&["cluster", "up", "--dry-run", "--cluster", "k3s", "--mesh", "none", "--host-address", "127.0.0.2"], "leave out --host-address, or say --cluster k3d")]
#[case::port_of_k3s(&["run", "--dry-run", "--cluster", "k3s", "--port", "127.0.0.2:8080:30080"], "leave out the address 127.0.0.2 of --port, or say --cluster k3d")]
#[case::port_of_a_program(&["run", "--dry-run", "--cluster", "k3s", "--k3s", "binary", "--port", "8080:30080"], "k3s as a program cannot be told --port")]
#[case::host_address_of_a_program(&["cluster", "up", "--dry-run", "--cluster", "k3s", "--k3s", "binary", "--mesh", "none", "--host-address", "127.0.0.2"], "k3s as a program cannot be told --host-address")]
#[case::port(&["cluster", "up", "--port", "8080:30080"], "--port is of clusters that k3d or k3s start")]
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
