//! Envoy's configuration, served over the delta flavour of the aggregated discovery service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::google::protobuf::Any;
use prost::Name;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::routes::RouteTable;

pub(crate) mod cluster;
pub(crate) mod delta;
pub(crate) mod listener;
pub(crate) mod route;
pub(crate) mod service;

/// One resource as Envoy gets it; its version is the hash of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) version: String,
    pub(crate) any: Any,
}

impl Resource {
    pub(crate) fn of<M: prost::Message + Name>(message: &M) -> Arc<Resource> {
        let any = any(message);
        Arc::new(Resource { version: hex::encode(Sha256::digest(&any.value)), any })
    }
}

/// A message packed with its type.
pub(crate) fn any<M: prost::Message + Name>(message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

/// Resources of one kind by name.
pub(crate) type Resources = BTreeMap<String, Arc<Resource>>;

/// Everything Envoy may ask for, at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    pub(crate) clusters: Resources,
    pub(crate) listeners: Resources,
    pub(crate) routes: Resources,
}

/// How the listeners and the permanent clusters are to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvoySettings {
    /// File of the access log; `None` turns it off.
    pub access_log: Option<String>,
    /// Whether successes are logged too, or only failures.
    pub successes: Successes,
    /// Host of the pipeline gateway.
    pub pipeline_gateway_host: String,
    /// HTTP port of the pipeline gateway.
    pub pipeline_gateway_http_port: u32,
    /// gRPC port of the pipeline gateway.
    pub pipeline_gateway_grpc_port: u32,
    /// Time between two look-ups of a cluster's hosts. `None` leaves it to Envoy (5 s); a faster pace shortens it.
    pub dns_refresh: Option<Duration>,
    /// The only node that gets routes.
    pub node: String,
}

/// Whether Envoy's access log tells of successful requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successes {
    /// One line each.
    Logged,
    /// Only statuses from 400 on and gRPC statuses other than OK are logged.
    Omitted,
}

/// What is published, and who is told of changes.
#[derive(Debug)]
pub(crate) struct Cache {
    published: Published,
    dns_refresh: Option<Duration>,
    watchers: Vec<mpsc::UnboundedSender<Published>>,
}

impl Cache {
    /// A cache with the listeners, the permanent clusters and empty routes.
    pub(crate) fn new(settings: &EnvoySettings) -> Cache {
        let published = Published {
            clusters: cluster::permanent(settings),
            listeners: listener::permanent(settings),
            routes: route::resources(&BTreeMap::new(), &BTreeMap::new()),
        };
        Cache { published, dns_refresh: settings.dns_refresh, watchers: Vec::new() }
    }

    /// What is published now, and every later state in order.
    pub(crate) fn watch(&mut self) -> (Published, mpsc::UnboundedReceiver<Published>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watchers.push(sender);
        (self.published.clone(), receiver)
    }

    /// Publishes what the table has to say: new clusters, then routes, then the removal of clusters.
    ///
    /// The order spares Envoy a route to a cluster it does not have.
    pub(crate) fn update(&mut self, table: &mut RouteTable) {
        for (name, cluster) in table.take_added() {
            let resource = Resource::of(&cluster::message(&name, &cluster, self.dns_refresh));
            self.published.clusters.insert(name, resource);
        }
        self.tell();
        self.published.routes = route::resources(&table.routes, &table.pipelines);
        self.tell();
        for name in table.take_removed() {
            self.published.clusters.remove(&name);
        }
        self.tell();
    }

    fn tell(&mut self) {
        let published = &self.published;
        self.watchers.retain(|watcher| watcher.send(published.clone()).is_ok());
    }
}
