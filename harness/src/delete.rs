//! Deleting: pods that come again, and objects that may take their time.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;

use crate::claim::Claim;
use crate::look::{Look, PodQuery, Seen};
use crate::object::{Kind, ObjectRef};
use crate::world::World;

impl World {
    /// Deletes a pod of which a workload makes another, and waits until that one is there; Ready it need not be.
    ///
    /// # Errors
    /// The API server's, or that no other pod comes.
    pub async fn replace_pod(&self, query: &PodQuery) -> anyhow::Result<()> {
        self.step(format!("delete the pod of {}", query.name))?;
        let old = self.pod(query).await?.metadata;
        let pods: Api<Pod> = Api::namespaced(self.hand()?.clone(), &query.namespace);
        pods.delete(&old.name.unwrap_or_default(), &DeleteParams::default()).await?;
        let look = Look::Objects {
            kind: Kind::Pod,
            namespace: query.namespace.clone(),
            labels: query.labels.clone(),
        };
        let uid = old.uid.unwrap_or_default();
        let replaced = Claim::new(format!("{} has another pod", query.name), look, move |seen| {
            let Seen::Objects(pods) = seen else { return false };
            let alive = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            alive.into_iter().any(|pod| pod["metadata"]["uid"] != uid.as_str())
        });
        self.eventually(replaced).await.map(|_| ())
    }

    /// Deletes an object and does not wait for its end.
    ///
    /// # Errors
    /// The API server's.
    pub async fn begin_to_delete(&self, object: &ObjectRef) -> anyhow::Result<()> {
        self.step(format!("delete {object}"))?;
        Ok(object.delete(self.hand()?).await?)
    }
}
