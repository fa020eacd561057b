//! Calico by the Tigera operator, with an Installation of our own, and the proof that it denies.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::images_lock::{ImagesLock, LockedImage, PartLock};
use crate::plan::{Action, Condition, Plan};
use crate::real::{Home, RealRequest};

/// Namespace of the probe.
const PROBE: &str = "seldon-conformance-probe";

/// The network plugin. The pool is k3s's own, never the operator's default, which may be somebody's home network.
fn installation() -> Value {
    json!({
        "apiVersion": "operator.tigera.io/v1", "kind": "Installation",
        "metadata": {"name": "default"},
        "spec": {"calicoNetwork": {
            // Without it pods that forward, such as k3s's own load balancers, do not.
            "containerIPForwarding": "Enabled",
            "ipPools": [{
                "name": "default-ipv4-ippool",
                "cidr": "10.42.0.0/16",
                "blockSize": 26,
                "encapsulation": "VXLANCrossSubnet",
                "natOutgoing": "Enabled",
                "nodeSelector": "all()",
            }],
        }},
    })
}

/// The files of a part: fetched, or already in the mirror.
pub(crate) fn manifests(
    plan: &mut Plan,
    part: &PartLock,
    request: &RealRequest,
    home: &Home,
) -> Vec<PathBuf> {
    let files = part.manifests.iter().map(|manifest| match &request.mirror {
        Some(mirror) => crate::mirror::manifest(mirror, &manifest.name),
        None => manifest.fetch(plan, home.directory()),
    });
    files.collect()
}

/// Installs it and waits until the operator is content.
pub(crate) fn install(plan: &mut Plan, lock: &ImagesLock, request: &RealRequest, home: &Home) {
    for file in manifests(plan, &lock.calico, request, home) {
        let name = file.file_name().unwrap_or_default().display().to_string();
        plan.push(format!("apply Calico's {name}"), Action::ApplyFile(file));
    }
    plan.apply("apply the network's Installation", vec![installation()]);
    let status = json!({"apiVersion": "operator.tigera.io/v1", "kind": "TigeraStatus", "metadata": {"name": "calico"}});
    plan.wait(
        "have Calico Available",
        Condition::Holds { object: Box::new(status), condition: "Available" },
        request.limit,
    );
}

/// A server, and a client that is Ready exactly as long as it reaches the server.
fn scene(image: &LockedImage) -> Vec<Value> {
    let container = |name: &str, command: Value| json!({"name": name, "image": image.to_string(), "imagePullPolicy": "IfNotPresent", "command": command});
    let mut client = container("client", json!(["sleep", "86400"]));
    client["readinessProbe"] = json!({
        "exec": {"command": ["nc", "-z", "-w", "2", "server", "8080"]},
        "periodSeconds": 1, "timeoutSeconds": 4, "failureThreshold": 2,
    });
    let server = container("server", json!(["httpd", "-f", "-p", "8080"]));
    let pod = |name: &str, container: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": PROBE, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        })
    };
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBE}}),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "server", "namespace": PROBE},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 8080}]},
        }),
        pod("server", server),
        pod("client", client),
    ]
}

fn deny() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": PROBE},
        "spec": {"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress"]},
    })
}

/// Waits until a policy is seen to deny what was seen to work before.
pub(crate) fn see_it_bite(plan: &mut Plan, image: &LockedImage, limit: Duration) {
    let client = || ("seldon-conformance-probe".to_owned(), "app=client".to_owned());
    plan.apply("apply a server and a client", scene(image));
    let (namespace, labels) = client();
    plan.wait("see the client reach the server", Condition::PodsReady { namespace, labels }, limit);
    plan.apply("apply a policy that denies it", vec![deny()]);
    let (namespace, labels) = client();
    plan.wait("see the policy bite", Condition::PodsNotReady { namespace, labels }, limit);
    let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBE}});
    plan.push("delete server and client", Action::Delete(home.clone()));
    plan.wait("see them gone", Condition::Gone(Box::new(home)), limit);
}
