//! Events about objects: the same event again counts up.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc;

use crate::tasks::Tasks;

/// Whether an event tells of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Normal,
    Warning,
}

/// Which of the two forms of events a component writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `source.component`, first and last time, a count.
    Counted,
    /// `reportingComponent`, one event time: the scheduler's.
    Timed,
}

#[derive(Debug)]
struct Note {
    about: ObjectReference,
    component: &'static str,
    form: Form,
    tone: Tone,
    reason: &'static str,
    message: String,
}

/// Writes events without keeping a controller waiting.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    notes: mpsc::UnboundedSender<Note>,
}

impl Recorder {
    /// A recorder whose events are written in order by one task.
    pub(crate) fn start(client: Client, tasks: &Tasks) -> Recorder {
        let (notes, mut incoming) = mpsc::unbounded_channel::<Note>();
        tasks.spawn(async move {
            let mut written: HashMap<(String, &'static str, String), (String, i32)> = HashMap::new();
            while let Some(note) = incoming.recv().await {
                if let Err(error) = write(&client, &note, &mut written).await {
                    // An event is a courtesy: a namespace that is going away takes none.
                    tracing::debug!("event {} of {:?}: {error}", note.reason, note.about.name);
                }
            }
        });
        Recorder { notes }
    }

    /// An event of a controller of the controller manager.
    pub(crate) fn note<K>(
        &self,
        about: &K,
        component: &'static str,
        tone: Tone,
        reason: &'static str,
        message: String,
    ) where
        K: Resource<DynamicType = ()>,
    {
        let note =
            Note { about: about.object_ref(&()), component, form: Form::Counted, tone, reason, message };
        let _ = self.notes.send(note);
    }

    /// An event of the scheduler.
    pub(crate) fn scheduled<K>(&self, about: &K, tone: Tone, reason: &'static str, message: String)
    where
        K: Resource<DynamicType = ()>,
    {
        let about = about.object_ref(&());
        let note = Note { about, component: "default-scheduler", form: Form::Timed, tone, reason, message };
        let _ = self.notes.send(note);
    }
}

async fn write(
    client: &Client,
    note: &Note,
    written: &mut HashMap<(String, &'static str, String), (String, i32)>,
) -> Result<(), kube::Error> {
    let namespace = note.about.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let now = Timestamp::now();
    let same = (note.about.uid.clone().unwrap_or_default(), note.reason, note.message.clone());
    if let (Form::Counted, Some((name, count))) = (note.form, written.get_mut(&same)) {
        *count += 1;
        let patch = json!({ "count": *count, "lastTimestamp": Time(now) });
        if api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.is_ok() {
            return Ok(());
        }
    }
    let timed = note.form == Form::Timed;
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", note.about.name.as_deref().unwrap_or("x"), now.as_nanosecond())),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: note.about.clone(),
        reason: Some(note.reason.to_owned()),
        message: Some(note.message.clone()),
        type_: Some(
            match note.tone {
                Tone::Normal => "Normal",
                Tone::Warning => "Warning",
            }
            .to_owned(),
        ),
        source: Some(EventSource { component: (!timed).then(|| note.component.to_owned()), host: None }),
        count: (!timed).then_some(1),
        first_timestamp: (!timed).then_some(Time(now)),
        last_timestamp: (!timed).then_some(Time(now)),
        event_time: timed.then_some(MicroTime(now)),
        action: timed.then(|| if note.tone == Tone::Normal { "Binding" } else { "Scheduling" }.to_owned()),
        reporting_component: Some(note.component.to_owned()),
        reporting_instance: Some(if timed { format!("{}-0", note.component) } else { String::new() }),
        ..Event::default()
    };
    let made = api.create(&PostParams::default(), &event).await?;
    written.insert(same, (made.name_any(), 1));
    Ok(())
}
