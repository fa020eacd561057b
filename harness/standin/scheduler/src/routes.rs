//! What Envoy should route where: the scheduler's own picture, before it is put into Envoy's words.
//!
//! Routes and clusters follow the rules of the xDS cache of Seldon 2.9.1. A cluster lives as long as a route uses it,
//! and it gathers endpoints as long as it lives.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Journal, Level};
use crate::store::{ModelVersion, Server};

/// What is spoken to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// A share of a route's traffic: a version of a model and its clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) model: String,
    /// `<model>_<version>`
    pub(crate) internal_name: String,
    pub(crate) weight: u32,
}

impl Split {
    /// `<model>_<version>_http` or `…_grpc`.
    pub(crate) fn cluster(&self, protocol: Protocol) -> String {
        cluster_name(&self.internal_name, protocol)
    }
}

fn cluster_name(internal_name: &str, protocol: Protocol) -> String {
    match protocol {
        Protocol::Http => format!("{internal_name}_http"),
        Protocol::Grpc => format!("{internal_name}_grpc"),
    }
}

/// Whether traffic is answered or only copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    Answered,
    Mirrored,
}

/// The route of a model, or of an experiment on models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) log_payloads: bool,
    pub(crate) splits: Vec<Split>,
    pub(crate) mirror: Option<Split>,
}

/// A share of the traffic of a pipeline's route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PipelineSplit {
    pub(crate) pipeline: String,
    pub(crate) weight: u32,
}

/// The route of a pipeline, or of an experiment on pipelines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PipelineRoute {
    pub(crate) splits: Vec<PipelineSplit>,
    pub(crate) mirror: Option<PipelineSplit>,
}

/// A cluster: where to reach the replicas that hold a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) protocol: Protocol,
    /// Host and port; the host is a pod's name, which Envoy resolves.
    pub(crate) endpoints: BTreeSet<(String, u32)>,
    users: BTreeSet<(String, String)>,
}

/// All routes and clusters, and what Envoy has not been told yet.
#[derive(Debug)]
pub(crate) struct RouteTable {
    pub(crate) routes: BTreeMap<String, Route>,
    pub(crate) pipelines: BTreeMap<String, PipelineRoute>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    to_add: BTreeSet<String>,
    to_remove: BTreeSet<String>,
    journal: Journal,
}

impl RouteTable {
    pub(crate) fn new(journal: Journal) -> RouteTable {
        RouteTable {
            routes: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            clusters: BTreeMap::new(),
            to_add: BTreeSet::new(),
            to_remove: BTreeSet::new(),
            journal,
        }
    }

    /// Takes a route away, and with it the clusters only it used.
    pub(crate) fn remove(&mut self, name: &str) {
        let fields = [("func", "RemoveRoute"), ("source", "SeldonXDSCache")];
        self.journal.line(Level::Info, &format!("Remove routes for model {name}"), &fields);
        let Some(route) = self.routes.remove(name) else {
            self.journal.line(Level::Warning, &format!("No route found for model {name}"), &fields);
            return;
        };
        for split in route.splits.iter().chain(&route.mirror) {
            for protocol in [Protocol::Http, Protocol::Grpc] {
                let cluster_name = split.cluster(protocol);
                let Some(cluster) = self.clusters.get_mut(&cluster_name) else { continue };
                cluster.users.remove(&(name.to_owned(), split.internal_name.clone()));
                if cluster.users.is_empty() {
                    self.clusters.remove(&cluster_name);
                    self.to_remove.insert(cluster_name);
                }
            }
        }
    }

    /// Lets a route lead to a version with this weight. Nothing happens while no replica holds the version.
    pub(crate) fn add(
        &mut self,
        name: &str,
        version: &ModelVersion,
        server: &Server,
        weight: u32,
        share: Share,
    ) {
        let internal_name = version.internal_name();
        let assignment = version.assignment();
        if assignment.is_empty() {
            let line = format!("Not updating route: {name} - no assigned replicas for {internal_name}");
            let fields = [("func", "updateEnvoyForModelVersion"), ("source", "IncrementalProcessor")];
            self.journal.line(Level::Debug, &line, &fields);
            return;
        }
        for protocol in [Protocol::Http, Protocol::Grpc] {
            let cluster_name = cluster_name(&internal_name, protocol);
            let fresh = || Cluster { protocol, endpoints: BTreeSet::new(), users: BTreeSet::new() };
            let cluster = self.clusters.entry(cluster_name.clone()).or_insert_with(fresh);
            for replica in assignment.iter().filter_map(|index| server.replicas.get(index)) {
                let port = match protocol {
                    Protocol::Http => replica.http_port,
                    Protocol::Grpc => replica.grpc_port,
                };
                cluster
                    .endpoints
                    .insert((replica.inference_service.clone(), u32::try_from(port).unwrap_or(0)));
            }
            cluster.users.insert((name.to_owned(), internal_name.clone()));
            self.to_add.insert(cluster_name);
        }
        let route = self.routes.entry(name.to_owned()).or_default();
        route.log_payloads |= version.deployment().is_some_and(|spec| spec.log_payloads);
        let split = Split { model: version.name().to_owned(), internal_name, weight };
        match share {
            Share::Answered => route.splits.push(split),
            Share::Mirrored => route.mirror = Some(split),
        }
    }

    /// Sets the route of a pipeline, replacing what was there.
    pub(crate) fn set_pipeline(&mut self, name: &str, route: PipelineRoute) {
        self.pipelines.insert(name.to_owned(), route);
    }

    /// Takes the route of a pipeline away.
    pub(crate) fn remove_pipeline(&mut self, name: &str) {
        self.pipelines.remove(name);
    }

    /// Clusters made or changed since the last call, with their names.
    pub(crate) fn take_added(&mut self) -> Vec<(String, Cluster)> {
        let names = std::mem::take(&mut self.to_add);
        names
            .into_iter()
            .filter_map(|name| self.clusters.get(&name).map(|cluster| (name.clone(), cluster.clone())))
            .collect()
    }

    /// Clusters that went since the last call and have not come back.
    pub(crate) fn take_removed(&mut self) -> Vec<String> {
        let names = std::mem::take(&mut self.to_remove);
        names.into_iter().filter(|name| !self.clusters.contains_key(name)).collect()
    }
}
