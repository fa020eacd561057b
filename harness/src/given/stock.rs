//! Which of our images a given cluster's nodes have: nobody else has them, and nothing pulls them.

use std::collections::BTreeMap;

use clusters::Plan;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Finding, Foothold, HOME};
use crate::images::{PROBES, needed};
use crate::mesh::OwnImages;
use crate::obstacles::IMPORT;
use crate::patience::given::{IMAGES, look_again};
use crate::seldon::SeldonSource;

/// A kubelet names no more images than so many, the largest, unless it is told otherwise.
const NAMED: usize = 50;

/// What a node that takes pods says of the images that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shelf {
    node: String,
    has: Vec<&'static str>,
    lacks: Vec<&'static str>,
    /// Whether it names all that it has, as far as can be told.
    whole: bool,
}

/// Where an image may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Doubt {
    /// The node; any when absent.
    node: Option<String>,
    images: Vec<&'static str>,
}

/// What the nodes say, for whoever asks before a run. Changes nothing.
pub(super) async fn findings(client: &Client, seldon: &SeldonSource) -> Vec<Finding> {
    match shelves(client, seldon).await {
        Ok(shelves) => shelves.iter().flat_map(Shelf::findings).collect(),
        Err(error) => vec![Finding::Unsure(format!(
            "which images the nodes have: they may not be listed ({error}); a run finds out with a pod"
        ))],
    }
}

impl Shelf {
    fn findings(&self) -> Vec<Finding> {
        let Shelf { node, has, lacks, whole } = self;
        let mut findings = Vec::new();
        if !has.is_empty() {
            findings.push(Finding::Has(format!("node {node}: images {}", has.join(", "))));
        }
        match (lacks.as_slice(), whole) {
            ([], _) => {}
            (_, true) => findings.push(Finding::Lacks(format!(
                "node {node} has no image {}; {IMPORT}",
                lacks.join(", ")
            ))),
            (_, false) => findings.push(Finding::Unsure(format!(
                "whether node {node}, which names its {NAMED} largest images only, has {}; a run finds out with a pod, \
                 and skips its cases where they are missing; {IMPORT}",
                lacks.join(", ")
            ))),
        }
        findings
    }
}

async fn shelves(client: &Client, seldon: &SeldonSource) -> kube::Result<Vec<Shelf>> {
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await?;
    Ok(nodes.iter().filter(|node| takes_pods(node)).map(|node| shelf(node, needed(seldon))).collect())
}

fn takes_pods(node: &Node) -> bool {
    let spec = node.spec.clone().unwrap_or_default();
    let closed = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
    spec.unschedulable != Some(true)
        && !spec.taints.iter().flatten().any(|taint| closed(taint.effect.as_str()))
}

fn shelf(node: &Node, needed: &[&'static str]) -> Shelf {
    let images: Vec<_> = node.status.iter().flat_map(|status| status.images.iter().flatten()).collect();
    let names = images.iter().flat_map(|image| image.names.iter().flatten());
    let names: Vec<String> = names.map(|name| clusters::full_reference(name)).collect();
    let (has, lacks): (Vec<&str>, Vec<&str>) =
        needed.iter().partition(|image| names.contains(&clusters::full_reference(image)));
    Shelf { node: node.name_any(), has, lacks, whole: images.len() < NAMED }
}

/// What has to be looked for with pods.
fn doubts(shelves: kube::Result<Vec<Shelf>>, seldon: &SeldonSource) -> Vec<Doubt> {
    match shelves {
        Ok(shelves) => {
            let lacking = shelves.into_iter().filter(|shelf| !shelf.lacks.is_empty());
            lacking.map(|shelf| Doubt { node: Some(shelf.node), images: shelf.lacks }).collect()
        }
        Err(_) => vec![Doubt { node: None, images: needed(seldon).to_vec() }],
    }
}

impl Foothold {
    /// Finds out whether every node that takes pods has the images of a mesh of `seldon`. What nodes do not name is
    /// looked for with pods that pull nothing, in a namespace of this run's. Where an image is missing, no case can run.
    /// Where nodes pull our images, what they cannot get is said when a mesh does not come.
    pub async fn look_for_images(&self, seldon: &SeldonSource, stop: &CancellationToken) {
        if self.images != OwnImages::Imported {
            return;
        }
        let Ok(client) = self.cluster.client() else { return };
        let doubts = doubts(shelves(&client, seldon).await, seldon);
        if doubts.is_empty() {
            return;
        }
        let missing = tokio::select! {
            missing = self.try_in_pods(&client, &doubts) => missing,
            () = stop.cancelled() => Ok(BTreeMap::new()),
        };
        // One that is spoiled now says so itself when a case is asked of it; and what keeps these pods from being made
        // keeps a case's from it, too, and is said there.
        let _ = self.end_case(&client).await;
        if let Ok(missing) = missing
            && !missing.is_empty()
        {
            let _ = self.lack.set(sentence(&missing));
        }
    }

    /// Why no pod of ours can start here, as [`Foothold::look_for_images`] has found out.
    pub(crate) fn lack_of_images(&self) -> Option<&str> {
        self.lack.get().map(String::as_str)
    }

    /// Which images are missing on which node.
    async fn try_in_pods(
        &self,
        client: &Client,
        doubts: &[Doubt],
    ) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        for object in objects(&self.run, doubts) {
            self.apply(client, &object).await?;
        }
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace(&self.run));
        let until = Instant::now() + IMAGES;
        let found = loop {
            let found = pods.list(&ListParams::default()).await?.items;
            let settled = !found.is_empty() && found.iter().all(|pod| judged(pod).is_some());
            // Where a pod cannot even be tried, the cases will say why.
            if settled || Instant::now() >= until {
                break found;
            }
            look_again().await;
        };
        let missing = found.iter().filter_map(|pod| {
            let images = judged(pod)?;
            let node = pod.spec.as_ref()?.node_name.clone()?;
            (!images.is_empty()).then_some((node, images))
        });
        Ok(missing.collect())
    }
}

