//! Removing what was made on a given cluster, in an order that hangs on nothing.

use std::time::Instant;

use futures::future::join_all;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::{RUN_LABEL, label};
use crate::object::{self, Kind, ObjectRef};
use crate::patience::given::{GOING, HELD_FOR, LETTING_GO, look_again};
use crate::undo::Undo;

/// Seldon's kinds whose objects have finalizers, those that depend on others first.
pub(super) const HELD: [Kind; 3] = [Kind::Model, Kind::Server, Kind::SeldonRuntime];

/// What makes pods.
pub(super) const WORKLOADS: [Kind; 2] = [Kind::Deployment, Kind::StatefulSet];

/// Which namespaces are waited for until they are gone. The namespace controller lets five seconds pass before it looks at
/// one that was deleted, and again before each further look: cases need not wait for that, as nothing runs in a namespace
/// that a sweep has emptied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Await<'a> {
    /// All.
    All,
    /// Those that an earlier sweep has deleted.
    Going(&'a [ObjectRef]),
}

/// What a sweep left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// What is still to be undone, in the order in which it was done.
    pub(super) entries: Vec<Undo>,
    /// Namespaces among it that are deleted and were not waited for.
    pub(super) going: Vec<ObjectRef>,
    /// Why.
    errors: Vec<String>,
}

impl Left {
    fn note(&mut self, undo: &Undo, outcome: anyhow::Result<()>) {
        if let Err(error) = outcome {
            self.entries.insert(0, undo.clone());
            self.errors.push(format!("{error:#}"));
        }
    }

    fn going(&mut self, undo: &Undo, namespace: &ObjectRef) {
        self.entries.insert(0, undo.clone());
        self.going.push(namespace.clone());
    }

    /// # Errors
    /// When anything is left that does not go by itself.
    pub(super) fn nothing(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.errors.is_empty(), "{}", self.errors.join("; "));
        Ok(())
    }
}

/// The order in which entries are undone.
#[derive(Debug, Default)]
pub(super) struct Order<'a> {
    /// Changes of what was there before.
    changes: Vec<&'a Undo>,
    /// What was put into a lent mesh; policies first, as a controller that one cuts off cannot let go of a Model.
    lent: Vec<(&'a Undo, &'a ObjectRef)>,
    /// Our namespaces.
    pub(super) namespaces: Vec<(&'a Undo, &'a ObjectRef)>,
    /// What has no namespace.
    pub(super) unscoped: Vec<(&'a Undo, &'a ObjectRef)>,
}

/// The last first, in each part.
pub(super) fn order(entries: &[Undo]) -> Order<'_> {
    let mut order = Order::default();
    for undo in entries.iter().rev() {
        match undo {
            Undo::Delete(object) if object.kind == Kind::Namespace => order.namespaces.push((undo, object)),
            Undo::Delete(object) if object.namespace.is_empty() => order.unscoped.push((undo, object)),
            Undo::Delete(object) => order.lent.push((undo, object)),
            Undo::Restore { .. }
            | Undo::Merge { .. }
            | Undo::Cut { .. }
            | Undo::Upstream(_)
            | Undo::Link(_)
            | Undo::Firewall => order.changes.push(undo),
        }
    }
    order.lent.sort_by_key(|(_, object)| object.kind != Kind::NetworkPolicy);
    order
}

/// Whether an entry is of what all cases share: it stays until the run ends.
pub(super) fn is_shared(undo: &Undo) -> bool {
    matches!(undo, Undo::Delete(object) if object.kind == Kind::CustomResourceDefinition)
}

