//! Watches: a stream of changes, one JSON document a line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use embedded_machinery::table::IncludeObject;
use futures::Stream;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Call, Selection};
use crate::failure::{Failure, Outcome};
use crate::media::{Form, Wanted};
use crate::options::ListOptions;
use crate::reply;
use crate::store::{Change, ChangeKind, Entry, ReadError, Snapshot};
use crate::view;

/// How many changes are taken from the store at once.
const BATCH: usize = 256;
/// How often a watch that asked for bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lasts that names no time-out: between this and twice this.
const SHORTEST_WATCH: u64 = 1800;
/// A longer time-out than this is this: a year.
const LONGEST_WATCH: u64 = 365 * 24 * 3600;

/// How events of one watch are written.
#[derive(Debug, Clone)]
struct Writer {
    call: Call,
    wanted: Wanted,
    include: IncludeObject,
    /// A Table's columns are sent once, with the first event.
    columns_sent: bool,
}

impl Call {
    /// `GET` of a collection with `watch`.
    pub(crate) fn watch(&self, wanted: Wanted, include: IncludeObject) -> Outcome<Response<Body>> {
        let options = ListOptions::read(&self.query, true)?;
        let selection = Selection::read(&self.resource, &options, &self.namespace, &self.name)?;
        self.expect_reached(options.resource_version)?;
        let writer = Writer { call: self.clone(), wanted, include, columns_sent: false };
        let seconds = options.timeout_seconds.filter(|seconds| *seconds > 0).map(|it| it.min(LONGEST_WATCH));
        let seconds = seconds.unwrap_or_else(|| SHORTEST_WATCH + rand::random_range(0..SHORTEST_WATCH));
        let deadline = Instant::now() + Duration::from_secs(seconds);
        // Begun before the answer, so that the watch is of this moment however late its reader reads.
        let start = match options.resource_version.filter(|version| *version > 0) {
            Some(version) if !options.send_initial_events => Start::After(version),
            _ => Start::With(self.state.store.list(&self.resource.shelf, &self.namespace)),
        };
        let wake = self.state.store.changes(&self.resource.shelf);
        let body = Body::from_stream(events(writer, selection, options, start, wake, deadline));
        Ok(reply::response(StatusCode::OK, wanted.encoding.content_type(), body))
    }
}

/// Where a watch begins.
enum Start {
    /// With changes after a version.
    After(u64),
    /// With the objects of a moment.
    With(Snapshot),
}

/// The events of a watch: the present objects where the watch begins without a version, then every change.
fn events(
    mut writer: Writer,
    selection: Selection,
    options: ListOptions,
    start: Start,
    mut wake: tokio::sync::watch::Receiver<u64>,
    deadline: Instant,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    async_stream::stream! {
        let state = writer.call.state.clone();
        let shelf = writer.call.resource.shelf.clone();
        let mut reached = match start {
            Start::After(version) => version,
            Start::With(snapshot) => {
                for chunk in snapshot.entries.chunks(BATCH) {
                    let taken = chunk.iter().filter(|entry| selection.takes_entry(entry));
                    let lines: Vec<u8> = taken.flat_map(|entry| writer.event("ADDED", entry)).collect();
                    if !lines.is_empty() {
                        yield Ok(Bytes::from(lines));
                    }
                }
                if options.send_initial_events && options.bookmarks {
                    yield Ok(Bytes::from(writer.bookmark(snapshot.revision, true)));
                }
                snapshot.revision
            }
        };
        // The kind is no longer served: what happened until then is still told.
        let mut withdrawn = false;
        let mut next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
        loop {
            wake.borrow_and_update();
            let (changes, complete) = match state.store.changes_since(&shelf, reached, BATCH) {
                Ok(found) => found,
                Err(error) => {
                    yield Ok(Bytes::from(writer.too_old(reached, error)));
                    return;
                }
            };
            let more = changes.len() == BATCH;
            let lines: Vec<u8> =
                changes.iter().filter_map(|change| seen(&selection, change)).flat_map(|(kind, entry)| writer.event(kind, entry)).collect();
            reached = complete;
            if !lines.is_empty() {
                yield Ok(Bytes::from(lines));
            }
            if more {
                continue;
            }
            if withdrawn {
                return;
            }
            tokio::select! {
                changed = wake.changed() => withdrawn = changed.is_err(),
                () = tokio::time::sleep_until(deadline) => return,
                () = state.stop.cancelled() => return,
                () = tokio::time::sleep_until(next_bookmark), if options.bookmarks => {
                    next_bookmark += BOOKMARK_INTERVAL;
                    yield Ok(Bytes::from(writer.bookmark(reached, false)));
                }
            }
        }
    }
}

/// What a change looks like through a selection: an object that begins to match is added, one that ceases is deleted.
fn seen<'a>(selection: &Selection, change: &'a Change) -> Option<(&'static str, &'a Arc<Entry>)> {
    let before = change.previous.as_ref().is_some_and(|entry| selection.takes_entry(entry));
    let after = change.kind != ChangeKind::Deleted && selection.takes_entry(&change.entry);
    match (before, after) {
        (false, true) => Some(("ADDED", &change.entry)),
        (true, true) => Some(("MODIFIED", &change.entry)),
        (true, false) => Some(("DELETED", &change.entry)),
        (false, false) => None,
    }
}

impl Writer {
    fn event(&mut self, kind: &str, entry: &Entry) -> Vec<u8> {
        let resource = &self.call.resource;
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        match self.wanted.form {
            Form::Whole => line.extend_from_slice(&view::json(resource, entry)),
            Form::Metadata => line.extend_from_slice(view::partial(&entry.value).to_string().as_bytes()),
            Form::Table => line.extend_from_slice(self.table(entry).to_string().as_bytes()),
        }
        line.extend_from_slice(b"}\n");
        line
    }

    fn table(&mut self, entry: &Entry) -> Value {
        let resource = &self.call.resource;
        let object = view::value(resource, &entry.value).into_owned();
        let metadata = json!({"resourceVersion": entry.revision.to_string()});
        let mut table = reply::table(resource, &[object], self.include, metadata);
        if std::mem::replace(&mut self.columns_sent, true) {
            table["columnDefinitions"] = Value::Null;
        }
        table
    }

    /// A bookmark: an object of the kind with nothing but its version, and the mark of the end of the initial events.
    fn bookmark(&mut self, revision: u64, initial_events_end: bool) -> Vec<u8> {
        let resource = &self.call.resource;
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.wanted.form {
            Form::Whole => {
                json!({"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})
            }
            Form::Metadata => view::partial(&json!({"metadata": metadata})),
            Form::Table => {
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "rows": []})
            }
        };
        format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into_bytes()
    }

    fn too_old(&self, reached: u64, error: ReadError) -> Vec<u8> {
        let oldest = match error {
            ReadError::TooOld { oldest } => oldest,
            ReadError::InFuture { current } => current,
        };
        let failure = Failure::expired(format!("too old resource version: {reached} ({oldest})"));
        format!("{}\n", json!({"type": "ERROR", "object": failure.to_value()})).into_bytes()
    }
}
