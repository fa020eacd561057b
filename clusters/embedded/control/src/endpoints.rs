//! EndpointSlices of Services, and their mirror as Endpoints.

mod build;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::owner;
use crate::queue::{Queue, Trouble};
use crate::store::Key;
use build::Group;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Starts the controller.
pub(crate) fn start(cluster: &Cluster) {
    let queue: Queue<Key> = Queue::default();
    let services = queue.clone();
    cluster.stores.services.on_change(move |change| {
        if let Some(service) = change.newest() {
            services.add(Key::of(service.as_ref()));
        }
    });
    let (pods, stores) = (queue.clone(), Arc::downgrade(&cluster.stores));
    cluster.stores.pods.on_change(move |change| {
        let Some(stores) = stores.upgrade() else { return };
        let namespace = change.newest().and_then(|pod| pod.namespace()).unwrap_or_default();
        for service in stores.services.within(&namespace) {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let Some(selector) = selector else { continue };
            let taken = |pod: &Arc<Pod>| owner::selects_plainly(selector, pod.metadata.labels.as_ref());
            if change.states().any(taken) {
                pods.add(Key::of(service.as_ref()));
            }
        }
    });
    // Slices that others changed or deleted are put right.
    let slices = queue.clone();
    cluster.stores.slices.on_change(move |change| {
        let Some(slice) = change.newest() else { return };
        if slice.labels().get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
            && let Some(service) = slice.labels().get(SERVICE_LABEL)
        {
            slices.add(Key::new(slice.namespace().unwrap_or_default(), service));
        }
    });
    let cluster = cluster.clone();
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("endpointslice", move |key| {
        let cluster = cluster.clone();
        async move { look(&cluster, &key).await }
    }));
}

async fn look(cluster: &Cluster, key: &Key) -> Result<(), Trouble> {
    // What a Service leaves behind when it is deleted is the garbage collector's.
    let Some(service) = cluster.stores.services.get(key) else { return Ok(()) };
    let spec = service.spec.as_ref();
    let selector = spec.and_then(|spec| spec.selector.as_ref()).filter(|selector| !selector.is_empty());
    let external = spec.is_some_and(|spec| spec.type_.as_deref() == Some("ExternalName"));
    let Some(selector) = selector.filter(|_| !external && service.metadata.deletion_timestamp.is_none())
    else {
        return Ok(());
    };
    let pods = cluster.stores.pods.within(&key.namespace).into_iter();
    let pods: Vec<_> =
        pods.filter(|pod| owner::selects_plainly(selector, pod.metadata.labels.as_ref())).collect();
    let groups = build::groups(&service, &pods);
    slices(cluster, &service, &groups).await?;
    mirror(cluster, &service, &groups).await
}

/// Makes the slices of the Service those of `groups`, keeping the names of those that stay.
async fn slices(cluster: &Cluster, service: &Service, groups: &[Group]) -> Result<(), Trouble> {
    let namespace = service.namespace().unwrap_or_default();
    let name = service.name_any();
    let mine = |slice: &Arc<EndpointSlice>| {
        slice.labels().get(SERVICE_LABEL) == Some(&name)
            && slice.labels().get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
            && slice.metadata.deletion_timestamp.is_none()
            && owner::is_controlled_by(&slice.metadata, service)
    };
    let mut there: Vec<Arc<EndpointSlice>> =
        cluster.stores.slices.within(&namespace).into_iter().filter(mine).collect();
    for group in groups {
        // A slice with the same ports first; else any that is left over.
        let same_ports =
            there.iter().position(|slice| slice.ports.as_deref().unwrap_or_default() == group.ports);
        let reused = same_ports.or_else(|| (!there.is_empty() && groups.len() == 1).then_some(0));
        let wanted_labels = build::labels(service);
        match reused.map(|position| there.remove(position)) {
            Some(slice) => {
                let same = slice.ports.as_deref().unwrap_or_default() == group.ports
                    && slice.endpoints == group.endpoints
                    && slice.metadata.labels.as_ref() == Some(&wanted_labels);
                if !same {
                    let mut changed = slice.as_ref().clone();
                    changed.metadata.labels = Some(wanted_labels);
                    changed.annotations_mut().insert(TRIGGERED.to_owned(), Timestamp::now().to_string());
                    changed.ports = Some(group.ports.clone());
                    changed.endpoints.clone_from(&group.endpoints);
                    cluster.replace(&changed).await?;
                }
            }
            None => {
                let slice = EndpointSlice {
                    metadata: ObjectMeta {
                        generate_name: Some(format!("{name}-")),
                        namespace: Some(namespace.clone()),
                        labels: Some(wanted_labels),
                        annotations: Some([(TRIGGERED.to_owned(), Timestamp::now().to_string())].into()),
                        owner_references: Some(vec![owner::controlled_by(service)]),
                        ..ObjectMeta::default()
                    },
                    address_type: "IPv4".to_owned(),
                    endpoints: group.endpoints.clone(),
                    ports: Some(group.ports.clone()),
                };
                cluster.create(&slice).await?;
            }
        }
    }
    for slice in there {
        cluster.delete(slice.as_ref()).await?;
    }
    Ok(())
}

/// Writes the Endpoints object of the Service's name.
async fn mirror(cluster: &Cluster, service: &Service, groups: &[Group]) -> Result<(), Trouble> {
    let key = Key::of(service);
    let subsets = build::subsets(groups);
    let labels = build::mirror_labels(service);
    match cluster.stores.endpoints.get(&key) {
        Some(known)
            if known.subsets.as_deref().unwrap_or_default() == subsets && known.labels() == &labels =>
        {
            Ok(())
        }
        Some(known) => {
            let mut changed = known.as_ref().clone();
            changed.metadata.labels = Some(labels);
            changed.annotations_mut().insert(TRIGGERED.to_owned(), Timestamp::now().to_string());
            changed.subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
            cluster.replace(&changed).await?;
            Ok(())
        }
        None => {
            let made = Endpoints {
                metadata: ObjectMeta {
                    name: Some(key.name),
                    namespace: Some(key.namespace),
                    labels: Some(labels),
                    annotations: Some([(TRIGGERED.to_owned(), Timestamp::now().to_string())].into()),
                    owner_references: Some(vec![owner::controlled_by(service)]),
                    ..ObjectMeta::default()
                },
                subsets: Some(subsets).filter(|subsets| !subsets.is_empty()),
            };
            cluster.create(&made).await?;
            Ok(())
        }
    }
}
