//! A cluster to play with: up, used from the host, listed, down; and its sudden ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::door::{Answer, binary, from_terminal, start, start_until};
use crate::kubectl::{self, Kubectl};
use crate::machine::{Footprint, children, host, supervisor, until};
use crate::place::Place;
use crate::up::Up;

const POLICY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: quiet, namespace: seldon-mesh}
spec:
  podSelector: {matchLabels: {app: nobody}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 9004}]}]
"#;

const MODEL: &str = r#"
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: {name: second, namespace: seldon-mesh}
spec: {storageUri: "s3://models/iris", secretName: store-s3, requirements: [sklearn], memory: 100Ki}
"#;

#[rstest]
#[case::flannel("flannel", "127.67.0.1")]
#[case::calico("calico", "127.67.0.2")]
fn a_cluster_is_used_from_the_host_and_goes_without_a_trace(#[case] cni: &str, #[case] address: &str) {
    let place = Place::new();
    let (before, host_before) = (place.files(), host());
    let up = Up::new(&place, "played", address, &["--cni", cni]);
    let (status, body) = up.ask();
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    assert!(body.contains(r#""model_name":"iris"#), "{body}");
    let listed = Up::list(&place);
    assert!(listed.contains("played") && listed.contains(cni) && listed.contains(address), "{listed}");
    let again = Answer::of(&mut binary(&place, &["cluster", "up", "played"])).expect(2);
    assert!(again.sentence().contains("cluster played is up") && again.err.contains("cluster down played"));
    if kubectl::is_there() {
        let config = up.kubeconfig();
        let kubectl = Kubectl { config: &config, home: &place.temporary() };
        looks(&kubectl);
        changes(&kubectl);
        refusals(&kubectl);
        reaches_in(&kubectl);
    }
    assert_eq!(up.down().expect(0).out, "cluster played is down\n");
    up.footprint.assert_gone();
    assert_eq!(Up::list(&place), "");
    assert_eq!(host(), host_before);
    let made = ["cache/mountpoint", "cache/clusters", "temporary"];
    assert_eq!(place.added(&before, &made), [""; 0]);
    assert!(fs::read_dir(place.cache().join("clusters")).unwrap().next().is_none());
    assert!(TcpStream::connect((address, 30080)).is_err());
}

/// `get` and `describe`.
fn looks(kubectl: &Kubectl<'_>) {
    let pods = kubectl.ok("get pods -n seldon-mesh");
    assert!(pods.starts_with("NAME ") && pods.contains("mlserver-0") && pods.contains("3/3"), "{pods}");
    let columns = |text: &str| text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        columns(&kubectl.ok("get models -n seldon-mesh")),
        "NAME READY DESIRED REPLICAS AVAILABLE REPLICAS AGE"
    );
    assert_eq!(columns(&kubectl.ok("get servers -n seldon-mesh")), "NAME READY REPLICAS LOADED MODELS AGE");
    for (line, words) in [
        ("describe model iris -n seldon-mesh", "ModelReady"),
        ("describe server mlserver -n seldon-mesh", "Loaded Models"),
        ("describe pod mlserver-0 -n seldon-mesh", "Successfully assigned seldon-mesh/mlserver-0 to node-0"),
        ("get nodes", "v1.33.1+k3s1"),
        ("get mlm,mls,netpol,svc,sts -A", "model.mlops.seldon.io/iris"),
        ("explain model.spec.requirements", "requirements"),
    ] {
        let said = kubectl.ok(line);
        assert!(said.contains(words), "kubectl {line}\n{said}");
    }
}

/// `apply`, `wait`, `get -w`, `delete`.
fn changes(kubectl: &Kubectl<'_>) {
    let applied = kubectl.feed("apply -f -", MODEL);
    assert_eq!(
        (applied.code, applied.out.trim()),
        (Some(0), "model.mlops.seldon.io/second created"),
        "{}",
        applied.err
    );
    kubectl.ok("wait --for=condition=Ready model/second -n seldon-mesh --timeout=60s");
    let unchanged = kubectl.feed("apply -f -", MODEL);
    assert_eq!(unchanged.out.trim(), "model.mlops.seldon.io/second unchanged", "{}", unchanged.err);

    let policy = kubectl.feed("apply -f -", POLICY);
    assert_eq!((policy.code, policy.out.trim()), (Some(0), "networkpolicy.networking.k8s.io/quiet created"));
    let described = kubectl.ok("describe networkpolicy quiet -n seldon-mesh");
    assert!(described.contains("To Port: 9004/TCP"), "{described}");

    let mut watch = kubectl.command("get models -n seldon-mesh -w --no-headers");
    let mut watch = watch.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // Both are listed first; what follows is watched.
    for _ in 0..2 {
        lines.next().unwrap().unwrap();
    }
    kubectl.ok("label model second -n seldon-mesh seen=yes");
    let seen = lines.next().unwrap().unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(seen.starts_with("second"), "{seen}");

    kubectl.ok("delete model second -n seldon-mesh --timeout=60s");
    kubectl.ok("delete networkpolicy quiet -n seldon-mesh");
    let gone = kubectl.run("get model second -n seldon-mesh");
    assert_eq!(gone.err.trim(), r#"Error from server (NotFound): models.mlops.seldon.io "second" not found"#);
    kubectl.ok("delete pod -n seldon-mesh -l app.kubernetes.io/name=seldon-envoy --timeout=60s");
    kubectl.ok("wait --for=condition=Available deployment/seldon-envoy -n seldon-mesh --timeout=60s");
}

/// What the API server rejects is said in its own words.
fn refusals(kubectl: &Kubectl<'_>) {
    let unknown = kubectl.feed("apply -f -", &MODEL.replace("requirements:", "requirement:"));
    assert_eq!(unknown.code, Some(1));
    assert_eq!(
        unknown.err.trim(),
        "Error from server (BadRequest): error when creating \"STDIN\": Model in version \"v1alpha1\" cannot be \
         handled as a Model: strict decoding error: unknown field \"spec.requirement\""
    );
    let wrong = kubectl.feed("apply -f -", &MODEL.replace("[sklearn]", "3"));
    assert_eq!(wrong.code, Some(1));
    assert_eq!(
        wrong.err.trim(),
        "The Model \"second\" is invalid: spec.requirements: Invalid value: \"integer\": spec.requirements in body \
         must be of type array: \"integer\""
    );
    let policy = kubectl.feed("apply -f -", &POLICY.replace("port: 9004", "port: 90040"));
    assert_eq!(
        policy.err.trim(),
        "The NetworkPolicy \"quiet\" is invalid: spec.ingress[0].ports[0].port: Invalid value: 90040: must be \
         between 1 and 65535, inclusive"
    );
    let nowhere = kubectl.feed("apply -f -", &MODEL.replace("namespace: seldon-mesh", "namespace: nowhere"));
    assert_eq!(
        nowhere.err.trim(),
        "Error from server (NotFound): error when creating \"STDIN\": namespaces \"nowhere\" not found"
    );
}

/// `logs`, `exec`, `port-forward`'s neighbours.
fn reaches_in(kubectl: &Kubectl<'_>) {
    let log = kubectl.ok("logs mlserver-0 -n seldon-mesh -c mlserver --tail=20");
    assert!(log.contains("mlserver"), "{log}");
    let unnamed = kubectl.ok("logs deployment/seldon-envoy -n seldon-mesh --tail=1");
    assert_eq!(unnamed.lines().count(), 1, "{unnamed}");
    let missing = kubectl.run("logs mlserver-0 -n seldon-mesh -c nobody");
    assert!(
        missing.code == Some(1) && missing.err.contains("container nobody is not valid for pod mlserver-0"),
        "{}",
        missing.err
    );
    let resolv = kubectl.ok("exec mlserver-0 -n seldon-mesh -c agent -- cat /etc/resolv.conf");
    assert!(
        resolv.contains("search seldon-mesh.svc.cluster.local svc.cluster.local cluster.local"),
        "{resolv}"
    );
    let mut failing = kubectl.command("exec mlserver-0 -n seldon-mesh -c agent --");
    let failed = Answer::of(failing.args(["sh", "-c", "exit 7"]));
    assert_eq!(failed.code, Some(7), "{}", failed.err);
    let mut command = kubectl.command("exec -i mlserver-0 -n seldon-mesh -c agent --");
    command
        .args(["sh", "-c", "cat; echo words >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through\n").unwrap();
    let answer = Answer::from(child.wait_with_output().unwrap()).expect(0);
    // kubectl reads before it has made its streams: on a busy machine it complains of the API server's greeting, an
    // empty message to the first of them.
    let said = answer.err.lines().filter(|line| !line.ends_with("Unknown stream id 1, discarding message"));
    assert_eq!((answer.out.as_str(), said.collect::<Vec<_>>()), ("through\n", vec!["words"]));
}

#[test]
fn two_clusters_do_not_meet() {
    let place = Place::new();
    let first = Up::new(&place, "first", "127.67.1.1", &[]);
    let second = Up::new(&place, "second", "127.67.1.2", &["--mesh", "cluster-wide"]);
    assert_eq!((first.ask().0, second.ask().0), ("HTTP/1.1 200 OK".to_owned(), "HTTP/1.1 200 OK".to_owned()));
    assert_eq!(Up::list(&place).lines().count(), 2);
    first.down().expect(0);
    assert_eq!(Up::list(&place).lines().count(), 1);
    assert_eq!(second.ask().0, "HTTP/1.1 200 OK");
    assert_eq!(first.down().code, Some(2));
}

#[rstest]
#[case::holder("127.67.2.1", |up: &Up<'_>| up.pid())]
#[case::supervisor("127.67.2.2", |up: &Up<'_>| supervisor(up.pid()).unwrap())]
fn a_killed_cluster_is_gone_and_forgotten(#[case] address: &str, #[case] victim: fn(&Up<'_>) -> u32) {
    let (place, host_before) = (Place::new(), host());
    let before = place.files();
    let up = Up::new(&place, "killed", address, &["--mesh", "none"]);
    assert!(Up::list(&place).contains("killed"));
    kill(Pid::from_raw(i32::try_from(victim(&up)).unwrap()), Signal::SIGKILL).unwrap();
    up.footprint.assert_gone();
    assert_eq!(Up::list(&place), "");
    assert_eq!(up.down().code, Some(2));
    assert_eq!(place.added(&before, &["cache/mountpoint", "cache/clusters"]), [""; 0]);
    assert!(!clusters(&place).join("killed").exists());
    assert_eq!(host(), host_before);
    Up::new(&place, "killed", address, &["--mesh", "none"]).down().expect(0);
}

fn clusters(place: &Place) -> PathBuf {
    place.cache().join("clusters")
}

#[rstest]
#[case::interrupted("127.67.3.1", Signal::SIGINT, Some(3))]
#[case::terminated("127.67.3.3", Signal::SIGTERM, Some(3))]
#[case::killed("127.67.3.2", Signal::SIGKILL, None)]
fn an_up_that_is_ended_ends_what_it_began(
    #[case] address: &str,
    #[case] signal: Signal,
    #[case] code: Option<i32>,
) {
    let place = Place::new();
    let mut footprint = Footprint::default();
    let up = from_terminal(&place, &["cluster", "up", "begun", "--host-address", address]);
    let up = start_until(up, "a supervisor", |id| {
        footprint = Footprint::of(id);
        children(id).into_iter().any(|holder| supervisor(holder).is_some())
    });
    kill(Pid::from_raw(i32::try_from(up.id()).unwrap()), signal).unwrap();
    assert_eq!(crate::door::finish(up).code, code);
    footprint.assert_gone();
    assert!(until(Duration::from_secs(2), || is_empty(&clusters(&place))));
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[test]
fn of_two_that_want_one_name_one_gets_it() {
    let place = Place::new();
    let race = ["127.67.4.1", "127.67.4.2"].map(|address| {
        start(binary(&place, &["cluster", "up", "wanted", "--mesh", "none", "--host-address", address]))
    });
    let mut codes = race.map(|child| crate::door::finish(child).code);
    codes.sort();
    assert_eq!(codes, [Some(0), Some(2)]);
    assert_eq!(Up::list(&place).lines().count(), 1);
    Answer::of(&mut binary(&place, &["cluster", "down", "wanted"])).expect(0);
}
