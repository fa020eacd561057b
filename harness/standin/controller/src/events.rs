//! Kubernetes events, counted as client-go's recorder counts them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use seldon_crds::Condition;
use serde_json::json;

use crate::cluster::{Cluster, Kind, namespace_of};
use crate::condition_set::is_ready;
use crate::failure::Failure;

/// How an event is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tone {
    Normal,
    Warning,
}

/// How `Ready` changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It holds now.
    Begun,
    /// It holds no longer.
    Ceased,
    /// Neither.
    Same,
}

impl Turn {
    /// From the conditions before to those after.
    pub(crate) fn between(before: &[Condition], after: &[Condition]) -> Turn {
        match (is_ready(before), is_ready(after)) {
            (false, true) => Turn::Begun,
            (true, false) => Turn::Ceased,
            _ => Turn::Same,
        }
    }
}

/// Writes events about objects. Failures are dropped, as client-go drops them.
#[derive(Clone)]
pub(crate) struct Recorder {
    cluster: Cluster,
    component: &'static str,
    seen: Arc<Mutex<HashMap<Key, (String, i32)>>>,
}

type Key = (String, String, Tone, String, String);

impl Recorder {
    /// A recorder for one part of the operator, such as `scheduler-client`.
    pub(crate) fn new(cluster: Cluster, component: &'static str) -> Recorder {
        Recorder { cluster, component, seen: Arc::default() }
    }

    /// Writes an event about `object`, or counts it up when it was written before.
    pub(crate) async fn event<K: Kind>(&self, object: &K, tone: Tone, reason: &str, message: &str) {
        let namespace = namespace_of(object);
        let key = (
            object.uid().unwrap_or_default(),
            object.name_any(),
            tone,
            reason.to_owned(),
            message.to_owned(),
        );
        let api: Api<Event> = Api::namespaced(self.cluster.client(), &namespace);
        let now = jiff::Timestamp::now();
        if let Some((name, count)) = self.count_up(&key) {
            let again = json!({"count": count, "lastTimestamp": Time(now)});
            if api.patch(&name, &PatchParams::default(), &Patch::Merge(again)).await.is_ok() {
                return;
            }
        }
        let event = new_event(object, self.component, tone, reason, message, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        if api.create(&Default::default(), &event).await.is_ok()
            && let Ok(mut seen) = self.seen.lock()
        {
            seen.insert(key, (name, 1));
        }
    }

    /// Tells that an object's status could not be written; `called` is the kind, as the text has it.
    pub(crate) async fn update_failed<K: Kind>(&self, object: &K, called: &str, failure: &Failure) {
        let message = format!("Failed to update status for {called} \"{}\": {failure}", object.name_any());
        self.event(object, Tone::Warning, "UpdateFailed", &message).await;
    }

    /// Tells that an object became ready or is so no longer. The text begins with `subject`; the reasons are those of
    /// beginning and of ceasing.
    pub(crate) async fn turned<K: Kind>(
        &self,
        object: &K,
        turn: Turn,
        subject: &str,
        [begun, ceased]: [&str; 2],
    ) {
        let (tone, reason, message) = match turn {
            Turn::Begun => (Tone::Normal, begun, format!("{subject} is Ready")),
            Turn::Ceased => (Tone::Warning, ceased, format!("{subject} is no longer Ready")),
            Turn::Same => return,
        };
        self.event(object, tone, reason, &message).await;
    }

    fn count_up(&self, key: &Key) -> Option<(String, i32)> {
        let mut seen = self.seen.lock().ok()?;
        let entry = seen.get_mut(key)?;
        entry.1 += 1;
        Some(entry.clone())
    }
}

fn new_event<K: Kind>(
    object: &K,
    component: &'static str,
    tone: Tone,
    reason: &str,
    message: &str,
    now: jiff::Timestamp,
) -> Event {
    let name = object.name_any();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            namespace: Some(namespace_of(object)),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(K::api_version(&()).into_owned()),
            kind: Some(K::kind(&()).into_owned()),
            name: Some(name),
            namespace: Some(namespace_of(object)),
            resource_version: object.resource_version(),
            uid: object.uid(),
            field_path: None,
        },
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        type_: Some(match tone {
            Tone::Normal => "Normal".to_owned(),
            Tone::Warning => "Warning".to_owned(),
        }),
        source: Some(EventSource { component: Some(component.to_owned()), host: None }),
        reporting_component: Some(component.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}
