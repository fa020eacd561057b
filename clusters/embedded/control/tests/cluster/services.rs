//! Endpoints, and pods that wait for a node.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Endpoints, Event, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::lab::{Lab, template, until};

#[tokio::test]
async fn a_ready_pod_is_an_endpoint_at_once() {
    let lab = Lab::new().await;
    lab.create::<Service>(json!({ "metadata": { "name": "web", "labels": { "app": "web" } }, "spec": {
        "selector": { "app": "web" }, "ports": [{ "name": "grpc", "port": 80, "targetPort": "grpc" }],
    } }))
    .await;
    let empty = until(&lab.api::<EndpointSlice>(), |slices| {
        slices.iter().any(|slice| slice.name_any().starts_with("web-"))
    })
    .await;
    let name = empty.iter().map(ResourceExt::name_any).find(|name| name.starts_with("web-")).unwrap();
    lab.create::<Pod>(json!({ "metadata": { "name": "web-a", "labels": { "app": "web" } }, "spec": template(json!({}), "good")["spec"] })).await;
    let ready = |slices: &[EndpointSlice]| {
        let mine = slices.iter().find(|slice| slice.name_any() == name);
        mine.is_some_and(|slice| {
            slice.endpoints.iter().any(|one| one.conditions.as_ref().unwrap().ready == Some(true))
        })
    };
    let slices = until(&lab.api::<EndpointSlice>(), ready).await;
    let slice = slices.iter().find(|slice| slice.name_any() == name).unwrap();
    assert_eq!(slice.labels()["kubernetes.io/service-name"], "web");
    assert_eq!(slice.labels()["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    let ports = slice.ports.clone().unwrap();
    assert_eq!((ports[0].name.as_deref(), ports[0].port), (Some("grpc"), Some(9004)));
    assert_eq!(slice.endpoints[0].target_ref.as_ref().unwrap().name.as_deref(), Some("web-a"));
    until(&lab.api::<Endpoints>(), |all| {
        all.iter().any(|one| {
            one.name_any() == "web" && one.subsets.iter().flatten().any(|subset| subset.addresses.is_some())
        })
    })
    .await;

    // From the pod's status to the slice, over and over.
    let mut times = Vec::new();
    for status in ["False", "True", "False", "True", "False"] {
        let start = Instant::now();
        let patch = json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
        lab.api::<Pod>()
            .patch_status("web-a", &PatchParams::default(), &Patch::Strategic(&patch))
            .await
            .unwrap();
        until(&lab.api::<EndpointSlice>(), |slices| ready(slices) == (status == "True")).await;
        times.push(start.elapsed());
    }
    times.sort();
    println!("from a pod's status to its endpoint: {times:?}");
    assert!(times[2] < Duration::from_millis(200), "{times:?}");

    // The Service goes, and what it owned goes after it.
    lab.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    until(&lab.api::<EndpointSlice>(), |slices| !slices.iter().any(|slice| slice.name_any() == name)).await;
    until(&lab.api::<Endpoints>(), |all| !all.iter().any(|one| one.name_any() == "web")).await;
}

#[tokio::test]
async fn a_pod_that_no_node_takes_says_why() {
    let lab = Lab::new().await;
    let mut spec = template(json!({}), "good")["spec"].clone();
    spec["nodeSelector"] = json!({ "gpu": "yes" });
    lab.create::<Pod>(json!({ "metadata": { "name": "picky" }, "spec": spec })).await;
    let refused = |pods: &[Pod]| {
        pods.iter().any(|pod| {
            let status = pod.status.as_ref();
            status.is_some_and(|status| {
                status.conditions.iter().flatten().any(|one| one.reason.as_deref() == Some("Unschedulable"))
            })
        })
    };
    until(&lab.api::<Pod>(), refused).await;
    until(&lab.api::<Event>(), |events| {
        events.iter().any(|event| event.reason.as_deref() == Some("FailedScheduling"))
    })
    .await;
    // A node that fits comes: the pod goes there without being touched.
    let nodes: Api<Node> = Api::all(lab.client.clone());
    let labels = json!({ "metadata": { "labels": { "gpu": "yes" } } });
    nodes.patch("node-0", &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
    until(&lab.api::<Pod>(), |pods| pods[0].spec.as_ref().unwrap().node_name.as_deref() == Some("node-0"))
        .await;
}