fn namespace(run: &str) -> String {
    format!("{HOME}-images-{run}")
}

/// What is made to look for images: a namespace and pods in it.
fn objects(run: &str, doubts: &[Doubt]) -> Vec<Value> {
    let namespace = namespace(run);
    let place = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let pods = doubts.iter().enumerate().map(|(number, doubt)| pod(&namespace, number, doubt));
    std::iter::once(place).chain(pods).collect()
}

/// What looking for images does, in `run`, where a node does not name each of those that a mesh of `seldon` needs.
pub(super) fn rehearse(run: &str, seldon: &SeldonSource) -> Plan {
    let doubt = Doubt { node: Some("NODE".into()), images: needed(seldon).to_vec() };
    let mut plan = Plan::new();
    plan.apply(
        "where a node does not name each of these images: look for them with a pod that pulls none; it is deleted again",
        objects(run, &[doubt]),
    );
    plan
}

/// A pod with a container of each image, which pulls none of them.
fn pod(namespace: &str, number: usize, doubt: &Doubt) -> Value {
    let containers: Vec<Value> = doubt
        .images
        .iter()
        .enumerate()
        .map(|(number, image)| {
            json!({
                "name": format!("image-{number}"), "image": image, "imagePullPolicy": "Never",
                "command": [PROBES, "wait"],
            })
        })
        .collect();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("looks-{number}"), "namespace": namespace},
        "spec": {"containers": containers, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0},
    });
    if let Some(node) = &doubt.node {
        pod["spec"]["nodeName"] = node.as_str().into();
    }
    pod
}

/// The images that a pod's node has not, once it has looked for all of them.
fn judged(pod: &Pod) -> Option<Vec<String>> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    if statuses.len() < pod.spec.as_ref()?.containers.len() {
        return None;
    }
    let mut missing = Vec::new();
    for status in statuses {
        match waits_for(status) {
            Some("ErrImageNeverPull") => missing.push(status.image.clone()),
            Some("" | "ContainerCreating" | "PodInitializing") => return None,
            // It runs, has run, or failed for another reason: the image is there.
            Some(_) | None => {}
        }
    }
    Some(missing)
}

fn waits_for(status: &ContainerStatus) -> Option<&str> {
    let state = status.state.as_ref();
    if state.is_some_and(|state| state.running.is_some() || state.terminated.is_some()) {
        return None;
    }
    let waiting = state.and_then(|state| state.waiting.as_ref());
    Some(waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default())
}

fn sentence(missing: &BTreeMap<String, Vec<String>>) -> String {
    let each = missing.iter().map(|(node, images)| format!("node {node} has no image {}", images.join(", ")));
    format!("{}; {IMPORT}", each.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
#[path = "stock_tests.rs"]
mod tests;
