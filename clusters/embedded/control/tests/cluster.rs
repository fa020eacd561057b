//! The controllers at work on the API server, with a task that plays the node's part.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;
use std::time::{Duration, Instant};

use embedded_api::{ApiServer, Config};
use embedded_control::Settings;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use pace::Pace;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Lab {
    client: Client,
    _stop: DropGuard,
}

impl Lab {
    async fn new() -> Lab {
        // With RUST_LOG one sees what the controllers complain of.
        let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
        let client = ApiServer::new(Config::default()).client();
        let stop = CancellationToken::new();
        let settings = Settings { pace: Pace::FAST, ca_pem: "the certificate".to_owned() };
        tokio::spawn(embedded_control::run(client.clone(), settings, stop.clone()));
        let lab = Lab { client, _stop: stop.clone().drop_guard() };
        let node = json!({ "metadata": { "name": "node-0", "labels": { "kubernetes.io/os": "linux" } } });
        let nodes: Api<Node> = Api::all(lab.client.clone());
        nodes.create(&PostParams::default(), &typed(node)).await.unwrap();
        let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        nodes.patch_status("node-0", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        let kubelet = Box::pin(kubelet(lab.client.clone()));
        tokio::spawn(async move { stop.run_until_cancelled(kubelet).await });
        lab
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + serde::Serialize + DeserializeOwned + Clone + Debug,
    {
        self.api::<K>().create(&PostParams::default(), &typed(object)).await.unwrap()
    }

    async fn events(&self) -> Vec<String> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        let one = |event: Event| format!("{} {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default());
        events.items.into_iter().map(one).collect()
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Marks placed pods as running and ready, and lets pods go that are asked to.
///
/// A pod whose image is `broken` never gets ready.
async fn kubelet(client: Client) {
    let events = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()).applied_objects();
    pin_mut!(events);
    let mut next = 2_u8;
    while let Some(Ok(pod)) = events.next().await {
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        let spec = pod.spec.as_ref().unwrap();
        if pod.metadata.deletion_timestamp.is_some() {
            let _ = api.delete(&pod.name_any(), &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }).await;
        } else if spec.node_name.is_some() && pod.status.as_ref().is_none_or(|status| status.pod_ip.is_none()) {
            let ready = if spec.containers[0].image.as_deref() == Some("broken") { "False" } else { "True" };
            let status = json!({ "status": {
                "phase": "Running",
                "podIP": format!("10.42.0.{next}"),
                "conditions": [
                    { "type": "PodScheduled", "status": "True" },
                    { "type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z" },
                ],
            } });
            next += 1;
            api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        }
    }
}

/// Waits until the objects of a kind are as wished; shows the last state when they never are.
async fn until<K>(api: &Api<K>, wished: impl Fn(&[K]) -> bool)  -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let events = watcher(api.clone(), watcher::Config::default());
    pin_mut!(events);
    let mut known: Vec<K> = Vec::new();
    let mut listed = false;
    let wait = async {
        while let Some(event) = events.next().await {
            match event.unwrap() {
                watcher::Event::Init => known.clear(),
                watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                    known.retain(|other| other.meta().uid != object.meta().uid);
                    known.push(object);
                }
                watcher::Event::InitDone => listed = true,
                watcher::Event::Delete(object) => known.retain(|other| other.meta().uid != object.meta().uid),
            }
            if listed && wished(&known) {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("never came about; last seen: {}", serde_json::to_string_pretty(&known.iter().map(|object| format!("{object:?}")).collect::<Vec<_>>()).unwrap());
    }
    known.sort_by_key(ResourceExt::name_any);
    known
}

fn template(labels: Value, image: &str) -> Value {
    json!({ "metadata": { "labels": labels }, "spec": { "containers": [{
        "name": "main", "image": image, "ports": [{ "name": "grpc", "containerPort": 9004 }],
    }] } })
}

fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": {
        "replicas": replicas,
        "selector": { "matchLabels": { "app": name } },
        "template": template(json!({ "app": name }), image),
    } })
}

fn condition<'a>(deployment: &'a Deployment, kind: &str) -> (&'a str, &'a str, &'a str) {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == kind).map_or(("", "", ""), |condition| {
        (&condition.status, condition.reason.as_deref().unwrap_or(""), condition.message.as_deref().unwrap_or(""))
    })
}

fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn a_deployment_comes_up_and_says_so() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 2, "good")).await;
    let known = until(&lab.api::<Deployment>(), |known| {
        known.iter().any(|one| condition(one, "Progressing").1 == "NewReplicaSetAvailable")
    }).await;
    let sets = until(&lab.api::<ReplicaSet>(), |sets| sets.len() == 1).await;
    let set = sets[0].name_any();
    let status = known[0].status.clone().unwrap();
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas, status.updated_replicas, status.unavailable_replicas),
        (Some(2), Some(2), Some(2), Some(2), None));
    assert_eq!(condition(&known[0], "Available"), ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."));
    assert_eq!(condition(&known[0], "Progressing"),
        ("True", "NewReplicaSetAvailable", format!("ReplicaSet \"{set}\" has successfully progressed.").as_str()));
    let hash = set.strip_prefix("web-").unwrap();
    let pods = until(&lab.api::<Pod>(), |pods| pods.len() == 2).await;
    assert!(pods.iter().all(|pod| pod.labels()["pod-template-hash"] == hash && pod.name_any().starts_with(&format!("{set}-"))));
    until(&lab.api::<Deployment>(), |known| known[0].annotations().get("deployment.kubernetes.io/revision").is_some_and(|one| one == "1")).await;
    until(&lab.api::<Event>(), |events| events.iter().any(|event| event.reason.as_deref() == Some("ScalingReplicaSet"))).await;
    let events = lab.events().await;
    assert!(events.contains(&format!("ScalingReplicaSet Scaled up replica set {set} from 0 to 2")), "{events:#?}");
    assert!(events.contains(&format!("SuccessfulCreate Created pod: {}", pods[0].name_any())), "{events:#?}");
    assert!(events.contains(&format!("Scheduled Successfully assigned default/{} to node-0", pods[0].name_any())), "{events:#?}");
}

#[tokio::test]
async fn a_broken_template_leaves_the_old_pods_alone() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 1, "good")).await;
    until(&lab.api::<Deployment>(), |known| known.iter().any(|one| condition(one, "Progressing").1 == "NewReplicaSetAvailable")).await;
    let broken = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "broken" }] } } } });
    lab.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Strategic(&broken)).await.unwrap();
    let known = until(&lab.api::<Deployment>(), |known| {
        known[0].status.as_ref().is_some_and(|status| status.replicas == Some(2) && status.updated_replicas == Some(1))
    }).await;
    assert_eq!(condition(&known[0], "Available").0, "True");
    until(&lab.api::<ReplicaSet>(), |sets| sets.len() == 2).await;
    // Back again: the first ReplicaSet becomes the newest.
    let good = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "good" }] } } } });
    lab.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Strategic(&good)).await.unwrap();
    until(&lab.api::<Pod>(), |pods| pods.len() == 1 && pods[0].spec.as_ref().unwrap().containers[0].image.as_deref() == Some("good")).await;
    until(&lab.api::<Deployment>(), |known| known[0].annotations().get("deployment.kubernetes.io/revision").is_some_and(|one| one == "3")).await;
}

