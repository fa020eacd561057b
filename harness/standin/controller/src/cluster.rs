//! The API server as the reconcilers use it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// A namespaced kind.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Which namespaces the operator sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every one.
    All,
    /// These.
    Listed(BTreeSet<String>),
}

/// The API server.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
}

impl Cluster {
    /// The API server behind `client`.
    pub(crate) fn new(client: Client) -> Cluster {
        Cluster { client }
    }

    /// The client itself.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The watchable APIs of a kind within a reach.
    pub(crate) fn watched<K: Kind>(&self, reach: &Reach) -> Vec<Api<K>> {
        match reach {
            Reach::All => vec![Api::all(self.client.clone())],
            Reach::Listed(namespaces) => namespaces.iter().map(|namespace| self.api(namespace)).collect(),
        }
    }

    /// An object, if it is there.
    pub(crate) async fn find<K: Kind>(&self, namespace: &str, name: &str) -> Result<Option<K>, Failure> {
        Ok(self.api::<K>(namespace).get_opt(name).await?)
    }

    /// An object.
    pub(crate) async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Result<K, Failure> {
        self.find(namespace, name)
            .await?
            .ok_or_else(|| Failure::NotFound { kind: K::kind(&()).into_owned(), name: name.to_owned() })
    }

    /// All objects of a kind in a namespace, sorted by name, as the API server lists them.
    pub(crate) async fn list<K: Kind>(&self, namespace: &str) -> Result<Vec<K>, Failure> {
        Ok(self.api::<K>(namespace).list(&ListParams::default()).await?.items)
    }

    /// The objects of a kind in a namespace that carry a label.
    pub(crate) async fn list_labelled<K: Kind>(
        &self,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<K>, Failure> {
        Ok(self.api::<K>(namespace).list(&ListParams::default().labels(selector)).await?.items)
    }

    /// Creates an object.
    pub(crate) async fn create<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        Ok(self.api::<K>(&namespace_of(object)).create(&PostParams::default(), object).await?)
    }

    /// Replaces an object; fails when somebody else changed it since it was read.
    pub(crate) async fn update<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        let api = self.api::<K>(&namespace_of(object));
        Ok(api.replace(&object.name_any(), &PostParams::default(), object).await?)
    }

    /// Replaces an object's status; fails when somebody else changed the object since it was read.
    pub(crate) async fn update_status<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        let api = self.api::<K>(&namespace_of(object));
        Ok(api.replace_status(&object.name_any(), &PostParams::default(), object).await?)
    }

    /// Puts a finalizer on an object, unless it has it.
    pub(crate) async fn hold<K: Kind>(&self, mut object: K, finalizer: &str) -> Result<K, Failure> {
        if is_held(&object, finalizer) {
            return Ok(object);
        }
        object.finalizers_mut().push(finalizer.to_owned());
        self.update(&object).await
    }

    /// Takes a finalizer off an object.
    pub(crate) async fn let_go<K: Kind>(&self, mut object: K, finalizer: &str) -> Result<(), Failure> {
        object.finalizers_mut().retain(|one| one != finalizer);
        self.update(&object).await.map(drop)
    }

    /// Deletes an object.
    pub(crate) async fn delete<K: Kind>(&self, namespace: &str, name: &str) -> Result<(), Failure> {
        self.api::<K>(namespace).delete(name, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// Whether an object has a finalizer.
pub(crate) fn is_held<K: Kind>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|one| one == finalizer)
}

/// An object's namespace; all kinds here have one.
pub(crate) fn namespace_of<K: Kind>(object: &K) -> String {
    object.namespace().unwrap_or_default()
}

/// Tries up to five times, 10 ms apart, as long as somebody else is faster (client-go's `DefaultRetry`).
pub(crate) async fn retry_on_conflict<F>(mut attempt: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    for _ in 0..4 {
        match attempt().await {
            Err(failure) if failure.is_conflict() => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await
            }
            other => return other,
        }
    }
    attempt().await
}
