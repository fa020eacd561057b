//! A server, the controllers, and a task that plays the node's part.

use std::fmt::Debug;
use std::time::Duration;

use embedded_api::{ApiServer, Config};
use embedded_control::Settings;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use pace::Pace;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Lab {
    pub(crate) client: Client,
    _stop: DropGuard,
}

impl Lab {
    pub(crate) async fn new() -> Lab {
        // With RUST_LOG one sees what the controllers complain of.
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .try_init();
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

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + serde::Serialize
            + DeserializeOwned
            + Clone
            + Debug,
    {
        self.api::<K>().create(&PostParams::default(), &typed(object)).await.unwrap()
    }

    pub(crate) async fn events(&self) -> Vec<String> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        let one = |event: Event| {
            format!("{} {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default())
        };
        events.items.into_iter().map(one).collect()
    }
}

pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Marks placed pods as running and ready, and lets pods go that are asked to.
///
/// A pod whose image is `broken` never gets ready.
pub(crate) async fn kubelet(client: Client) {
    let events = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()).applied_objects();
    pin_mut!(events);
    let mut next = 2_u8;
    while let Some(Ok(pod)) = events.next().await {
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        let spec = pod.spec.as_ref().unwrap();
        if pod.metadata.deletion_timestamp.is_some() {
            let _ = api
                .delete(
                    &pod.name_any(),
                    &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() },
                )
                .await;
        } else if spec.node_name.is_some() && pod.status.as_ref().is_none_or(|status| status.pod_ip.is_none())
        {
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
pub(crate) async fn until<K>(api: &Api<K>, wished: impl Fn(&[K]) -> bool) -> Vec<K>
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
        panic!(
            "never came about; last seen: {}",
            serde_json::to_string_pretty(
                &known.iter().map(|object| format!("{object:?}")).collect::<Vec<_>>()
            )
            .unwrap()
        );
    }
    known.sort_by_key(ResourceExt::name_any);
    known
}

pub(crate) fn template(labels: Value, image: &str) -> Value {
    json!({ "metadata": { "labels": labels }, "spec": { "containers": [{
        "name": "main", "image": image, "ports": [{ "name": "grpc", "containerPort": 9004 }],
    }] } })
}

pub(crate) fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": {
        "replicas": replicas,
        "selector": { "matchLabels": { "app": name } },
        "template": template(json!({ "app": name }), image),
    } })
}

pub(crate) fn condition<'a>(deployment: &'a Deployment, kind: &str) -> (&'a str, &'a str, &'a str) {
    let conditions =
        deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == kind).map_or(("", "", ""), |condition| {
        (
            &condition.status,
            condition.reason.as_deref().unwrap_or(""),
            condition.message.as_deref().unwrap_or(""),
        )
    })
}

pub(crate) fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}
