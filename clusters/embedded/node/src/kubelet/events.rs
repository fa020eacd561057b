//! Events about pods, as the kubelet's recorder writes them: repeated ones are counted on one object.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Normal,
    Warning,
}

/// Which part of the pod an event is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About<'a> {
    Pod,
    Container(&'a str),
    InitContainer(&'a str),
}

struct Entry {
    namespace: String,
    pod: serde_json::Value,
    pod_name: String,
    kind: Kind,
    reason: &'static str,
    message: String,
    time: Timestamp,
}

/// Takes events and writes them in order, in the background.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    entries: mpsc::UnboundedSender<Entry>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.reason, self.message)
    }
}

impl Events {
    /// Starts the writer; it ends when the last sender is dropped.
    pub(crate) fn start(client: kube::Client, node: String) -> Events {
        let (entries, receiver) = mpsc::unbounded_channel();
        tokio::spawn(write(client, node, receiver));
        Events { entries }
    }

    pub(crate) fn emit(
        &self,
        pod: &Pod,
        about: About<'_>,
        kind: Kind,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let mut object = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": pod.metadata.namespace,
            "name": pod.metadata.name,
            "uid": pod.metadata.uid,
            "resourceVersion": pod.metadata.resource_version,
        });
        match about {
            About::Pod => {}
            About::Container(name) => object["fieldPath"] = json!(format!("spec.containers{{{name}}}")),
            About::InitContainer(name) => {
                object["fieldPath"] = json!(format!("spec.initContainers{{{name}}}"))
            }
        }
        // The writer ends with the node only.
        let _ = self.entries.send(Entry {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            pod: object,
            pod_name: pod.metadata.name.clone().unwrap_or_default(),
            kind,
            reason,
            message: message.into(),
            time: Timestamp::now(),
        });
    }
}

type Key = (String, String, Kind, &'static str, String);

async fn write(client: kube::Client, node: String, mut entries: mpsc::UnboundedReceiver<Entry>) {
    let mut written: HashMap<Key, (String, i32)> = HashMap::new();
    let mut number = Timestamp::now().as_microsecond();
    while let Some(entry) = entries.recv().await {
        let api: Api<Event> = Api::namespaced(client.clone(), &entry.namespace);
        let about = format!("{}/{}", entry.pod["uid"], entry.pod["fieldPath"]);
        let key = (entry.namespace.clone(), about, entry.kind, entry.reason, entry.message.clone());
        let time = entry.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if let Some((name, count)) = written.get_mut(&key) {
            *count += 1;
            let patch = Patch::Merge(json!({"count": *count, "lastTimestamp": time}));
            if api
                .patch(
                    name,
                    &PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() },
                    &patch,
                )
                .await
                .is_ok()
            {
                continue;
            }
        }
        number += 1;
        let name = format!("{}.{number:016x}", entry.pod_name);
        let event = json!({
            "metadata": {"name": name, "namespace": entry.namespace},
            "involvedObject": entry.pod,
            "reason": entry.reason,
            "message": entry.message,
            "type": match entry.kind { Kind::Normal => "Normal", Kind::Warning => "Warning" },
            "source": {"component": "kubelet", "host": node},
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
            "reportingComponent": "kubelet",
            "reportingInstance": node,
        });
        let Ok(event) = serde_json::from_value(event) else { continue };
        match api
            .create(
                &PostParams { field_manager: Some("kubelet".to_owned()), ..PostParams::default() },
                &event,
            )
            .await
        {
            Ok(_) => {
                written.insert(key, (name, 1));
            }
            // The namespace is going away, or the server is: an event is not worth a retry.
            Err(error) => tracing::debug!(%error, reason = entry.reason, "an event was not written"),
        }
    }
}
