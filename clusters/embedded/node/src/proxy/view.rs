//! The objects that decide about packets, watched.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use netmodel::{ClusterView, NodeView};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::links::{BRIDGE_ADDRESS, NODE_ADDRESS};
use crate::shared::{LocalPod, Shared};

/// Everything that is watched.
pub(super) struct Stores {
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    namespaces: Store<Namespace>,
    pods: Store<Pod>,
    policies: Store<NetworkPolicy>,
    /// Services or endpoints changed.
    pub(super) services_changed: Arc<Notify>,
    /// Policies, namespaces or pods changed.
    pub(super) policed_changed: Arc<Notify>,
}

/// What policies are judged by.
#[derive(Debug, Default, Clone)]
pub(super) struct Policed {
    namespaces: Vec<Namespace>,
    pods: Vec<Pod>,
    policies: Vec<NetworkPolicy>,
}

impl Policed {
    /// Uids of the pods with an address.
    pub(super) fn known(&self) -> HashSet<String> {
        let addressed = |it: &&Pod| it.status.as_ref().is_some_and(|it| it.pod_ip.is_some());
        self.pods.iter().filter(addressed).filter_map(ResourceExt::uid).collect()
    }

    /// `namespace/name` to resourceVersion of each policy.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let name = |it: &NetworkPolicy| format!("{}/{}", it.namespace().unwrap_or_default(), it.name_any());
        self.policies.iter().map(|it| (name(it), it.resource_version().unwrap_or_default())).collect()
    }
}

impl Stores {
    /// Starts the watches. They end with the node.
    pub(super) fn watch(shared: &Arc<Shared>) -> Stores {
        let services_changed = Arc::new(Notify::new());
        let policed_changed = Arc::new(Notify::new());
        Stores {
            services: watch(shared, &services_changed),
            slices: watch(shared, &services_changed),
            namespaces: watch(shared, &policed_changed),
            pods: watch(shared, &policed_changed),
            policies: watch(shared, &policed_changed),
            services_changed,
            policed_changed,
        }
    }

    /// Waits until each kind has been listed once.
    pub(super) async fn ready(&self) {
        // A watch ends only with the node, and then nobody waits.
        let _ = tokio::join!(
            self.services.wait_until_ready(),
            self.slices.wait_until_ready(),
            self.namespaces.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.policies.wait_until_ready(),
        );
    }

    /// What policies are judged by now. A pod of this node whose network is younger than `open_until` is left out; when one
    /// is, the time at which it will count.
    pub(super) fn policed(
        &self,
        local: &HashMap<String, LocalPod>,
        open_until: Duration,
    ) -> (Policed, Option<Instant>) {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut pods = Vec::new();
        for pod in self.pods.state() {
            let mut pod = Pod::clone(&pod);
            if let Some(known) = local.get(&pod.uid().unwrap_or_default()) {
                let counts = known.since + open_until;
                let address = if counts <= now {
                    Some(known.address.to_string())
                } else {
                    next = Some(next.map_or(counts, |it| it.min(counts)));
                    None
                };
                let status = pod.status.get_or_insert_default();
                status.pod_ips =
                    address.as_ref().and_then(|it| serde_json::from_value(json!([{"ip": it}])).ok());
                status.pod_ip = address;
            }
            pods.push(pod);
        }
        let namespaces = owned(&self.namespaces);
        (Policed { namespaces, pods, policies: owned(&self.policies) }, next)
    }

    /// The whole view: services as they are, the rest as it was at the last sync.
    pub(super) fn view(&self, shared: &Shared, policed: &Policed) -> ClusterView {
        let mut endpoint_slices = owned(&self.slices);
        let kubernetes = |it: &EndpointSlice| {
            it.namespace().as_deref() == Some("default")
                && it.labels().get("kubernetes.io/service-name").map(String::as_str) == Some("kubernetes")
        };
        if !endpoint_slices.iter().any(kubernetes) {
            endpoint_slices.extend(api_server(shared.settings.api_port));
        }
        ClusterView {
            namespaces: policed.namespaces.clone(),
            pods: policed.pods.clone(),
            policies: policed.policies.clone(),
            services: owned(&self.services),
            endpoint_slices,
            ..empty(&shared.settings.name, shared.settings.service_cidr)
        }
    }
}

/// The view of a node in a cluster where nothing is.
pub(super) fn empty(node: &str, service_cidr: Ipv4Net) -> ClusterView {
    ClusterView {
        node: NodeView {
            name: node.to_owned(),
            addresses: vec![NODE_ADDRESS, BRIDGE_ADDRESS],
            pod_cidr: Ipv4Net::new(BRIDGE_ADDRESS, 24).map(|it| it.trunc()).unwrap_or_default(),
        },
        service_cidr,
        namespaces: Vec::new(),
        pods: Vec::new(),
        policies: Vec::new(),
        services: Vec::new(),
        endpoint_slices: Vec::new(),
    }
}

fn owned<K: kube::Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> Vec<K> {
    store.state().iter().map(|it| K::clone(it)).collect()
}

/// Where `kubernetes.default` leads when nobody has written its endpoints.
fn api_server(port: u16) -> Option<EndpointSlice> {
    serde_json::from_value(json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }))
    .ok()
}

fn watch<K>(shared: &Arc<Shared>, changed: &Arc<Notify>) -> Store<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher::watcher(Api::<K>::all(shared.client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer);
    let (changed, stop) = (changed.clone(), shared.stop.clone());
    tokio::spawn(async move {
        pin_mut!(events);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => match event {
                    Some(Ok(_)) => changed.notify_one(),
                    Some(Err(error)) => tracing::debug!(%error, "a watch broke; it begins again"),
                    None => return,
                },
            }
        }
    });
    store
}
