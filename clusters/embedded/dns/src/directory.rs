//! The cluster's names: Services, EndpointSlices, Namespaces and pods as the `kubernetes` plugin needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;

/// Namespace and name of an object.
pub(crate) type Key = (String, String);

/// The label by which an EndpointSlice names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A snapshot of names that changes as the cluster does.
#[derive(Debug, Clone, Default)]
pub struct Names {
    services: BTreeMap<Key, ServiceNames>,
    slices: BTreeMap<Key, Slice>,
    namespaces: BTreeSet<String>,
    pods: BTreeMap<Key, Vec<IpAddr>>,
    modified: u32,
}

/// What DNS needs of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceNames {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) kind: ServiceKind,
    pub(crate) ports: Vec<PortName>,
}

/// How a Service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    Cluster(Vec<IpAddr>),
    Headless,
    External(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortName {
    pub(crate) name: String,
    pub(crate) protocol: String,
    /// `None` stands for a slice without ports.
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) service: Key,
    pub(crate) endpoints: Vec<EndpointName>,
    pub(crate) ports: Vec<PortName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointName {
    pub(crate) address: IpAddr,
    pub(crate) hostname: Option<String>,
    pub(crate) target: Option<String>,
}

impl Names {
    /// Takes over a Service, new or changed.
    pub fn put_service(&mut self, service: &Service) {
        let (Some(name), Some(spec)) = (&service.metadata.name, &service.spec) else { return };
        let namespace = service.metadata.namespace.clone().unwrap_or_default();
        let addresses: Vec<String> = match &spec.cluster_ips {
            Some(addresses) if !addresses.is_empty() => addresses.clone(),
            _ => spec.cluster_ip.iter().cloned().collect(),
        };
        let kind = if spec.type_.as_deref() == Some("ExternalName") {
            ServiceKind::External(spec.external_name.clone().unwrap_or_default())
        } else if addresses.iter().any(|address| address == "None") {
            ServiceKind::Headless
        } else {
            ServiceKind::Cluster(addresses.iter().filter_map(|address| address.parse().ok()).collect())
        };
        let mut ports: Vec<PortName> = spec
            .ports
            .iter()
            .flatten()
            .map(|port| PortName {
                name: port.name.clone().unwrap_or_default(),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                port: u16::try_from(port.port).ok(),
            })
            .collect();
        if ports.is_empty() {
            ports.push(PortName::absent());
        }
        let value = ServiceNames { name: name.clone(), namespace: namespace.clone(), kind, ports };
        self.services.insert((namespace, name.clone()), value);
        self.touch();
    }

    /// Takes over an EndpointSlice, new or changed. Only ready addresses count; unknown readiness counts as ready.
    pub fn put_slice(&mut self, slice: &EndpointSlice) {
        let Some(name) = &slice.metadata.name else { return };
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        let service = slice
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(SERVICE_LABEL))
            .cloned()
            .unwrap_or_default();
        let mut ports: Vec<PortName> = slice
            .ports
            .iter()
            .flatten()
            .map(|port| PortName {
                name: port.name.clone().unwrap_or_default(),
                protocol: port.protocol.clone().unwrap_or_default(),
                port: port.port.and_then(|port| u16::try_from(port).ok()),
            })
            .collect();
        if ports.is_empty() {
            ports.push(PortName::absent());
        }
        let ready = slice.endpoints.iter().filter(|endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
        });
        let endpoints = ready
            .flat_map(|endpoint| {
                endpoint.addresses.iter().filter_map(|address| address.parse().ok()).map(|address| {
                    EndpointName {
                        address,
                        hostname: endpoint.hostname.clone().filter(|hostname| !hostname.is_empty()),
                        target: endpoint.target_ref.as_ref().and_then(|target| target.name.clone()),
                    }
                })
            })
            .collect();
        self.slices.insert(
            (namespace.clone(), name.clone()),
            Slice { service: (namespace, service), endpoints, ports },
        );
        self.touch();
    }

    /// Takes over a Namespace.
    pub fn put_namespace(&mut self, namespace: &Namespace) {
        self.namespaces.extend(namespace.metadata.name.clone());
    }

    /// Takes over a pod; only `pods verified` asks for them.
    pub fn put_pod(&mut self, pod: &Pod) {
        let Some(name) = &pod.metadata.name else { return };
        let addresses =
            pod.status.iter().flat_map(|status| &status.pod_ip).filter_map(|ip| ip.parse().ok()).collect();
        self.pods.insert((pod.metadata.namespace.clone().unwrap_or_default(), name.clone()), addresses);
    }

    /// Forgets a Service.
    pub fn remove_service(&mut self, namespace: &str, name: &str) {
        self.services.remove(&(namespace.to_owned(), name.to_owned()));
        self.touch();
    }

    /// Forgets an EndpointSlice.
    pub fn remove_slice(&mut self, namespace: &str, name: &str) {
        self.slices.remove(&(namespace.to_owned(), name.to_owned()));
        self.touch();
    }

    /// Forgets a Namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Forgets a pod.
    pub fn remove_pod(&mut self, namespace: &str, name: &str) {
        self.pods.remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn touch(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        self.modified = u32::try_from(now).unwrap_or(u32::MAX);
    }

    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&ServiceNames> {
        self.services.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn service_at(&self, address: IpAddr) -> Option<&ServiceNames> {
        self.services.values().find(
            |service| matches!(&service.kind, ServiceKind::Cluster(addresses) if addresses.contains(&address)),
        )
    }

    pub(crate) fn slices_of(&self, namespace: &str, service: &str) -> impl Iterator<Item = &Slice> {
        self.slices.values().filter(move |slice| slice.service.0 == namespace && slice.service.1 == service)
    }

    pub(crate) fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.values()
    }

    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    pub(crate) fn has_pod(&self, namespace: &str, address: IpAddr) -> bool {
        self.pods.iter().any(|((home, _), addresses)| home == namespace && addresses.contains(&address))
    }

    /// The time of the last change in seconds since 1970: the SOA's serial.
    pub(crate) fn serial(&self) -> u32 {
        self.modified
    }
}

impl PortName {
    /// What CoreDNS puts where no port is declared.
    fn absent() -> PortName {
        PortName { name: String::new(), protocol: String::new(), port: None }
    }
}

/// The names shared between the watches that fill them and the plugin that reads them.
#[derive(Debug, Clone)]
pub struct Directory {
    names: Arc<RwLock<Names>>,
    synced: watch::Sender<bool>,
    #[cfg(test)]
    changes: Arc<tokio::sync::Notify>,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory::with(Names::default(), false)
    }
}

impl Directory {
    fn with(names: Names, synced: bool) -> Directory {
        Directory {
            names: Arc::new(RwLock::new(names)),
            synced: watch::Sender::new(synced),
            #[cfg(test)]
            changes: Arc::default(),
        }
    }

    /// A directory that is complete as it stands.
    #[must_use]
    pub fn of(names: Names) -> Directory {
        Directory::with(names, true)
    }

    /// Changes names.
    pub fn update(&self, change: impl FnOnce(&mut Names)) {
        let mut names: RwLockWriteGuard<'_, Names> =
            self.names.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut names);
        #[cfg(test)]
        self.changes.notify_one();
    }

    /// Waits for a change, or returns at once if there was one since the last call.
    #[cfg(test)]
    pub(crate) async fn changed(&self) {
        self.changes.notified().await;
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Says that the first lists are in: from now on an unknown name is known not to exist.
    pub fn mark_synced(&self) {
        self.synced.send_replace(true);
    }

    /// Whether the first lists are in.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(crate) async fn until_synced(&self) {
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }
}
