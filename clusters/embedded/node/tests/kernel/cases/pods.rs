//! Pods as wholes.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::Api;
use kube::api::{Patch, PatchParams};
use netmodel::Profile;
use serde_json::json;

use crate::world::{World, container, create};

pub(crate) async fn a_pod_runs_and_its_status_says_so() {
    let world = World::start(Profile::Flannel).await;
    world.shell("a", "echo hello; exec sleep 600").await;
    let pod = world.ready("a").await;
    let status = &pod["status"];
    assert_eq!((status["phase"].as_str(), status["podIP"].as_str()), (Some("Running"), Some("10.42.0.2")));
    let main = &status["containerStatuses"][0];
    assert_eq!(
        (&main["ready"], &main["started"], &main["restartCount"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert_eq!(main["image"], "docker.io/library/busybox:1.36");
    world.log_with("a", "hello\n").await;
    world.event("a", "Started").await;
    let expected = [
        "Normal Pulled Container image \"busybox:1.36\" already present on machine",
        "Normal Created Created container: main",
        "Normal Started Started container main",
    ];
    assert_eq!(world.events("a").await, expected);
    let seen = world.exec("a", "hostname; cat /etc/resolv.conf /etc/image-file; cat /run/secrets/kubernetes.io/serviceaccount/namespace /var/run/secrets/kubernetes.io/serviceaccount/ca.crt 2>&1").await;
    let expected = "a\nsearch default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\noptions ndots:5\nfrom the image\ndefaultCA";
    assert_eq!(seen, expected);
    world.delete("a").await;
    world.gone("a").await;
}

pub(crate) async fn init_containers_run_one_after_the_other() {
    let world = World::start(Profile::Flannel).await;
    let mount = json!([{"name": "v", "mountPath": "/v"}]);
    let with = |name: &str, script: &str| {
        let mut it = container(name, script);
        it["volumeMounts"] = mount.clone();
        it
    };
    world
        .create(
            "a",
            json!({
                "volumes": [{"name": "v", "emptyDir": {}}],
                "initContainers": [with("one", "echo 1 >> /v/order"), with("two", "echo 2 >> /v/order")],
                "containers": [with("main", "echo 3 >> /v/order; cat /v/order; exec sleep 600")],
            }),
        )
        .await;
    let pod = world.ready("a").await;
    world.log_with("a", "1\n2\n3\n").await;
    let init = &pod["status"]["initContainerStatuses"];
    assert_eq!(
        (&init[0]["state"]["terminated"]["reason"], &init[1]["ready"]),
        (&json!("Completed"), &json!(true))
    );
}

pub(crate) async fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let world = World::start(Profile::Flannel).await;
    world
        .create(
            "a",
            json!({
                "restartPolicy": "Never",
                "initContainers": [container("one", "exit 4")],
                "containers": [container("main", "true")],
            }),
        )
        .await;
    let pod = world.ended("a").await;
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 4);
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
}

pub(crate) async fn a_job_succeeds_or_fails_by_its_exit_code() {
    let world = World::start(Profile::Flannel).await;
    let job = |script: &str| json!({"restartPolicy": "Never", "containers": [container("main", script)]});
    world.create("good", job("echo done")).await;
    world.create("bad", job("echo why > /dev/termination-log; exit 3")).await;
    let good = world.ended("good").await;
    let bad = world.ended("bad").await;
    assert_eq!(good["status"]["phase"], "Succeeded");
    assert_eq!(good["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    let ended = &bad["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(bad["status"]["phase"], "Failed");
    assert_eq!(
        (&ended["exitCode"], &ended["reason"], &ended["message"]),
        (&json!(3), &json!("Error"), &json!("why\n"))
    );
}

pub(crate) async fn a_pod_waits_for_its_volume_and_sees_it_change() {
    let world = World::start(Profile::Flannel).await;
    let mut main = container(
        "main",
        "cat /etc/config/key; while [ \"$(cat /etc/config/key)\" = one ]; do sleep 0.02; done; echo changed; exec sleep 600",
    );
    main["volumeMounts"] = json!([{"name": "c", "mountPath": "/etc/config"}]);
    world
        .create("a", json!({"volumes": [{"name": "c", "configMap": {"name": "cm"}}], "containers": [main]}))
        .await;
    let line = world.event("a", "FailedMount").await;
    assert_eq!(
        line,
        "Warning FailedMount MountVolume.SetUp failed for volume \"c\" : configmap \"cm\" not found"
    );
    create(
        &world.client,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"key": "one"}}),
    )
    .await;
    world.ready("a").await;
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), "default");
    maps.patch("cm", &PatchParams::default(), &Patch::Merge(json!({"data": {"key": "two"}}))).await.unwrap();
    world.log_with("a", "changed").await;
}

