//! The controllers of an embedded cluster: scheduler, workloads, endpoints, namespaces, volumes and garbage.
//!
//! Each mimics its counterpart in kube-controller-manager or kube-scheduler 1.33: same objects, labels, conditions,
//! events. There is one watch a kind, shared by all; a controller hears of a change at once, looks at the whole of
//! what it is responsible for, and acts. Nothing polls. What is decided is decided by pure functions.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cluster;
mod daemon_set;
mod deployment;
mod discovery;
mod endpoints;
mod events;
mod garbage;
mod hash;
mod job;
mod namespaces;
mod owner;
mod pods;
mod queue;
mod replica_set;
mod scheduling;
mod stateful_set;
mod store;
mod tasks;
mod volumes;

use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use pace::Pace;
use tokio_util::sync::CancellationToken;

use cluster::{Cluster, Stores};
use events::Recorder;
use garbage::Garbage;
use queue::Queue;
use tasks::Tasks;

/// What the controllers need to know of the cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The factor of the long timers: progress deadlines.
    pub pace: Pace,
    /// The CA certificate that every namespace gets as ConfigMap `kube-root-ca.crt`.
    pub ca_pem: String,
}

/// Runs all controllers until `stop`; what they started ends with it, also when this future is dropped.
///
/// They work from the moment the first lists of their kinds are in. Errors of the API server are retried.
pub async fn run(client: kube::Client, settings: Settings, stop: CancellationToken) {
    let ended = stop.child_token();
    let _guard = ended.clone().drop_guard();
    let tasks = Tasks::until(ended);
    let cluster = Cluster {
        events: Recorder::start(client.clone(), &tasks),
        client: client.clone(),
        stores: Arc::new(Stores::default()),
        pace: settings.pace,
        tasks: tasks.clone(),
    };
    let namespaces = Queue::default();
    let garbage = Garbage::new(client, tasks.clone(), namespaces.clone());
    // Controllers listen before the first list, so that they hear of everything in it.
    scheduling::start(&cluster);
    replica_set::start(&cluster);
    deployment::start(&cluster);
    stateful_set::start(&cluster);
    daemon_set::start(&cluster);
    job::start(&cluster);
    endpoints::start(&cluster);
    volumes::start(&cluster);
    namespaces::start(&cluster, &garbage, namespaces, settings.ca_pem);
    garbage.start();
    let first_lists = [
        cluster.watch::<ConfigMap>(),
        cluster.watch::<ControllerRevision>(),
        cluster.watch::<DaemonSet>(),
        cluster.watch::<Deployment>(),
        cluster.watch::<EndpointSlice>(),
        cluster.watch::<Endpoints>(),
        cluster.watch::<Job>(),
        cluster.watch::<Namespace>(),
        cluster.watch::<Node>(),
        cluster.watch::<PersistentVolume>(),
        cluster.watch::<PersistentVolumeClaim>(),
        cluster.watch::<Pod>(),
        cluster.watch::<ReplicaSet>(),
        cluster.watch::<Service>(),
        cluster.watch::<ServiceAccount>(),
        cluster.watch::<StatefulSet>(),
    ];
    join_all(first_lists).await;
    tasks.mark_listed();
    stop.cancelled().await;
}

/// The reason of a refusal, without the wrapping.
fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