/// Undoes `entries` of `run`: changes of what was there before, last one first; then what was put into a lent mesh; then
/// our namespaces with all that is in them; then what has no namespace. What cannot be undone does not keep the rest from it.
pub(super) async fn sweep(client: &Client, run: &str, entries: &[Undo], awaited: Await<'_>) -> Left {
    let mut left = Left::default();
    let Order { changes, lent, namespaces, unscoped } = order(entries);
    for undo in changes {
        match undo {
            Undo::Restore { before, .. } => left.note(undo, object::apply(client, before).await),
            Undo::Merge { object, patch, ours } => {
                left.note(undo, object.take_back(client, patch, ours).await);
            }
            Undo::Cut { object, key, text } => left.note(undo, object.cut(client, key, text).await),
            // Nothing of a given cluster; and what is deleted is not among the changes.
            Undo::Upstream(_) | Undo::Link(_) | Undo::Firewall | Undo::Delete(_) => {}
        }
    }
    for (undo, object) in lent {
        left.note(undo, go(client, run, object).await);
    }
    let still_ours = namespaces.iter().map(|(_, namespace)| async {
        let found = ours(client, run, namespace).await;
        matches!(found, Ok(Some(_))).then_some(namespace.name.as_str())
    });
    let still_ours: Vec<&str> = join_all(still_ours).await.into_iter().flatten().collect();
    // What cannot be emptied says so below, when it does not go. A controller lives in one namespace and lets go in others:
    // no pod ends before all are empty.
    join_all(still_ours.iter().map(|name| empty(client, name))).await;
    join_all(still_ours.iter().map(|name| end_pods(client, name))).await;
    for (_, namespace) in &namespaces {
        // One that cannot be deleted is not going anywhere: it says why when it is waited for.
        let _ = delete_ours(client, run, namespace).await;
    }
    for (undo, namespace) in namespaces {
        match awaited {
            Await::Going(earlier) if !earlier.contains(namespace) => left.going(undo, namespace),
            Await::All | Await::Going(_) => left.note(undo, go(client, run, namespace).await),
        }
    }
    // Definitions take their objects along: they come last, as they were made first.
    for (undo, object) in unscoped {
        left.note(undo, go(client, run, object).await);
    }
    left
}

/// Whether an object of ours is a ConfigMap that holds anything, though what was ours in it was taken out.
async fn is_filled(client: &Client, run: &str, map: &ObjectRef) -> anyhow::Result<bool> {
    let found = ours(client, run, map).await?;
    Ok(found.is_some_and(|map| map["data"].as_object().is_some_and(|data| !data.is_empty())))
}

/// Deletes an object outside of our namespaces, if it is the run's, and waits until it is gone.
async fn go(client: &Client, run: &str, object: &ObjectRef) -> anyhow::Result<()> {
    if object.kind == Kind::CustomResourceDefinition
        && let Some(definition) = ours(client, run, object).await?
    {
        must_be_unused(client, object, &definition).await?;
    }
    if object.namespace == "kube-system" && is_filled(client, run, object).await? {
        // By others: what was ours in it was taken out before.
        return Ok(object.merge(client, &json!({"metadata": {"labels": {RUN_LABEL: null}}})).await?);
    }
    delete_ours(client, run, object).await?;
    wait_gone(client, object).await
}

/// Deletes Seldon's objects while their controllers still run. A controller that does not let go, because it is cut off
/// or gone, is not waited for: then the finalizers are taken off.
pub(crate) async fn empty(client: &Client, namespace: &str) -> anyhow::Result<()> {
    // A controller that a policy cuts off from its scheduler cannot let go.
    for policy in all(client, Kind::NetworkPolicy, namespace).await {
        policy.delete(client).await?;
    }
    let began = Instant::now();
    for kind in HELD {
        let held = all(client, kind, namespace).await;
        for object in &held {
            object.delete(client).await?;
        }
        for object in &held {
            while object.read(client).await?.is_some() {
                if began.elapsed() >= LETTING_GO {
                    take_finalizers_off(client, object).await?;
                    break;
                }
                look_again().await;
            }
        }
    }
    Ok(())
}

/// Ends what runs in a namespace of ours. A namespace that is deleted with pods in it goes only when half of their grace
/// is over, and Seldon's have two minutes.
async fn end_pods(client: &Client, namespace: &str) -> anyhow::Result<()> {
    for kind in WORKLOADS {
        for workload in all(client, kind, namespace).await {
            workload.delete(client).await?;
        }
    }
    let began = Instant::now();
    while began.elapsed() < LETTING_GO {
        let pods = all(client, Kind::Pod, namespace).await;
        if pods.is_empty() {
            break;
        }
        for pod in pods {
            pod.delete_at_once(client).await?;
        }
        look_again().await;
    }
    Ok(())
}

/// The objects of a kind; none where the kind is not known.
async fn all(client: &Client, kind: Kind, namespace: &str) -> Vec<ObjectRef> {
    let found = object::list(client, kind, namespace, "").await.unwrap_or_default();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    found.iter().map(|object| ObjectRef::new(kind, namespace, &name(object))).collect()
}

async fn take_finalizers_off(client: &Client, object: &ObjectRef) -> anyhow::Result<()> {
    match object.merge(client, &json!({"metadata": {"finalizers": null}})).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => Ok(other?),
    }
}

/// An object outside of our namespaces, if it carries the run's label: one that has come in its place is somebody else's.
pub(super) async fn ours(client: &Client, run: &str, object: &ObjectRef) -> anyhow::Result<Option<Value>> {
    Ok(object.read(client).await?.filter(|found| label(found) == Some(run)))
}

