//! Conditions that are waited for through the API, never by what a program says.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use futures::future::BoxFuture;
use image::full_reference;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};
use serde_json::Value;

use super::carry_out::client_of;

/// How often it is looked.
const GLANCE: Duration = Duration::from_millis(250);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(10);

/// Something to be seen through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The API server says that it is ready.
    ApiReady,
    /// That many nodes are there, each Ready.
    NodesReady(usize),
    /// Some node has each of these images.
    NodesHaveImages(Vec<String>),
    /// Pods of a namespace with these labels: there, and each Ready.
    PodsReady {
        /// Namespace.
        namespace: String,
        /// Label selector.
        labels: String,
    },
    /// Pods of a namespace with these labels: there, and none Ready.
    PodsNotReady {
        /// Namespace.
        namespace: String,
        /// Label selector.
        labels: String,
    },
    /// A condition of an object is true.
    Holds {
        /// The object.
        object: Box<Value>,
        /// The condition's type, such as `Available`.
        condition: &'static str,
    },
    /// An object is gone.
    Gone(Box<Value>),
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::ApiReady => formatter.write_str("the API server answers /readyz"),
            Condition::NodesReady(1) => formatter.write_str("the node is Ready"),
            Condition::NodesReady(count) => write!(formatter, "{count} nodes are Ready"),
            Condition::NodesHaveImages(images) => write!(formatter, "a node lists {}", images.join(", ")),
            Condition::PodsReady { namespace, labels } => {
                write!(formatter, "pods {labels} of namespace {namespace} are Ready")
            }
            Condition::PodsNotReady { namespace, labels } => {
                write!(formatter, "no pod {labels} of namespace {namespace} is Ready any more")
            }
            Condition::Holds { object, condition } => write!(formatter, "{} is {condition}", named(object)),
            Condition::Gone(object) => write!(formatter, "{} is gone", named(object)),
        }
    }
}

fn named(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => {
            format!("{} {namespace}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
        }
        None => format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"])),
    }
}

impl Condition {
    /// Returns when it is seen.
    ///
    /// # Errors
    /// What was seen last, when `limit` is over.
    pub(super) async fn wait(&self, kubeconfig: &Path, limit: Duration) -> Result<(), String> {
        let mut last = "nothing".to_owned();
        let mut ticks = tokio::time::interval(GLANCE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let looking = async {
            loop {
                ticks.tick().await;
                match tokio::time::timeout(LOOK, self.look(kubeconfig)).await {
                    Ok(Ok(None)) => return,
                    Ok(Ok(Some(seen))) => last = seen,
                    Ok(Err(error)) => last = format!("{error:#}"),
                    Err(_) => last = format!("no answer within {} s", LOOK.as_secs()),
                }
            }
        };
        if tokio::time::timeout(limit, looking).await.is_ok() {
            return Ok(());
        }
        Err(last)
    }

    /// What is seen instead of what is waited for; `None` when it is there.
    fn look<'a>(&'a self, kubeconfig: &'a Path) -> BoxFuture<'a, anyhow::Result<Option<String>>> {
        Box::pin(async move {
            let client = client_of(kubeconfig).await?;
            match self {
                Condition::ApiReady => {
                    let request = http_get("/readyz")?;
                    let said = client.request_text(request).await?;
                    Ok((said.trim() != "ok").then_some(said))
                }
                Condition::NodesReady(count) => nodes(client, *count).await,
                Condition::NodesHaveImages(images) => missing_images(client, images).await,
                Condition::PodsReady { namespace, labels } => {
                    let pods = pods(client, namespace, labels).await?;
                    let all = !pods.is_empty() && pods.iter().all(|(_, ready)| *ready);
                    Ok((!all).then(|| listed(&pods)))
                }
                Condition::PodsNotReady { namespace, labels } => {
                    let pods = pods(client, namespace, labels).await?;
                    let none = !pods.is_empty() && pods.iter().all(|(_, ready)| !*ready);
                    Ok((!none).then(|| listed(&pods)))
                }
                Condition::Holds { object, condition } => holds(&client, object, condition).await,
                Condition::Gone(object) => {
                    Ok(found(&client, object).await?.map(|_| format!("{} is still there", named(object))))
                }
            }
        })
    }
}

fn http_get(path: &str) -> anyhow::Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

async fn nodes(client: Client, count: usize) -> anyhow::Result<Option<String>> {
    let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?;
    let ready = |node: &Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let fine = nodes.items.iter().filter(|node| ready(node)).count();
    let all = nodes.items.len() == count && fine == count;
    Ok((!all).then(|| format!("{fine} of {} nodes are Ready, {count} are wanted", nodes.items.len())))
}

async fn missing_images(client: Client, images: &[String]) -> anyhow::Result<Option<String>> {
    let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?;
    let images_of = |node: &Node| {
        node.status.iter().flat_map(|status| status.images.clone()).flatten().collect::<Vec<_>>()
    };
    let names: Vec<String> =
        nodes.items.iter().flat_map(images_of).filter_map(|image| image.names).flatten().collect();
    let missing: Vec<&str> =
        images.iter().filter(|image| !names.contains(&full_reference(image))).map(String::as_str).collect();
    Ok((!missing.is_empty()).then(|| format!("{} is not there", missing.join(", "))))
}

async fn pods(client: Client, namespace: &str, labels: &str) -> anyhow::Result<Vec<(String, bool)>> {
    let pods = Api::<Pod>::namespaced(client, namespace).list(&ListParams::default().labels(labels)).await?;
    let ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    Ok(pods.items.iter().map(|pod| (pod.metadata.name.clone().unwrap_or_default(), ready(pod))).collect())
}

fn listed(pods: &[(String, bool)]) -> String {
    let word = |ready: bool| if ready { "Ready" } else { "not Ready" };
    let each: Vec<String> = pods.iter().map(|(name, ready)| format!("{name} {}", word(*ready))).collect();
    if each.is_empty() { "no such pod".into() } else { each.join(", ") }
}

async fn found(client: &Client, object: &Value) -> anyhow::Result<Option<DynamicObject>> {
    let place = super::carry_out::place(client, object).await?;
    Ok(place.get_opt(object["metadata"]["name"].as_str().unwrap_or_default()).await?)
}

async fn holds(client: &Client, object: &Value, condition: &str) -> anyhow::Result<Option<String>> {
    let Some(found) = found(client, object).await? else { return Ok(Some("it is not there".into())) };
    let conditions = found.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if conditions.iter().any(|one| one["type"] == condition && one["status"] == "True") {
        return Ok(None);
    }
    let says = |one: &Value| format!("{}={} {}", one["type"], one["status"], one["message"]);
    let said: Vec<String> = conditions.iter().map(says).collect();
    Ok(Some(if said.is_empty() { "no condition yet".into() } else { said.join("; ") }))
}
