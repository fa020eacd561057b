//! The cluster as the controllers share it: one store and one watch a kind, and the ways to change objects.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use pace::Pace;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::events::Recorder;
use crate::queue::unless_gone;
use crate::store::{Key, Store};
use crate::tasks::Tasks;

/// The stores of all kinds that have a controller.
#[derive(Default)]
pub(crate) struct Stores {
    pub(crate) config_maps: Store<ConfigMap>,
    pub(crate) daemon_sets: Store<DaemonSet>,
    pub(crate) deployments: Store<Deployment>,
    pub(crate) endpoints: Store<Endpoints>,
    pub(crate) jobs: Store<Job>,
    pub(crate) namespaces: Store<Namespace>,
    pub(crate) nodes: Store<Node>,
    pub(crate) claims: Store<PersistentVolumeClaim>,
    pub(crate) pods: Store<Pod>,
    pub(crate) replica_sets: Store<ReplicaSet>,
    pub(crate) revisions: Store<ControllerRevision>,
    pub(crate) service_accounts: Store<ServiceAccount>,
    pub(crate) services: Store<Service>,
    pub(crate) slices: Store<EndpointSlice>,
    pub(crate) stateful_sets: Store<StatefulSet>,
    pub(crate) volumes: Store<PersistentVolume>,
}

/// A kind that has a store.
pub(crate) trait Stored:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its store.
    fn store(stores: &Stores) -> &Store<Self>;
    /// The API for one namespace; the namespace is ignored for cluster-wide kinds.
    fn api(client: &Client, namespace: &str) -> Api<Self>;
}

macro_rules! stored {
    ($($kind:ty => $field:ident $scope:ident;)*) => {$(
        impl Stored for $kind {
            fn store(stores: &Stores) -> &Store<Self> {
                &stores.$field
            }
            fn api(client: &Client, namespace: &str) -> Api<Self> {
                stored!($scope client namespace)
            }
        }
    )*};
    (namespaced $client:ident $namespace:ident) => { Api::namespaced($client.clone(), $namespace) };
    (cluster $client:ident $namespace:ident) => {{ let _ = $namespace; Api::all($client.clone()) }};
}

stored! {
    ConfigMap => config_maps namespaced;
    ControllerRevision => revisions namespaced;
    DaemonSet => daemon_sets namespaced;
    Deployment => deployments namespaced;
    EndpointSlice => slices namespaced;
    Endpoints => endpoints namespaced;
    Job => jobs namespaced;
    Namespace => namespaces cluster;
    Node => nodes cluster;
    PersistentVolume => volumes cluster;
    PersistentVolumeClaim => claims namespaced;
    Pod => pods namespaced;
    ReplicaSet => replica_sets namespaced;
    Service => services namespaced;
    ServiceAccount => service_accounts namespaced;
    StatefulSet => stateful_sets namespaced;
}

/// What every controller works with.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) stores: Arc<Stores>,
    pub(crate) events: Recorder,
    pub(crate) pace: Pace,
    pub(crate) tasks: Tasks,
}

impl Cluster {
    /// Creates an object; its store knows it when this returns.
    pub(crate) async fn create<K: Stored>(&self, object: &K) -> Result<Arc<K>, kube::Error> {
        let namespace = object.namespace().unwrap_or_default();
        let made = K::api(&self.client, &namespace).create(&PostParams::default(), object).await?;
        Ok(K::store(&self.stores).put(made))
    }

    /// Replaces an object if it is still the one that was read.
    pub(crate) async fn replace<K: Stored>(&self, object: &K) -> Result<Arc<K>, kube::Error> {
        let api = K::api(&self.client, &object.namespace().unwrap_or_default());
        let made = api.replace(&object.name_any(), &PostParams::default(), object).await?;
        Ok(K::store(&self.stores).put(made))
    }

    /// Replaces an object's status if it is still the one that was read.
    pub(crate) async fn replace_status<K: Stored>(&self, object: &K) -> Result<Arc<K>, kube::Error> {
        let api = K::api(&self.client, &object.namespace().unwrap_or_default());
        let made =
            api.replace_subresource("status", &object.name_any(), &PostParams::default(), object).await?;
        Ok(K::store(&self.stores).put(made))
    }

    /// Applies a merge patch; nothing when the object is gone.
    pub(crate) async fn patch<K: Stored>(
        &self,
        key: &Key,
        patch: &serde_json::Value,
    ) -> Result<(), kube::Error> {
        let api = K::api(&self.client, &key.namespace);
        if let Some(made) =
            unless_gone(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)?
        {
            K::store(&self.stores).put(made);
        }
        Ok(())
    }

    /// Deletes an object if it still has the uid that was read; nothing when it is gone.
    pub(crate) async fn delete<K: Stored>(&self, object: &K) -> Result<(), kube::Error> {
        let key = Key::of(object);
        let preconditions = Preconditions { uid: object.uid(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let deleted = unless_gone(K::api(&self.client, &key.namespace).delete(&key.name, &parameters).await)?;
        let store = K::store(&self.stores);
        // Still there, on its way out; or gone.
        match deleted
            .and_then(|deleted| deleted.left())
            .filter(|left| left.meta().deletion_timestamp.is_some())
        {
            Some(left) => {
                store.put(left);
            }
            None => store.remove(&key, object.uid().as_deref()),
        }
        Ok(())
    }

    /// Starts the watch of one kind; the receiver hears when the first list is in.
    pub(crate) fn watch<K: Stored>(&self) -> oneshot::Receiver<()> {
        let (listed, first_list) = oneshot::channel();
        let cluster = self.clone();
        self.tasks.spawn(async move {
            let mut listed = Some(listed);
            let api: Api<K> = Api::all(cluster.client.clone());
            let events = watcher(api, watcher::Config::default()).default_backoff();
            pin_mut!(events);
            let store = K::store(&cluster.stores);
            let mut gone: Vec<Key> = Vec::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init) => gone = store.keys(),
                    Ok(watcher::Event::InitApply(object)) => {
                        let key = Key::of(&object);
                        gone.retain(|known| *known != key);
                        store.put(object);
                    }
                    Ok(watcher::Event::InitDone) => {
                        gone.drain(..).for_each(|key| store.remove(&key, None));
                        listed.take().map(|listed| listed.send(()));
                    }
                    Ok(watcher::Event::Apply(object)) => {
                        store.put(object);
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        store.remove(&Key::of(&object), object.uid().as_deref())
                    }
                    Err(error) => tracing::warn!(kind = %K::kind(&()), "watch: {error}"),
                }
            }
        });
        first_list
    }
}
