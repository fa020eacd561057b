//! A namespace that is to go: its pods first, then all else, then itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace, NamespaceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};

use crate::cluster::Cluster;
use crate::discovery::Resource;
use crate::garbage::Garbage;
use crate::queue::{Trouble, unless_gone};

/// The finalizer that Kubernetes itself holds on a namespace.
const OWN_FINALIZER: &str = "kubernetes";

/// What a namespace still holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rest {
    /// Objects by `plural.group`.
    objects: BTreeMap<String, usize>,
    /// Finalizers and on how many objects they are.
    finalizers: BTreeMap<String, usize>,
}

pub(super) async fn look(cluster: &Cluster, garbage: &Garbage, namespace: &Namespace) -> Result<(), Trouble> {
    let name = namespace.name_any();
    let held = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if !held.iter().any(|finalizer| finalizer == OWN_FINALIZER) {
        return Ok(());
    }
    let resources = garbage.resources();
    if resources.is_empty() {
        return Err(Trouble::NotYet("the kinds are not known yet".to_owned()));
    }
    let (pods, others): (Vec<Resource>, Vec<Resource>) = resources
        .into_iter()
        .filter(|resource| resource.namespaced)
        .partition(|resource| resource.api.plural == "pods" && resource.api.group.is_empty());
    let mut rest = Rest::default();
    for resource in &pods {
        empty(cluster, resource, &name, &mut rest).await?;
    }
    // As in Kubernetes 1.33, nothing else goes while a pod is still there.
    if rest.objects.is_empty() {
        for resource in &others {
            empty(cluster, resource, &name, &mut rest).await?;
        }
    }
    // What is left is heard of when it goes: the collector watches all kinds.
    if !rest.objects.is_empty() || !garbage.within(&name).is_empty() {
        return tell(cluster, namespace, &rest).await;
    }
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &name);
    unless_gone(events.delete_collection(&DeleteParams::default(), &ListParams::default()).await)?;
    let mut last = namespace.clone();
    last.spec.get_or_insert_default().finalizers =
        Some(held.into_iter().filter(|finalizer| finalizer != OWN_FINALIZER).collect());
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    unless_gone(api.replace_subresource("finalize", &name, &PostParams::default(), &last).await)?;
    Ok(())
}

/// Deletes the objects of one kind; counts those that stay.
async fn empty(
    cluster: &Cluster,
    resource: &Resource,
    namespace: &str,
    rest: &mut Rest,
) -> Result<(), Trouble> {
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), namespace, &resource.api);
    let Some(list) = unless_gone(api.list_metadata(&ListParams::default()).await)? else { return Ok(()) };
    for object in &list.items {
        if object.metadata.deletion_timestamp.is_none() {
            unless_gone(api.delete(&object.name_any(), &DeleteParams::background()).await)?;
        }
    }
    if list.items.is_empty() {
        return Ok(());
    }
    let Some(left) = unless_gone(api.list_metadata(&ListParams::default()).await)? else { return Ok(()) };
    for object in &left.items {
        let group = &resource.api.group;
        let kind = if group.is_empty() {
            format!("{}.", resource.api.plural)
        } else {
            format!("{}.{group}", resource.api.plural)
        };
        *rest.objects.entry(kind).or_default() += 1;
        for finalizer in object.finalizers() {
            *rest.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
    }
    Ok(())
}

/// Says in the status what is left.
async fn tell(cluster: &Cluster, namespace: &Namespace, rest: &Rest) -> Result<(), Trouble> {
    let listed = |counts: &BTreeMap<String, usize>, unit: &str| {
        counts
            .iter()
            .map(|(name, count)| format!("{name} {unit} {count} resource instances"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let some =
        |kind, reason, left: &BTreeMap<String, usize>, text: String, none: (&'static str, &'static str)| {
            if left.is_empty() {
                (kind, "False", none.0, none.1.to_owned())
            } else {
                (kind, "True", reason, text)
            }
        };
    let told = [
        (
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        some(
            "NamespaceContentRemaining",
            "SomeResourcesRemain",
            &rest.objects,
            format!("Some resources are remaining: {}", listed(&rest.objects, "has")),
            ("ContentRemoved", "All content successfully removed"),
        ),
        some(
            "NamespaceFinalizersRemaining",
            "SomeFinalizersRemain",
            &rest.finalizers,
            format!(
                "Some content in the namespace has finalizers remaining: {}",
                listed(&rest.finalizers, "in")
            ),
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ];
    write(cluster, namespace, told).await
}

/// Writes the conditions that changed.
async fn write(
    cluster: &Cluster,
    namespace: &Namespace,
    told: [(&str, &str, &str, String); 5],
) -> Result<(), Trouble> {
    let mut changed = namespace.clone();
    let conditions = changed.status.get_or_insert_default().conditions.get_or_insert_default();
    let mut differs = false;
    for (kind, status, reason, message) in told {
        let known = conditions.iter().find(|condition| condition.type_ == kind);
        if known.is_some_and(|known| known.status == status && known.message.as_deref() == Some(&message)) {
            continue;
        }
        differs = true;
        conditions.retain(|condition| condition.type_ != kind);
        conditions.push(NamespaceCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(Timestamp::now())),
        });
    }
    if differs {
        cluster.replace_status(&changed).await?;
    }
    Ok(())
}
