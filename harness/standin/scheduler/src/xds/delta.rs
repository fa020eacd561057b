//! One stream of the delta protocol, as a pure state machine: requests in, answers out.
//!
//! Behaves as the caches Seldon 2.9.1 uses (go-control-plane): a kind is answered again only after Envoy has
//! acknowledged (or refused) the answer before; a wildcard subscription gets a first answer even when it is empty; and
//! names nobody publishes, such as the runtime layer of Envoy's bootstrap, are never answered.
//!
//! One thing is stricter: a cluster goes only after Envoy has acknowledged the routes that no longer lead to it. With
//! 250 ms between two batches that comes about by itself; at a faster pace it must be seen to.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::service::discovery::v3 as xds;

use super::{Published, Resources};

pub(crate) const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub(crate) const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
pub(crate) const ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// Kinds in the order in which they are answered when several changed at once.
const ORDER: [&str; 3] = [CLUSTER, LISTENER, ROUTE];

/// Whether Envoy asked for everything of a kind, or for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Everything,
    Names,
}

#[derive(Debug)]
struct Subscription {
    interest: Interest,
    names: BTreeSet<String>,
    /// Versions Envoy has, by name.
    held: BTreeMap<String, String>,
    answered_before: bool,
    awaits_acknowledgement: bool,
}

/// An answer, with what its log line needs.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) message: xds::DeltaDiscoveryResponse,
    pub(crate) interest: Interest,
}

/// The state of one stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The node that gets routes.
    expected_node: String,
    node: String,
    subscriptions: BTreeMap<String, Subscription>,
    nonce: u64,
}

impl Stream {
    pub(crate) fn new(expected_node: &str) -> Stream {
        Stream {
            expected_node: expected_node.to_owned(),
            node: String::new(),
            subscriptions: BTreeMap::new(),
            nonce: 0,
        }
    }

    /// The name Envoy gave itself; only its first request carries it.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Takes in a request: a subscription, an acknowledgement, or a refusal, which counts as an acknowledgement.
    pub(crate) fn request(&mut self, request: xds::DeltaDiscoveryRequest) {
        if let Some(node) = request.node {
            self.node = node.id;
        }
        let everything = request.resource_names_subscribe.is_empty();
        let subscription = self.subscriptions.entry(request.type_url).or_insert_with(|| Subscription {
            interest: if everything { Interest::Everything } else { Interest::Names },
            names: BTreeSet::new(),
            held: request.initial_resource_versions.into_iter().collect(),
            answered_before: false,
            awaits_acknowledgement: false,
        });
        for name in request.resource_names_subscribe {
            if name == "*" {
                subscription.interest = Interest::Everything;
            } else {
                subscription.names.insert(name);
            }
        }
        for name in request.resource_names_unsubscribe {
            if name == "*" {
                subscription.interest = Interest::Names;
            }
            subscription.names.remove(&name);
            subscription.held.remove(&name);
        }
        subscription.awaits_acknowledgement = false;
    }

    /// The answers due, given what is published.
    pub(crate) fn answers(&mut self, published: &Published) -> Vec<Answer> {
        let kinds = self.subscriptions.keys().cloned().collect::<BTreeSet<_>>();
        let rest = kinds.iter().map(String::as_str).filter(|kind| !ORDER.contains(kind));
        let kinds: Vec<&str> = ORDER.into_iter().chain(rest).collect();
        kinds.into_iter().filter_map(|kind| self.answer(kind, published)).collect()
    }

    /// Whether Envoy has, and has acknowledged, the published routes it wants.
    fn routes_are_settled(&self, routes: &Resources) -> bool {
        self.node != self.expected_node
            || self.subscriptions.get(ROUTE).is_none_or(|subscription| {
                let current = |name: &String| {
                    subscription.held.get(name) == routes.get(name).map(|resource| &resource.version)
                };
                !subscription.awaits_acknowledgement && subscription.names.iter().all(current)
            })
    }

    fn answer(&mut self, kind: &str, published: &Published) -> Option<Answer> {
        let none = Resources::new();
        let resources = match kind {
            CLUSTER => &published.clusters,
            LISTENER => &published.listeners,
            ROUTE if self.node == self.expected_node => &published.routes,
            _ => &none,
        };
        let removable = kind != CLUSTER || self.routes_are_settled(&published.routes);
        let subscription = self.subscriptions.get_mut(kind)?;
        if subscription.awaits_acknowledgement {
            return None;
        }
        let wanted = |name: &String| {
            subscription.interest == Interest::Everything || subscription.names.contains(name)
        };
        let changed: Vec<xds::Resource> = resources
            .iter()
            .filter(|(name, resource)| {
                wanted(name) && subscription.held.get(*name) != Some(&resource.version)
            })
            .map(|(name, resource)| xds::Resource {
                name: name.clone(),
                version: resource.version.clone(),
                resource: Some(resource.any.clone()),
                ..xds::Resource::default()
            })
            .collect();
        let gone = |name: &&String| removable && !resources.contains_key(*name);
        let removed: Vec<String> = subscription.held.keys().filter(gone).cloned().collect();
        let first = subscription.interest == Interest::Everything && !subscription.answered_before;
        if changed.is_empty() && removed.is_empty() && !first {
            return None;
        }
        for resource in &changed {
            subscription.held.insert(resource.name.clone(), resource.version.clone());
        }
        for name in &removed {
            subscription.held.remove(name);
        }
        subscription.answered_before = true;
        subscription.awaits_acknowledgement = true;
        self.nonce += 1;
        let message = xds::DeltaDiscoveryResponse {
            type_url: kind.to_owned(),
            resources: changed,
            removed_resources: removed,
            nonce: self.nonce.to_string(),
            ..xds::DeltaDiscoveryResponse::default()
        };
        Some(Answer { message, interest: subscription.interest })
    }
}

#[cfg(test)]
mod tests;