/// By now our namespaces are gone: an object of the kind is somebody else's, and would go with its definition.
async fn must_be_unused(client: &Client, definition: &ObjectRef, found: &Value) -> anyhow::Result<()> {
    let spec = &found["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, version) = (text(&spec["group"]), text(&spec["versions"][0]["name"]));
    let resource = ApiResource {
        api_version: format!("{group}/{version}"),
        group,
        version,
        kind: text(&spec["names"]["kind"]),
        plural: text(&spec["names"]["plural"]),
    };
    let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let listed = objects.list(&ListParams::default().limit(1)).await?;
    if let Some(foreign) = listed.items.first() {
        let (name, namespace) = (foreign.name_any(), foreign.namespace().unwrap_or_default());
        anyhow::bail!(
            "{definition} stays: {} {namespace}/{name} is not the harness's and would go with it; delete it, or keep \
             the definition by taking its label {RUN_LABEL} off",
            resource.kind
        );
    }
    Ok(())
}

/// Deletes an object outside of our namespaces, if it is the run's.
pub(super) async fn delete_ours(client: &Client, run: &str, object: &ObjectRef) -> anyhow::Result<()> {
    let Some(found) = ours(client, run, object).await? else { return Ok(()) };
    let uid = found["metadata"]["uid"].as_str().unwrap_or_default();
    Ok(object.delete_exactly(client, uid).await?)
}

/// Waits until an object that was deleted is gone.
pub(super) async fn wait_gone(client: &Client, object: &ObjectRef) -> anyhow::Result<()> {
    let (began, mut since) = (Instant::now(), None);
    loop {
        let Some(found) = object.read(client).await? else { return Ok(()) };
        if label(&found).is_none() {
            return Ok(());
        }
        // Pods have their grace, finalizers have none: what only they hold goes at once, or when somebody takes them off.
        let held = finalizers(&found).is_some();
        since = since.filter(|_| held).or_else(|| held.then(Instant::now));
        if began.elapsed() >= GOING || since.is_some_and(|since| since.elapsed() >= HELD_FOR) {
            let waited = began.elapsed().as_secs();
            let why = finalizers(&found).map_or_else(|| conditions(&found), |why| {
                format!("{why}; nobody takes these finalizers off: start their controller again, or take them off")
            });
            anyhow::bail!("{object} is not gone after {waited} s: {why}");
        }
        look_again().await;
    }
}

/// The finalizers that alone keep an object which is being deleted, in the API server's words or as they stand.
pub(super) fn finalizers(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array();
    let remaining = conditions.into_iter().flatten().find(|condition| {
        condition["type"] == "NamespaceFinalizersRemaining" && condition["status"] == "True"
    });
    if let Some(condition) = remaining {
        return Some(condition["message"].as_str().unwrap_or_default().to_owned());
    }
    let own = object["metadata"]["finalizers"].as_array().filter(|own| !own.is_empty())?;
    let own: Vec<&str> = own.iter().filter_map(Value::as_str).collect();
    // A definition's own one is the API server's, which takes it off when the objects are gone.
    let foreign = own.iter().any(|name| *name != "customresourcecleanup.apiextensions.k8s.io");
    foreign.then(|| format!("it has the finalizers {}", own.join(", ")))
}

/// What a namespace that does not go says of itself.
pub(super) fn conditions(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let telling = conditions.into_iter().flatten().filter(|condition| condition["status"] == "True");
    let texts: Vec<&str> = telling.filter_map(|condition| condition["message"].as_str()).collect();
    if texts.is_empty() { "it does not say why".into() } else { texts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_finalizers_hold_is_told_from_what_takes_its_time() {
        let condition = |status: &str| {
            json!({"status": {"conditions": [
                {"type": "NamespaceFinalizersRemaining", "status": status, "message": "a in 1 resource instances"},
            ]}})
        };
        assert_eq!(finalizers(&condition("True")).as_deref(), Some("a in 1 resource instances"));
        assert_eq!(finalizers(&condition("False")), None);
        let own = |name: &str| json!({"metadata": {"finalizers": [name]}});
        assert_eq!(finalizers(&own("me/x")).as_deref(), Some("it has the finalizers me/x"));
        assert_eq!(finalizers(&own("customresourcecleanup.apiextensions.k8s.io")), None);
    }

    #[test]
    fn a_namespace_that_stays_says_why() {
        let conditions_of = json!({"status": {"conditions": [
            {"type": "NamespaceContentRemaining", "status": "True", "message": "Some resources are remaining: models 1"},
            {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content deleted"},
        ]}});
        assert_eq!(conditions(&conditions_of), "Some resources are remaining: models 1");
        assert_eq!(conditions(&json!({})), "it does not say why");
    }
}
