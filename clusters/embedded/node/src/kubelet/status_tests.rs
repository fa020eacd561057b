use super::*;
use rstest::rstest;

fn pod(policy: &str, init: &[&str], main: &[&str]) -> Pod {
    let containers = |names: &[&str]| {
        names.iter().map(|it| json!({"name": it, "image": "busybox:1.36"})).collect::<Vec<_>>()
    };
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"restartPolicy": policy, "initContainers": containers(init), "containers": containers(main)},
        "status": {"conditions": [{"type": "PodScheduled", "status": "True"}]},
    }))
    .unwrap()
}

fn new(name: &str) -> Record {
    Record::new(name, "busybox:1.36")
}

fn running(name: &str) -> Record {
    let state = State::Running { started_at: Timestamp::UNIX_EPOCH, container_id: "c0".to_owned() };
    Record { state, ready: true, started: true, ..new(name) }
}

fn unready(name: &str) -> Record {
    Record { ready: false, ..running(name) }
}

fn ended(name: &str, code: i32) -> Record {
    let it = Termination::of_run(code, None, Timestamp::UNIX_EPOCH, "c0".to_owned());
    Record { state: State::Terminated(it), ..new(name) }
}

fn crashing(name: &str) -> Record {
    let last = Some(Termination::of_run(1, None, Timestamp::UNIX_EPOCH, "c0".to_owned()));
    let state =
        State::Waiting { reason: "CrashLoopBackOff".to_owned(), message: Some("back-off 10s".to_owned()) };
    Record { state, last, restart_count: 2, ..new(name) }
}

fn status(pod: &Pod, init: &[Record], main: &[Record], stage: Stage) -> Value {
    derive(&Facts {
        pod,
        init,
        main,
        stage,
        node_address: [192, 168, 50, 10].into(),
        pod_address: Some([10, 42, 0, 5].into()),
        sandbox: Sandbox::Ready,
        start_time: Timestamp::UNIX_EPOCH,
        now: Timestamp::UNIX_EPOCH,
    })
}

/// Conditions as `Type=Status(reason: message)`, in order.
fn told(status: &Value) -> String {
    let one = |it: &Value| {
        let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let (reason, message) = (text("reason"), text("message"));
        let why = [reason, message].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ");
        let why = if why.is_empty() { why } else { format!("({why})") };
        format!("{}={}{why}", text("type"), text("status"))
    };
    status["conditions"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(" ")
}

#[rstest]
#[case::creating("Always", &[new("a")], Stage::Alive, "Pending")]
#[case::running("Always", &[running("a"), running("b")], Stage::Alive, "Running")]
#[case::one_still_new("Always", &[running("a"), new("b")], Stage::Alive, "Pending")]
#[case::crash_loop("Always", &[crashing("a")], Stage::Alive, "Running")]
#[case::crashed_just_now("Always", &[ended("a", 1)], Stage::Alive, "Running")]
#[case::job_done("Never", &[ended("a", 0)], Stage::Alive, "Succeeded")]
#[case::job_failed("Never", &[ended("a", 1), ended("b", 0)], Stage::Alive, "Failed")]
#[case::on_failure_retries("OnFailure", &[ended("a", 1)], Stage::Alive, "Running")]
#[case::on_failure_done("OnFailure", &[ended("a", 0)], Stage::Alive, "Succeeded")]
#[case::deleted_with_zero("Always", &[ended("a", 0)], Stage::Over, "Succeeded")]
#[case::deleted_by_signal("Always", &[ended("a", 143)], Stage::Over, "Failed")]
fn phases(#[case] policy: &str, #[case] main: &[Record], #[case] stage: Stage, #[case] expected: &str) {
    let names: Vec<_> = main.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(status(&pod(policy, &[], &names), &[], main, stage)["phase"], expected);
}

#[rstest]
#[case::first_runs("Always", &[running("i"), new("j")], "Pending")]
#[case::first_failed_for_good("Never", &[ended("i", 1), new("j")], "Failed")]
#[case::first_failed_and_retries("Always", &[ended("i", 1), new("j")], "Pending")]
#[case::both_done("Always", &[ended("i", 0), ended("j", 0)], "Pending")]
fn phases_while_initializing(#[case] policy: &str, #[case] init: &[Record], #[case] expected: &str) {
    let status = status(&pod(policy, &["i", "j"], &["a"]), init, &[new("a")], Stage::Alive);
    assert_eq!(status["phase"], expected);
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
}

#[rstest]
#[case::all_ready(&[running("a")], "PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True PodScheduled=True")]
#[case::unready(&[unready("a"), running("b")], "PodReadyToStartContainers=True Initialized=True Ready=False(ContainersNotReady: containers with unready status: [a]) ContainersReady=False(ContainersNotReady: containers with unready status: [a]) PodScheduled=True")]
#[case::two_unready(&[unready("a"), crashing("b")], "PodReadyToStartContainers=True Initialized=True Ready=False(ContainersNotReady: containers with unready status: [a b]) ContainersReady=False(ContainersNotReady: containers with unready status: [a b]) PodScheduled=True")]
fn conditions_of_running_pods(#[case] main: &[Record], #[case] expected: &str) {
    let names: Vec<_> = main.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(told(&status(&pod("Always", &[], &names), &[], main, Stage::Alive)), expected);
}

#[test]
fn conditions_while_initializing() {
    let status = status(&pod("Always", &["i"], &["a"]), &[running("i")], &[new("a")], Stage::Alive);
    assert!(
        told(&status)
            .contains("Initialized=False(ContainersNotInitialized: containers with incomplete status: [i])")
    );
}

#[test]
fn conditions_of_a_finished_pod() {
    let status = status(&pod("Never", &[], &["a"]), &[], &[ended("a", 0)], Stage::Over);
    assert_eq!(
        told(&status),
        "PodReadyToStartContainers=True Initialized=True(PodCompleted) Ready=False(PodCompleted) ContainersReady=False(PodCompleted) PodScheduled=True"
    );
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let mut pod = pod("Always", &[], &["a"]);
    pod.status = serde_json::from_value(json!({"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        {"type": "ContainersReady", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"},
    ]}))
    .unwrap();
    let status = status(&pod, &[], &[running("a")], Stage::Alive);
    let time = |kind: &str| {
        let list = status["conditions"].as_array().unwrap();
        list.iter().find(|it| it["type"] == kind).unwrap()["lastTransitionTime"].clone()
    };
    assert_eq!(time("Ready"), "2020-01-01T00:00:00Z");
    assert_eq!(time("ContainersReady"), "1970-01-01T00:00:00Z");
}

#[rstest]
#[case::none(json!({}), "BestEffort")]
#[case::request(json!({"requests": {"cpu": "1"}}), "Burstable")]
#[case::both_equal(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed")]
#[case::limits_alone(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed")]
#[case::one_limit(json!({"limits": {"memory": "1Gi"}}), "Burstable")]
fn quality_of_service(#[case] resources: Value, #[case] expected: &str) {
    let spec =
        serde_json::from_value(json!({"containers": [{"name": "a", "resources": resources}]})).unwrap();
    assert_eq!(qos_class(&spec), expected);
}
