//! One container: restarts, probes, exec, logs.

use kube::api::{AttachParams, LogParams};
use netmodel::Profile;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, container, create, is_ready};

fn waiting(pod: &Value) -> (&str, &str) {
    let it = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    (it["reason"].as_str().unwrap_or_default(), it["message"].as_str().unwrap_or_default())
}

pub(crate) async fn a_crashing_container_backs_off() {
    let world = World::start(Profile::Flannel).await;
    let pod = world.shell("a", "echo run; exit 7").await;
    let uid = pod.metadata.uid.unwrap();
    let pod = world.wait("a", |it| waiting(it).0 == "CrashLoopBackOff").await;
    assert_eq!(
        waiting(&pod).1,
        format!("back-off 10s restarting failed container=main pod=a_default({uid})")
    );
    let main = &pod["status"]["containerStatuses"][0];
    assert_eq!((&main["restartCount"], &main["lastState"]["terminated"]["exitCode"]), (&json!(1), &json!(7)));
    assert_eq!(pod["status"]["phase"], "Running");
    let line = world.event("a", "BackOff").await;
    assert_eq!(
        line,
        format!("Warning BackOff Back-off restarting failed container main in pod a_default({uid})")
    );
    world.wait("a", |it| it["status"]["containerStatuses"][0]["restartCount"] == 3).await;
    let previous =
        world.pods().logs("a", &LogParams { previous: true, ..LogParams::default() }).await.unwrap();
    assert_eq!(previous, "run\n");
}

pub(crate) async fn a_killed_container_is_started_again() {
    let world = World::start(Profile::Flannel).await;
    world.shell("a", "exec sleep 600").await;
    world.ready("a").await;
    assert_eq!(world.node.kill("default", "a", "another"), None);
    assert_eq!(world.node.kill("default", "a", "main"), Some(()));
    let main = |pod: &Value| pod["status"]["containerStatuses"][0].clone();
    let pod = world.wait("a", |it| main(it)["restartCount"] == 1 && is_ready(it)).await;
    assert_eq!(main(&pod)["lastState"]["terminated"]["exitCode"], 137);
}

pub(crate) async fn an_unknown_image_is_never_pulled() {
    let world = World::start(Profile::Flannel).await;
    let spec = |policy: &str| json!({"containers": [{"name": "main", "image": "nobody/nothing:1", "imagePullPolicy": policy}]});
    world.create("a", spec("IfNotPresent")).await;
    world.create("b", spec("Never")).await;
    let pod = world.wait("a", |it| waiting(it).0 == "ImagePullBackOff").await;
    assert!(
        waiting(&pod).1.starts_with("Back-off pulling image \"nobody/nothing:1\": ErrImagePull: "),
        "{}",
        waiting(&pod).1
    );
    assert_eq!(pod["status"]["phase"], "Pending");
    world.event("a", "Warning Failed Error: ErrImagePull").await;
    let pod = world.wait("b", |it| waiting(it).0 == "ErrImageNeverPull").await;
    assert_eq!(
        waiting(&pod).1,
        "Container image \"nobody/nothing:1\" is not present with pull policy of Never"
    );
    let error = world.pods().logs("a", &LogParams::default()).await.unwrap_err().to_string();
    assert!(error.contains("container \"main\" in pod \"a\" is waiting to start: "), "{error}");
}

pub(crate) async fn a_missing_key_holds_a_container_until_it_is_there() {
    let world = World::start(Profile::Flannel).await;
    let mut main = container("main", "echo $X; exec sleep 600");
    main["env"] = json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}]);
    world.create("a", json!({"containers": [main]})).await;
    let pod = world.wait("a", |it| waiting(it).0 == "CreateContainerConfigError").await;
    assert_eq!(waiting(&pod).1, "configmap \"cm\" not found");
    world.event("a", "Warning Failed Error: configmap \"cm\" not found").await;
    create(
        &world.client,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"k": "v"}}),
    )
    .await;
    world.ready("a").await;
    world.log_with("a", "v\n").await;
}

pub(crate) async fn a_program_that_does_not_exist_is_told_as_runc_tells_it() {
    let world = World::start(Profile::Flannel).await;
    world
        .create(
            "a",
            json!({"containers": [{"name": "main", "image": "busybox:1.36", "command": ["nosuch"]}]}),
        )
        .await;
    let pod = world.wait("a", |it| waiting(it).0 == "RunContainerError").await;
    assert!(
        waiting(&pod)
            .1
            .ends_with("error during container init: exec: \"nosuch\": executable file not found in $PATH"),
        "{pod}"
    );
    let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(128), &json!("StartError")));
}

