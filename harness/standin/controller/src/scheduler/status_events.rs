//! What the handlers of all status events have in common.

use kube::ResourceExt;
use seldon_proto::scheduler::KubernetesMeta;
use serde_json::json;

use super::Schedulers;
use crate::cluster::{Kind, retry_on_conflict};
use crate::dispatch::Dispatch;
use crate::failure::Failure;
use crate::journal::Journal;

impl Schedulers {
    /// Lets an object go that is being deleted; any other stays as it is.
    pub(super) async fn release_deleted<K: Dispatch>(&self, journal: &Journal, name: &str, namespace: &str) {
        let released = retry_on_conflict(|| async {
            let object: K = self.cluster.get(namespace, name).await?;
            if object.meta().deletion_timestamp.is_none() {
                return Ok(());
            }
            self.cluster.let_go(object, K::FINALIZER).await.inspect_err(|failure| {
                journal.error(Some(failure), "Failed to remove finalizer", &[(K::WORD, json!(name))], &[]);
            })
        });
        if let Err(failure) = released.await {
            journal.error(Some(&failure), "Failed to remove finalizer after retries", &[], &[]);
        }
    }

    /// Writes an object's status, or an event when that fails; `called` is the kind, as the event's text has it.
    pub(crate) async fn update_status<K: Kind>(&self, object: &K, called: &str) -> Result<(), Failure> {
        let Err(failure) = self.cluster.update_status(object).await else { return Ok(()) };
        self.recorder.update_failed(object, called, &failure).await;
        Err(failure)
    }
}

/// Whether an event is about another generation than the object's, which is logged with its name under `key`.
pub(super) fn is_outdated<K: Kind>(journal: &Journal, object: &K, meta: &KubernetesMeta, key: &str) -> bool {
    let generation = object.meta().generation.unwrap_or_default();
    if generation == meta.generation {
        return false;
    }
    let fields = [
        ("currentGeneration", json!(generation)),
        ("eventGeneration", json!(meta.generation)),
        (key, json!(object.name_any())),
    ];
    journal.info("Ignoring event for old generation", &fields);
    true
}
