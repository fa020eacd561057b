//! Jobs, held against what a real Kubernetes 1.33.1 made of the same manifests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::kubectl::{self, Kubectl};
use crate::place::Place;
use crate::up::Up;

const MANIFESTS: &str = include_str!("jobs/jobs.yaml");
/// Recorded with kube-apiserver, kube-controller-manager and kubelet 1.33.1; `UID` and `TIME` stand for what differs
/// from run to run.
const RECORDED: &str = include_str!("jobs/kubernetes-1.33.1.json");

/// What there is to say of a Job, in the words of the recording.
fn told(kubectl: &Kubectl<'_>, name: &str) -> Value {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let job = parse(&kubectl.ok(&format!("get job {name} -o json")));
    let about =
        format!("get events --field-selector involvedObject.name={name},involvedObject.kind=Job -o json");
    let pod = Regex::new("-[a-z0-9]{5}$").unwrap();
    let event = |event: &Value| {
        let text = |key: &str| event[key].as_str().unwrap();
        let message = pod.replace(text("message"), "-xxxxx").into_owned();
        let component = event["source"]["component"].as_str().unwrap();
        format!("{} {} {message} ({component})", text("type"), text("reason"))
    };
    let mut events: Vec<String> =
        parse(&kubectl.ok(&about))["items"].as_array().unwrap().iter().map(event).collect();
    events.sort();
    let all = json!({
        "labels": job["metadata"]["labels"], "generation": job["metadata"]["generation"],
        "spec": job["spec"], "status": job["status"], "events": events,
    });
    let plain = all.to_string().replace(job["metadata"]["uid"].as_str().unwrap(), "UID");
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    parse(&time.replace_all(&plain, "TIME"))
}

#[test]
fn jobs_end_as_on_kubernetes() {
    if !kubectl::is_there() {
        return;
    }
    let place = Place::new();
    let up = Up::new(&place, "jobs", "127.0.0.62", &["--mesh", "none"]);
    let config = up.kubeconfig();
    let kubectl = Kubectl { config: &config, home: place.directory() };
    kubectl.ok("wait --for=create serviceaccount/default --timeout=30s");
    let applied = kubectl.feed("apply -f -", MANIFESTS);
    assert_eq!(applied.code, Some(0), "{}", applied.err);
    kubectl.ok("wait --for=condition=Complete job/counted --timeout=60s");
    kubectl.ok("wait --for=condition=Failed job/broken job/each job/late --timeout=60s");
    kubectl.ok("wait --for=condition=Suspended job/held --timeout=60s");
    let mut recorded: BTreeMap<String, Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(recorded.len(), 5);
    for (name, expected) in &mut recorded {
        expected["events"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        // Events are written beside the status, and may come a moment later.
        let began = Instant::now();
        let mut ours = told(&kubectl, name);
        while ours != *expected && began.elapsed() < Duration::from_secs(10) {
            ours = told(&kubectl, name);
        }
        assert_eq!(ours, *expected, "{name}\nours: {ours:#}\nKubernetes': {expected:#}");
    }
    let listed = kubectl.ok("get jobs");
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows[0], ["NAME", "STATUS", "COMPLETIONS"]);
    assert!(rows.contains(&vec!["counted", "Complete", "3/3"]), "{listed}");
    assert!(rows.contains(&vec!["broken", "Failed", "0/1"]), "{listed}");
}