pub(crate) async fn readiness_follows_its_probe() {
    let world = World::start(Profile::Flannel).await;
    let mut main = container("main", "exec sleep 600");
    main["readinessProbe"] =
        json!({"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 1, "failureThreshold": 2});
    let mut http = container("http", "exec sleep 600");
    http["readinessProbe"] = json!({"httpGet": {"path": "/ready", "port": 9003}, "periodSeconds": 1});
    world.create("a", json!({"containers": [main]})).await;
    world.create("b", json!({"containers": [http]})).await;
    let line = world.event("a", "Unhealthy").await;
    assert!(
        line.starts_with("Warning Unhealthy Readiness probe failed: cat: /ready: No such file or directory"),
        "{line}"
    );
    let pod = world.wait("a", |it| it["status"]["phase"] == "Running").await;
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|it| it["type"] == "Ready").unwrap();
    assert_eq!(
        (&ready["reason"], &ready["message"]),
        (&json!("ContainersNotReady"), &json!("containers with unready status: [main]"))
    );
    world.exec("a", "touch /ready").await;
    world.ready("a").await;
    world.exec("a", "rm /ready").await;
    world.wait("a", |it| !is_ready(it)).await;
    let address = world.wait("b", |it| it["status"]["phase"] == "Running").await["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected = format!(
        "Warning Unhealthy Readiness probe failed: Get \"http://{address}:9003/ready\": dial tcp {address}:9003: connect: connection refused"
    );
    assert_eq!(world.event("b", "Unhealthy").await, expected);
}

pub(crate) async fn liveness_restarts() {
    let world = World::start(Profile::Flannel).await;
    let mut main = container("main", "touch /alive; exec sleep 600");
    main["livenessProbe"] =
        json!({"exec": {"command": ["cat", "/alive"]}, "periodSeconds": 1, "failureThreshold": 1});
    world.create("a", json!({"terminationGracePeriodSeconds": 1, "containers": [main]})).await;
    world.ready("a").await;
    world.exec("a", "rm /alive").await;
    let pod =
        world.wait("a", |it| it["status"]["containerStatuses"][0]["restartCount"] == 1 && is_ready(it)).await;
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    world.event("a", "Normal Killing Container main failed liveness probe, will be restarted").await;
}

pub(crate) async fn a_startup_probe_holds_the_others_back() {
    let world = World::start(Profile::Flannel).await;
    let mut main = container("main", "exec sleep 600");
    main["startupProbe"] =
        json!({"exec": {"command": ["cat", "/started"]}, "periodSeconds": 1, "failureThreshold": 1000});
    world.create("a", json!({"containers": [main]})).await;
    world.event("a", "Warning Unhealthy Startup probe failed: ").await;
    let pod = world.wait("a", |it| it["status"]["phase"] == "Running").await;
    assert_eq!((&pod["status"]["containerStatuses"][0]["started"], is_ready(&pod)), (&json!(false), false));
    world.exec("a", "touch /started").await;
    world.ready("a").await;
}

pub(crate) async fn exec_passes_streams_and_exit_codes() {
    let world = World::start(Profile::Flannel).await;
    world.shell("a", "exec sleep 600").await;
    world.ready("a").await;
    let parameters = AttachParams::default().stdin(true).stdout(true).stderr(true);
    let mut process =
        world.pods().exec("a", ["/bin/sh", "-c", "cat; echo oops >&2; exit 9"], &parameters).await.unwrap();
    let (mut stdin, mut stdout, mut stderr) =
        (process.stdin().unwrap(), process.stdout().unwrap(), process.stderr().unwrap());
    let status = process.take_status().unwrap();
    stdin.write_all(b"typed\n").await.unwrap();
    stdin.shutdown().await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    stdout.read_to_string(&mut out).await.unwrap();
    stderr.read_to_string(&mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("typed\n", "oops\n"));
    let status = serde_json::to_value(status.await.unwrap()).unwrap();
    assert_eq!(status["details"]["causes"][0]["message"], "9", "{status}");
    let terminal = AttachParams::default().stdin(true).stdout(true).stderr(false).tty(true);
    let mut process =
        world.pods().exec("a", ["/bin/sh", "-c", "test -t 0 && echo yes"], &terminal).await.unwrap();
    let mut out = String::new();
    process.stdout().unwrap().read_to_string(&mut out).await.unwrap();
    assert!(out.ends_with("\r\n"), "a terminal ends lines so: {out:?}");
}

pub(crate) async fn logs_are_cut_as_asked() {
    let world = World::start(Profile::Flannel).await;
    world.shell("a", "echo one; echo two; echo three; exec sleep 600").await;
    world.log_with("a", "three").await;
    let logs = |parameters: LogParams| {
        let pods = world.pods();
        async move { pods.logs("a", &parameters).await.unwrap() }
    };
    assert_eq!(logs(LogParams { tail_lines: Some(1), ..LogParams::default() }).await, "three\n");
    assert_eq!(logs(LogParams { limit_bytes: Some(5), ..LogParams::default() }).await, "one\nt");
    let stamped = logs(LogParams { timestamps: true, tail_lines: Some(1), ..LogParams::default() }).await;
    assert!(
        stamped.ends_with("Z three\n") && stamped.len() == "2026-01-02T03:04:05.000000006Z three\n".len(),
        "{stamped}"
    );
}

pub(crate) async fn builtins_and_hidden_parts_of_the_host() {
    let world = World::start(Profile::Flannel).await;
    let script = json!({"name": "main", "image": "busybox:1.36", "command": ["/bin/show"], "args": ["--x", "$(HOSTNAME_)", "y z"]});
    world.create("a", json!({"restartPolicy": "Never", "containers": [script]})).await;
    world.ended("a").await;
    assert_eq!(
        world.logs("a").await,
        "argv0=/bin/show arguments=[\"--x\", \"$(HOSTNAME_)\", \"y z\"] pace=Ok(\"0.02\")\n"
    );
    world
        .shell("b", "touch /usr/x 2>&1; touch /tmp/x /run/x /x && echo own; ls /tmp /mnt; exec sleep 600")
        .await;
    world.log_with("b", "/tmp:\nx\n").await;
    let log = world.logs("b").await;
    assert!(log.contains("Read-only file system") && log.ends_with("own\n/mnt:\n\n/tmp:\nx\n"), "{log}");
}