#[tokio::test]
async fn a_stateful_set_brings_its_pods_up_in_order() {
    let lab = Lab::new().await;
    lab.create::<StatefulSet>(json!({ "metadata": { "name": "server" }, "spec": {
        "replicas": 2,
        "serviceName": "server",
        "selector": { "matchLabels": { "app": "server" } },
        "template": template(json!({ "app": "server" }), "good"),
        "volumeClaimTemplates": [{ "metadata": { "name": "models" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        } }],
    } })).await;
    let sets = until(&lab.api::<StatefulSet>(), |sets| {
        sets.iter().any(|set| set.status.as_ref().is_some_and(|status| {
            status.available_replicas == Some(2) && status.current_replicas == Some(2) && status.updated_replicas == Some(2)
        }))
    }).await;
    let status = sets[0].status.clone().unwrap();
    assert_eq!(status.current_revision, status.update_revision);
    let pods = until(&lab.api::<Pod>(), |pods| pods.len() == 2).await;
    assert_eq!(names(&pods), ["server-0", "server-1"]);
    let labels = pods[1].labels();
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "server-1");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "1");
    assert_eq!(Some(&labels["controller-revision-hash"]), status.update_revision.as_ref());
    let spec = pods[1].spec.clone().unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("server-1"), Some("server")));
    let claims = until(&lab.api::<PersistentVolumeClaim>(), |claims| {
        claims.len() == 2 && claims.iter().all(|claim| claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound")))
    }).await;
    assert_eq!(names(&claims), ["models-server-0", "models-server-1"]);
    let volumes: Api<PersistentVolume> = Api::all(lab.client.clone());
    assert_eq!(volumes.list(&ListParams::default()).await.unwrap().items.len(), 2);
    let told = "create Pod server-1 in StatefulSet server successful";
    until(&lab.api::<Event>(), |events| events.iter().any(|event| event.message.as_deref() == Some(told))).await;
    let events = lab.events().await;
    assert!(events.contains(&"SuccessfulCreate create Claim models-server-0 Pod server-0 in StatefulSet server success".to_owned()), "{events:#?}");

    // Scaled to nothing: the pods go, the claims stay.
    lab.api::<StatefulSet>().patch("server", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "replicas": 0 } }))).await.unwrap();
    until(&lab.api::<Pod>(), <[Pod]>::is_empty).await;
    assert_eq!(lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_new_template_replaces_the_pods_of_a_stateful_set() {
    let lab = Lab::new().await;
    lab.create::<StatefulSet>(json!({ "metadata": { "name": "server" }, "spec": {
        "replicas": 2, "podManagementPolicy": "Parallel", "serviceName": "server",
        "selector": { "matchLabels": { "app": "server" } },
        "template": template(json!({ "app": "server" }), "good"),
    } })).await;
    until(&lab.api::<StatefulSet>(), |sets| sets.iter().any(|set| set.status.as_ref().is_some_and(|status| status.available_replicas == Some(2)))).await;
    let better = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "better" }] } } } });
    lab.api::<StatefulSet>().patch("server", &PatchParams::default(), &Patch::Strategic(&better)).await.unwrap();
    let sets = until(&lab.api::<StatefulSet>(), |sets| sets[0].status.as_ref().is_some_and(|status| {
        status.observed_generation == Some(2) && status.updated_replicas == Some(2) && status.current_revision == status.update_revision
    })).await;
    assert_eq!(sets[0].status.as_ref().unwrap().ready_replicas, Some(2));
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    assert!(pods.iter().all(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("better")));
}

#[tokio::test]
async fn a_ready_pod_is_an_endpoint_at_once() {
    let lab = Lab::new().await;
    lab.create::<Service>(json!({ "metadata": { "name": "web", "labels": { "app": "web" } }, "spec": {
        "selector": { "app": "web" }, "ports": [{ "name": "grpc", "port": 80, "targetPort": "grpc" }],
    } })).await;
    let empty = until(&lab.api::<EndpointSlice>(), |slices| slices.iter().any(|slice| slice.name_any().starts_with("web-"))).await;
    let name = empty.iter().map(ResourceExt::name_any).find(|name| name.starts_with("web-")).unwrap();
    lab.create::<Pod>(json!({ "metadata": { "name": "web-a", "labels": { "app": "web" } }, "spec": template(json!({}), "good")["spec"] })).await;
    let ready = |slices: &[EndpointSlice]| {
        let mine = slices.iter().find(|slice| slice.name_any() == name);
        mine.is_some_and(|slice| slice.endpoints.iter().any(|one| one.conditions.as_ref().unwrap().ready == Some(true)))
    };
    let slices = until(&lab.api::<EndpointSlice>(), ready).await;
    let slice = slices.iter().find(|slice| slice.name_any() == name).unwrap();
    assert_eq!(slice.labels()["kubernetes.io/service-name"], "web");
    assert_eq!(slice.labels()["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    let ports = slice.ports.clone().unwrap();
    assert_eq!((ports[0].name.as_deref(), ports[0].port), (Some("grpc"), Some(9004)));
    assert_eq!(slice.endpoints[0].target_ref.as_ref().unwrap().name.as_deref(), Some("web-a"));
    until(&lab.api::<Endpoints>(), |all| all.iter().any(|one| {
        one.name_any() == "web" && one.subsets.iter().flatten().any(|subset| subset.addresses.is_some())
    })).await;

    // From the pod's status to the slice, over and over.
    let mut times = Vec::new();
    for status in ["False", "True", "False", "True", "False"] {
        let start = Instant::now();
        let patch = json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
        lab.api::<Pod>().patch_status("web-a", &PatchParams::default(), &Patch::Strategic(&patch)).await.unwrap();
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
async fn what_a_deployment_owned_goes_after_it() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 2, "good")).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 2).await;
    lab.api::<Deployment>().delete("web", &DeleteParams::background()).await.unwrap();
    until(&lab.api::<Pod>(), <[Pod]>::is_empty).await;
    until(&lab.api::<ReplicaSet>(), <[ReplicaSet]>::is_empty).await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 1, "good")).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 1).await;
    lab.api::<Deployment>().delete("web", &DeleteParams::foreground()).await.unwrap();
    until(&lab.api::<Deployment>(), <[Deployment]>::is_empty).await;
    assert!(lab.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(lab.api::<Pod>().list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn orphans_stay() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 1, "good")).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 1).await;
    lab.api::<Deployment>().delete("web", &DeleteParams::orphan()).await.unwrap();
    until(&lab.api::<Deployment>(), <[Deployment]>::is_empty).await;
    let sets = until(&lab.api::<ReplicaSet>(), |sets| sets.len() == 1).await;
    assert!(sets[0].owner_references().is_empty());
}

