//! All controllers together.

use std::sync::Arc;
use std::time::Duration;

use gonet::ConnectOptions;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{Client, ResourceExt};
use pace::Pace;
use seldon_crds::{Experiment, Model, Pipeline, SeldonConfig, SeldonRuntime, Server, ServerConfig};

use crate::cluster::{Cluster, Kind, Reach, namespace_of};
use crate::dispatch::{Dispatch, Dispatcher};
use crate::events::Recorder;
use crate::journal::Journal;
use crate::runtime::RuntimeReconciler;
use crate::scheduler::Schedulers;
use crate::server::ServerReconciler;
use crate::sources::{self, Predicate};
use crate::work_queue::{Request, WorkQueue, work};

/// What an operator needs to know.
pub(crate) struct Operator {
    pub(crate) client: Client,
    pub(crate) journal: Journal,
    pub(crate) pace: Pace,
    /// How long one reconcile may take.
    pub(crate) reconcile_limit: Duration,
    /// The namespaces that are watched.
    pub(crate) reach: Reach,
    /// The own namespace, where configurations are looked for.
    pub(crate) home: String,
    /// The schedulers' port, 9004.
    pub(crate) scheduler_port: u16,
    /// How schedulers are dialled.
    pub(crate) connect: ConnectOptions,
}

impl Operator {
    /// Starts every controller; they work until the runtime ends.
    pub(crate) fn start(self) {
        let cluster = Cluster::new(self.client.clone());
        let schedulers = Schedulers::new(
            cluster.clone(),
            &self.journal,
            self.pace,
            self.scheduler_port,
            self.connect.clone(),
        );
        self.start_dispatcher::<Model>(&cluster, &schedulers);
        self.start_dispatcher::<Pipeline>(&cluster, &schedulers);
        self.start_dispatcher::<Experiment>(&cluster, &schedulers);
        self.start_servers(&cluster, &schedulers);
        self.start_runtimes(&cluster, &schedulers);
    }

    fn start_dispatcher<K: Dispatch>(&self, cluster: &Cluster, schedulers: &Arc<Schedulers>) {
        let queue = WorkQueue::new(self.pace, self.reconcile_limit);
        sources::own::<K>(cluster, &self.reach, Predicate::NewGeneration, &queue);
        let reconciler = Dispatcher::<K>::new(cluster, schedulers);
        tokio::spawn(work(reconciler, queue, self.journal.clone()));
    }

    fn start_servers(&self, cluster: &Cluster, schedulers: &Arc<Schedulers>) {
        let queue = WorkQueue::new(self.pace, self.reconcile_limit);
        sources::own::<Server>(cluster, &self.reach, Predicate::Any, &queue);
        sources::owned::<StatefulSet, Server>(cluster, &self.reach, &queue);
        sources::owned::<Service, Server>(cluster, &self.reach, &queue);
        let follows = |server: &Server, config: &ServerConfig| {
            !server.spec.disable_auto_update && server.spec.server_config == config.name_any()
        };
        self.follow::<ServerConfig, Server>(cluster, &queue, follows);
        let reconciler = ServerReconciler {
            cluster: cluster.clone(),
            schedulers: schedulers.clone(),
            recorder: Recorder::new(cluster.clone(), "server-controller"),
            home: self.home.clone(),
        };
        tokio::spawn(work(reconciler, queue, self.journal.clone()));
    }

    fn start_runtimes(&self, cluster: &Cluster, schedulers: &Arc<Schedulers>) {
        let (queue, reach) = (WorkQueue::new(self.pace, self.reconcile_limit), &self.reach);
        sources::own::<SeldonRuntime>(cluster, reach, Predicate::Any, &queue);
        sources::owned::<StatefulSet, SeldonRuntime>(cluster, reach, &queue);
        sources::owned::<Deployment, SeldonRuntime>(cluster, reach, &queue);
        sources::owned::<Service, SeldonRuntime>(cluster, reach, &queue);
        sources::owned::<Role, SeldonRuntime>(cluster, reach, &queue);
        sources::owned::<RoleBinding, SeldonRuntime>(cluster, reach, &queue);
        sources::owned::<ServiceAccount, SeldonRuntime>(cluster, reach, &queue);
        sources::owned::<ConfigMap, SeldonRuntime>(cluster, reach, &queue);
        let follows = |runtime: &SeldonRuntime, config: &SeldonConfig| {
            !runtime.spec.disable_auto_update && runtime.spec.seldon_config == config.name_any()
        };
        self.follow::<SeldonConfig, SeldonRuntime>(cluster, &queue, follows);
        let reconciler = RuntimeReconciler {
            cluster: cluster.clone(),
            schedulers: schedulers.clone(),
            recorder: Recorder::new(cluster.clone(), "seldonruntime-controller"),
            home: self.home.clone(),
        };
        tokio::spawn(work(reconciler, queue, self.journal.clone()));
    }

    /// Queues the objects that follow a configuration whenever it changes.
    fn follow<Config: Kind, Follower: Kind>(
        &self,
        cluster: &Cluster,
        queue: &Arc<WorkQueue>,
        follows: impl Fn(&Follower, &Config) -> bool + Clone + Send + Sync + 'static,
    ) {
        let (cluster_of_followers, reach, queue) = (cluster.clone(), self.reach.clone(), queue.clone());
        sources::mapped(cluster, &self.reach, move |config: Config| {
            let apis = cluster_of_followers.watched::<Follower>(&reach);
            let (queue, follows) = (queue.clone(), follows.clone());
            tokio::spawn(async move {
                for api in apis {
                    let Ok(list) = api.list(&Default::default()).await else { continue };
                    for follower in list.items.iter().filter(|follower| follows(follower, &config)) {
                        queue.add(Request { namespace: namespace_of(follower), name: follower.name_any() });
                    }
                }
            });
        });
    }
}

#[cfg(test)]
mod tests;
