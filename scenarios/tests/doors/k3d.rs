//! What a run wants of k3d: a cluster for each network, a DNS that answers, ports on the host.

use std::fs;

use rstest::rstest;

use crate::place::Place;
use crate::real::UP;
use crate::stage::Stage;

/// One case on each network.
const RUN: [&str; 7] =
    ["run", "ready model", "--cluster", "k3d", "--topology", "per-namespace", "--images=present"];

#[test]
fn both_networks_of_a_run_are_kept_each_as_a_cluster_of_its_own() {
    let (stage, owner) = (Stage::new(), Place::new());
    let _behind = stage.behind(&owner, "127.69.0.7");
    let mirror = stage.place().directory().join("mirror");
    fs::create_dir(&mirror).unwrap();
    let kept = [&RUN[..], &["--reuse", "--mirror", "mirror"]].concat();
    // Nobody pretends to be Calico: the second network comes as far as what the mirror lacks, and is not kept.
    let first = stage.run(&kept).expect(3);
    assert!(first.out.contains("1 passed, 0 failed"), "{}", first.out);
    assert!(
        first.sentence().starts_with("cannot import the images into every node: quay.io/tigera/"),
        "{}",
        first.err
    );
    assert_eq!(stage.kept("clusters"), ["conformance-flannel"]);
    for network in ["flannel", "calico"] {
        let named = format!("k3d kubeconfig get conformance-{network}");
        assert_eq!(stage.times(&named), 1, "{:#?}", stage.log());
    }

    // One that takes part as Calico's, and is kept, too.
    let up: Vec<&str> =
        UP.iter().map(|word| if *word == "conformance" { "conformance-calico" } else { word }).collect();
    stage.run(&up).expect(0);
    let ledger = stage.place().cache().join("real-clusters/conformance-calico/ledger.json");
    let text = fs::read_to_string(&ledger).unwrap();
    assert_eq!(text.matches("flannel").count(), 2, "{text}");
    fs::write(&ledger, text.replace("flannel", "calico")).unwrap();
    let told = stage.times("k3d cluster create");
    let again = stage.run(&[&RUN[..], &["--reuse"]].concat()).expect(0);
    assert_eq!(again.out.matches("1 passed, 0 failed").count(), 2, "{}", again.out);
    assert_eq!(again.err.matches("reuse the cluster that is idle").count(), 2, "{}", again.err);
    assert_eq!(stage.times("k3d cluster create"), told);
    assert_eq!(stage.kept("clusters"), ["conformance-calico", "conformance-flannel"]);

    let alone = stage.run(&RUN).expect(2);
    let said = "cluster conformance-flannel is up and kept for reuse; say --reuse, or remove it with ";
    assert!(alone.sentence().starts_with(said), "{}", alone.err);
    assert_eq!(stage.times("k3d cluster create"), told, "a cluster that is kept is left alone");
    for name in ["conformance-calico", "conformance-flannel"] {
        stage.run(&["cluster", "down", name]).expect(0);
    }
    stage.assert_nothing_is_left();
}

#[test]
fn a_dns_that_is_ready_and_does_not_answer_is_no_dns() {
    let (stage, owner) = (Stage::new(), Place::new());
    let _behind = stage.behind(&owner, "127.69.0.8");
    stage.tell("no-answer", "");
    let answer = stage.run(&UP).expect(3);
    let sentence = answer.sentence();
    assert!(sentence.starts_with("cannot have the cluster's DNS answer, in 10 attempts: "), "{sentence}");
    for said in ["k3d-conformance-server-0 busybox nslookup", "no servers could be reached", "no firewall"] {
        assert!(sentence.contains(said), "{sentence}");
    }
    assert_eq!(
        stage.times("docker exec k3d-conformance-server-0 busybox nslookup"),
        10,
        "{:#?}",
        stage.log()
    );
    stage.assert_nothing_is_left();
}

#[rstest]
#[case::node("127.0.0.1:30080", &["--port", "30080:30080"], true)]
#[case::node_elsewhere("127.0.0.1:30080", &["--port", "127.0.0.2:30080:30080"], false)]
#[case::with_the_api("127.0.0.3:8080", &["--port", "8080:30080", "--host-address", "127.0.0.3"], true)]
#[case::nothing("127.0.0.1:30080", &[], false)]
fn a_port_that_is_published_and_taken_is_named(
    #[case] taken: &str,
    #[case] more: &[&str],
    #[case] clash: bool,
) {
    let stage = Stage::new();
    stage.tell("port-taken", taken);
    let answer = stage.run(&[&UP[..], more].concat()).expect(3);
    let sentence = answer.sentence();
    // Behind what comes up here is no API.
    let begins = if clash { "cannot create the cluster: " } else { "cannot take its kubeconfig: " };
    assert!(sentence.starts_with(begins), "{sentence}");
    let named = format!("Bind for {taken} failed: port is already allocated; end what listens on that port");
    assert_eq!(sentence.contains(&named), clash, "{sentence}");
    stage.assert_nothing_is_left();
}