#[tokio::test]
async fn an_owner_of_a_custom_kind_takes_its_dependents_along() {
    let lab = Lab::new().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "gadgets.example.org" },
        "spec": { "group": "example.org", "scope": "Namespaced",
            "names": { "plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] },
    });
    let definitions: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(lab.client.clone());
    definitions.create(&PostParams::default(), &typed(definition)).await.unwrap();
    let kind = kube::core::GroupVersionKind::gvk("example.org", "v1", "Gadget");
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let gadgets: Api<kube::core::DynamicObject> = Api::namespaced_with(lab.client.clone(), "default", &resource);
    let gadget = kube::core::DynamicObject::new("one", &resource).data(json!({}));
    let made = gadgets.create(&PostParams::default(), &gadget).await.unwrap();
    lab.create::<ConfigMap>(json!({ "metadata": { "name": "owned", "ownerReferences": [{
        "apiVersion": "example.org/v1", "kind": "Gadget", "name": "one", "uid": made.uid().unwrap(),
    }] } })).await;
    lab.create::<ConfigMap>(json!({ "metadata": { "name": "owned-by-nobody", "ownerReferences": [{
        "apiVersion": "example.org/v1", "kind": "Gadget", "name": "one", "uid": "00000000-0000-0000-0000-000000000000",
    }] } })).await;
    until(&lab.api::<ConfigMap>(), |maps| !names(maps).contains(&"owned-by-nobody".to_owned())).await;
    assert!(lab.api::<ConfigMap>().get_opt("owned").await.unwrap().is_some());
    gadgets.delete("one", &DeleteParams::default()).await.unwrap();
    until(&lab.api::<ConfigMap>(), |maps| !names(maps).contains(&"owned".to_owned())).await;
}

#[tokio::test]
async fn a_namespace_is_furnished_and_goes_with_all_it_holds() {
    let lab = Lab::new().await;
    let namespaces: Api<Namespace> = Api::all(lab.client.clone());
    namespaces.create(&PostParams::default(), &typed(json!({ "metadata": { "name": "tenant" } }))).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(lab.client.clone(), "tenant");
    until(&accounts, |accounts| names(accounts) == ["default"]).await;
    let maps: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "tenant");
    let known = until(&maps, |maps| names(maps) == ["kube-root-ca.crt"]).await;
    assert_eq!(known[0].data.as_ref().unwrap()["ca.crt"], "the certificate");
    let deployments: Api<Deployment> = Api::namespaced(lab.client.clone(), "tenant");
    deployments.create(&PostParams::default(), &typed(deployment("web", 1, "good"))).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(lab.client.clone(), "tenant");
    until(&pods, |pods| pods.len() == 1).await;
    namespaces.delete("tenant", &DeleteParams::default()).await.unwrap();
    until(&namespaces, |known| !names(known).contains(&"tenant".to_owned())).await;
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_pod_that_no_node_takes_says_why() {
    let lab = Lab::new().await;
    let mut spec = template(json!({}), "good")["spec"].clone();
    spec["nodeSelector"] = json!({ "gpu": "yes" });
    lab.create::<Pod>(json!({ "metadata": { "name": "picky" }, "spec": spec })).await;
    let refused = |pods: &[Pod]| pods.iter().any(|pod| {
        let status = pod.status.as_ref();
        status.is_some_and(|status| status.conditions.iter().flatten().any(|one| one.reason.as_deref() == Some("Unschedulable")))
    });
    until(&lab.api::<Pod>(), refused).await;
    until(&lab.api::<Event>(), |events| events.iter().any(|event| event.reason.as_deref() == Some("FailedScheduling"))).await;
    // A node that fits comes: the pod goes there without being touched.
    let nodes: Api<Node> = Api::all(lab.client.clone());
    let labels = json!({ "metadata": { "labels": { "gpu": "yes" } } });
    nodes.patch("node-0", &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
    until(&lab.api::<Pod>(), |pods| pods[0].spec.as_ref().unwrap().node_name.as_deref() == Some("node-0")).await;
}