pub(crate) async fn the_node_is_ready_and_holds_its_lease() {
    let world = World::start(Profile::Flannel).await;
    let nodes: Api<Node> = Api::all(world.client.clone());
    let ready = |it: Option<&Node>| {
        it.and_then(|it| it.status.as_ref()?.conditions.as_ref())
            .is_some_and(|it| it.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
    };
    kube::runtime::wait::await_condition(nodes.clone(), "node-0", ready).await.unwrap();
    let info = nodes.get("node-0").await.unwrap().status.unwrap().node_info.unwrap();
    assert_eq!(info.kubelet_version, "v1.33.1+k3s1");
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), "kube-node-lease");
    let held =
        |it: Option<&Lease>| it.is_some_and(|it| it.spec.as_ref().is_some_and(|it| it.renew_time.is_some()));
    kube::runtime::wait::await_condition(leases, "node-0", held).await.unwrap();
}

pub(crate) async fn sigterm_is_heard_by_those_who_listen() {
    let world = World::start(Profile::Flannel).await;
    let mut polite =
        container("main", "trap 'cat /hook; exit 0' TERM; echo up; while :; do sleep 0.01; done");
    polite["lifecycle"] = json!({"preStop": {"exec": {"command": ["/bin/sh", "-c", "echo hooked > /hook"]}}});
    world.create("polite", json!({"containers": [polite]})).await;
    world.shell("deaf", "echo up; while :; do sleep 0.01; done").await;
    for (name, phase, code) in [("polite", "Succeeded", 0), ("deaf", "Failed", 137)] {
        world.log_with(name, "up").await;
        let (pod, ()) = tokio::join!(world.ended(name), world.delete(name));
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!((&pod["status"]["phase"], &ended["exitCode"]), (&json!(phase), &json!(code)), "{name}");
        world.gone(name).await;
        world.event(name, "Normal Killing Stopping container main").await;
    }
}

pub(crate) async fn a_pod_of_the_host_network_has_the_nodes_address() {
    let world = World::start(Profile::Flannel).await;
    world
        .create("a", json!({"hostNetwork": true, "containers": [container("main", "exec sleep 600")]}))
        .await;
    let pod = world.ready("a").await;
    assert_eq!(pod["status"]["podIP"], "192.168.50.10");
    let seen = world
        .exec("a", "ls /sys/class/net > /dev/null; cat /proc/net/route | cut -f1; cat /etc/resolv.conf")
        .await;
    assert!(seen.contains("cni0") && seen.ends_with("nameserver 192.168.50.10\n"), "{seen}");
}

pub(crate) async fn stopping_the_node_ends_every_process() {
    let world = World::start(Profile::Calico).await;
    world.shell("a", "sleep 600 & exec sleep 600").await;
    world.ready("a").await;
    let processes = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries.filter(|it| it.file_name().to_string_lossy().bytes().all(|it| it.is_ascii_digit())).count()
    };
    assert!(processes() >= 4, "this process, a keeper and two of the pod's");
    world.node.stop().await;
    assert_eq!(processes(), 1);
}
