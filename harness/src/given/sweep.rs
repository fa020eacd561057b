//! Removing what was made on a given cluster, in an order that hangs on nothing.

use std::time::Instant;

use kube::Client;
use serde_json::{Value, json};

use super::label;
use crate::object::{self, Kind, ObjectRef};
use crate::patience::given::{GOING, LETTING_GO, look_again};
use crate::undo::Undo;

/// Seldon's kinds whose objects have finalizers, those that depend on others first.
const HELD: [Kind; 3] = [Kind::Model, Kind::Server, Kind::SeldonRuntime];

/// Undoes `entries` of `run`: changes of what was there before, last one first; then our namespaces with all that is in them;
/// then what has no namespace.
pub(super) async fn sweep(client: &Client, run: &str, entries: &[Undo]) -> anyhow::Result<()> {
    let (mut namespaces, mut unscoped) = (Vec::new(), Vec::new());
    for undo in entries.iter().rev() {
        match undo {
            Undo::Delete(object) if object.kind == Kind::Namespace => namespaces.push(object),
            Undo::Delete(object) => unscoped.push(object),
            Undo::Restore { before, .. } => object::apply(client, before).await?,
            Undo::Merge { object, patch } => object.merge(client, patch).await?,
            // Nothing of a given cluster.
            Undo::Upstream(_) => {}
        }
    }
    for namespace in &namespaces {
        if is_of(client, run, namespace).await? {
            empty(client, &namespace.name).await?;
        }
    }
    for namespace in &namespaces {
        delete_ours(client, run, namespace).await?;
    }
    for namespace in &namespaces {
        wait_gone(client, namespace).await?;
    }
    // Definitions take their objects along: they come last, as they were made first.
    for object in unscoped {
        delete_ours(client, run, object).await?;
        wait_gone(client, object).await?;
    }
    Ok(())
}

/// Deletes Seldon's objects while their controllers still run. A controller that does not let go, because it is cut off
/// or gone, is not waited for: then the finalizers are taken off.
async fn empty(client: &Client, namespace: &str) -> anyhow::Result<()> {
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

/// Whether an object without a namespace carries the run's label: one that has come in its place is somebody else's.
async fn is_of(client: &Client, run: &str, object: &ObjectRef) -> anyhow::Result<bool> {
    Ok(object.read(client).await?.is_some_and(|found| label(&found) == Some(run)))
}

async fn delete_ours(client: &Client, run: &str, object: &ObjectRef) -> anyhow::Result<()> {
    if is_of(client, run, object).await? {
        object.delete(client).await?;
    }
    Ok(())
}

/// Waits until an object that was deleted is gone.
pub(super) async fn wait_gone(client: &Client, object: &ObjectRef) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let Some(found) = object.read(client).await? else { return Ok(()) };
        if label(&found).is_none() {
            return Ok(());
        }
        if began.elapsed() >= GOING {
            anyhow::bail!("{object} is not gone after {} s: {}", GOING.as_secs(), conditions(&found));
        }
        look_again().await;
    }
}

/// What a namespace that does not go says of itself.
fn conditions(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let telling = conditions.into_iter().flatten().filter(|condition| condition["status"] == "True");
    let texts: Vec<&str> = telling.filter_map(|condition| condition["message"].as_str()).collect();
    if texts.is_empty() { "it does not say why".into() } else { texts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

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
