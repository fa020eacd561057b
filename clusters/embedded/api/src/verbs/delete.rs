//! Deleting objects: preconditions, grace, finalizers and propagation.

use std::sync::Arc;

use embedded_machinery::status::Status;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Selection};
use crate::catalog::Resource;
use crate::failure::{Failure, Outcome};
use crate::options::{ListOptions, Persistence};
use crate::reply::{Document, List, Reply};
use crate::store::Entry;
use crate::{admission, object, view};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
const ATTEMPTS: usize = 64;
/// Said when a Job is deleted without a word about its pods.
const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to \
     remove them or set propagationPolicy=Orphan to suppress this warning";

/// `meta/v1` DeleteOptions, from the body or from the query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    grace_seconds: Option<i64>,
    propagation: Option<Propagation>,
    uid: Option<String>,
    resource_version: Option<String>,
    dry_run: bool,
}

/// What becomes of an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Orphan,
    Background,
    Foreground,
}

impl DeleteOptions {
    fn read(call: &Call, body: &Value) -> Outcome<DeleteOptions> {
        let query = &call.query;
        let text = |path: &[&str]| object::field(body, path).and_then(Value::as_str).map(str::to_owned);
        let named =
            text(&["propagationPolicy"]).or_else(|| query.get("propagationPolicy").map(str::to_owned));
        let orphan = match body.get("orphanDependents").and_then(Value::as_bool) {
            None if query.get("orphanDependents").is_some() => Some(query.flag("orphanDependents")),
            given => given,
        };
        let propagation = match (named.as_deref(), orphan) {
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
            (Some(other), _) => {
                return Err(Failure::bad_request(format!(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {other:?}: \
                     supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                )));
            }
        };
        let dry_run = call.write_options()?.persistence == Persistence::DryRun
            || body["dryRun"].as_array().is_some_and(|values| values.iter().any(|value| value == "All"));
        Ok(DeleteOptions {
            grace_seconds: body["gracePeriodSeconds"].as_i64().or(query.number("gracePeriodSeconds")?),
            propagation,
            uid: text(&["preconditions", "uid"]),
            resource_version: text(&["preconditions", "resourceVersion"]),
            dry_run,
        })
    }
}

/// What a deletion does next.
enum Step {
    /// Nothing more to set: the object already waits.
    Waiting,
    /// Keep the object, marked.
    Mark(Value),
    /// Remove it.
    Remove(Value),
}

/// Whether nothing holds back an object that is being deleted.
pub(super) fn is_released(resource: &Resource, value: &Value) -> bool {
    let grace = object::field(value, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    let spec_finalizers = object::field(value, &["spec", "finalizers"]).and_then(Value::as_array);
    object::is_deleting(value)
        && object::finalizers(value).is_empty()
        && grace.unwrap_or(0) == 0
        && !(resource.is_core("Namespace") && spec_finalizers.is_some_and(|list| !list.is_empty()))
}

impl Call {
    /// `DELETE` of one object.
    pub(crate) fn delete(&self, body: &Value) -> Outcome<Reply> {
        self.expect_namespace()?;
        let options = DeleteOptions::read(self, body)?;
        let mut reply = self.delete_with(&options)?;
        if self.resource.is_job() && options.propagation.is_none() {
            reply.warnings.push(PODS_STAY.to_owned());
        }
        Ok(reply)
    }

    fn delete_with(&self, options: &DeleteOptions) -> Outcome<Reply> {
        admission::before_delete(self)?;
        let (store, shelf) = (&self.state.store, &self.resource.shelf);
        for _ in 0..ATTEMPTS {
            let current = self.current()?;
            self.check_preconditions(&current, options)?;
            let step = next_step(&self.resource, &current.value, options);
            let changed = match (step, options.dry_run) {
                (Step::Waiting, _) | (Step::Mark(_), true) => {
                    return Ok(Reply::ok(Document::Stored(current)));
                }
                (Step::Remove(_), true) => return Ok(self.deleted(&current)),
                (Step::Mark(value), false) => match store.replace(shelf, current.revision, value) {
                    Ok(entry) => Some(Ok(entry)),
                    Err(_) => None,
                },
                (Step::Remove(value), false) => store.remove(shelf, current.revision, value).ok().map(Err),
            };
            match changed {
                Some(Ok(marked)) => {
                    admission::after_write(self, &marked);
                    return Ok(Reply::ok(Document::Stored(marked)));
                }
                Some(Err(gone)) => {
                    admission::after_delete(self, &gone);
                    return Ok(self.deleted(&gone));
                }
                None => {}
            }
        }
        Err(Failure::modified(&self.resource, &self.name))
    }

    fn check_preconditions(&self, current: &Entry, options: &DeleteOptions) -> Outcome<()> {
        let (uid, version) = (object::uid(&current.value), current.revision.to_string());
        let checks =
            [("UID", &options.uid, uid), ("ResourceVersion", &options.resource_version, version.as_str())];
        for (what, wanted, actual) in checks {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != actual) {
                let why = format!(
                    "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}"
                );
                return Err(Failure::conflict(&self.resource, &self.name, &why));
            }
        }
        Ok(())
    }

    /// The answer to a deletion that is done: pods come back as they last were, the rest is a `Status`.
    fn deleted(&self, gone: &Arc<Entry>) -> Reply {
        const RETURNED: [&str; 6] =
            ["Pod", "Service", "ServiceAccount", "PersistentVolumeClaim", "PersistentVolume", "PodTemplate"];
        if self.resource.group.is_empty() && RETURNED.contains(&self.resource.kind.as_str()) {
            return Reply::ok(Document::Stored(gone.clone()));
        }
        let status =
            Status::success(self.resource.named(), object::name(&gone.value), object::uid(&gone.value));
        Reply { code: StatusCode::OK, document: Document::Fixed(status.to_value()), warnings: Vec::new() }
    }

    /// `DELETE` of a collection. Answers with the objects it took on.
    pub(crate) fn delete_collection(&self, body: &Value) -> Outcome<Reply> {
        self.expect_namespace()?;
        let options = DeleteOptions::read(self, body)?;
        let list_options = ListOptions::read(&self.query, false)?;
        let selection = Selection::read(&self.resource, &list_options, "", "")?;
        let mut snapshot = self.state.store.list(&self.resource.shelf, &self.namespace);
        snapshot.entries.retain(|entry| selection.takes_entry(entry));
        for entry in &snapshot.entries {
            let one = self.about(object::namespace(&entry.value), object::name(&entry.value));
            match one.delete_with(&options) {
                Err(failure) if failure.status.code != 404 => return Err(failure),
                _ => {}
            }
        }
        let list = List {
            entries: snapshot.entries,
            revision: snapshot.revision,
            continue_token: None,
            remaining: None,
        };
        Ok(Reply::ok(Document::List(list)))
    }

    /// Removes every object of the kind at once, whatever holds it back. For kinds that are no longer served.
    pub(crate) fn remove_all(&self) {
        for entry in self.state.store.list(&self.resource.shelf, "").entries {
            let mut value = view::value(&self.resource, &entry.value).into_owned();
            object::remove(&mut value, &["metadata", "finalizers"]);
            // Lost only to a concurrent write of the same object; nothing may be written to a kind that is leaving.
            let _ = self.state.store.remove(&self.resource.shelf, entry.revision, value);
        }
    }
}

fn next_step(resource: &Resource, current: &Value, options: &DeleteOptions) -> Step {
    let mut value = current.clone();
    let grace = grace(resource, current, options.grace_seconds);
    let mut finalizers: Vec<&str> = object::finalizers(current);
    match options.propagation.or_else(|| usual_propagation(resource, &finalizers)) {
        Some(Propagation::Orphan) => swap(&mut finalizers, FOREGROUND, ORPHAN),
        Some(Propagation::Foreground) => swap(&mut finalizers, ORPHAN, FOREGROUND),
        Some(Propagation::Background) => finalizers.retain(|name| *name != ORPHAN && *name != FOREGROUND),
        None => {}
    }
    if finalizers != object::finalizers(current) {
        set_finalizers(&mut value, &finalizers);
    }
    mark(resource, current, &mut value, grace);
    if is_released(resource, &value) {
        return Step::Remove(value);
    }
    if value == *current { Step::Waiting } else { Step::Mark(value) }
}

/// What becomes of the dependents when nobody said: of a Job of `batch/v1` they stay, as ever since. A finalizer that
/// is there already has decided.
fn usual_propagation(resource: &Resource, finalizers: &[&str]) -> Option<Propagation> {
    let decided = finalizers.iter().any(|name| *name == ORPHAN || *name == FOREGROUND);
    (resource.is_job() && !decided).then_some(Propagation::Orphan)
}

fn swap(finalizers: &mut Vec<&str>, out: &str, into: &'static str) {
    finalizers.retain(|name| *name != out);
    if !finalizers.contains(&into) {
        finalizers.push(into);
    }
}

fn set_finalizers(value: &mut Value, finalizers: &[&str]) {
    if finalizers.is_empty() {
        object::remove(value, &["metadata", "finalizers"]);
    } else {
        object::set(value, &["metadata", "finalizers"], json!(finalizers));
    }
}

/// The grace period of a deletion in seconds: only pods have one, and only while the kubelet can still end them.
fn grace(resource: &Resource, current: &Value, asked: Option<i64>) -> i64 {
    if !resource.is_core("Pod") {
        return 0;
    }
    let phase = object::text(current, &["status", "phase"]);
    if object::text(current, &["spec", "nodeName"]).is_empty() || phase == "Succeeded" || phase == "Failed" {
        return 0;
    }
    let of_spec = object::field(current, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
    // A negative period, in the wish or in the spec, means the shortest there is.
    match asked.or(of_spec).unwrap_or(30) {
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

/// Sets the deletion's time and grace. A deletion under way can only be shortened.
fn mark(resource: &Resource, current: &Value, value: &mut Value, grace: i64) {
    let metadata = &current["metadata"];
    if object::is_deleting(current) {
        let present = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        if grace >= present {
            return;
        }
        let ends_at = deletion_time(metadata["deletionTimestamp"].as_str().unwrap_or_default());
        // A period that reached the end of time does not tell when it began.
        let asked_at = ends_at
            .checked_sub(jiff::SignedDuration::from_secs(present))
            .unwrap_or_else(|_| jiff::Timestamp::now());
        let moved = later(asked_at, grace);
        object::set(value, &["metadata", "deletionTimestamp"], object::time_text(moved));
        object::set(value, &["metadata", "deletionGracePeriodSeconds"], grace);
        return;
    }
    let time = later(jiff::Timestamp::now(), grace);
    object::set(value, &["metadata", "deletionTimestamp"], object::time_text(time));
    object::set(value, &["metadata", "deletionGracePeriodSeconds"], grace);
    if let Some(generation) = metadata["generation"].as_i64() {
        object::set(value, &["metadata", "generation"], generation + 1);
    }
    if resource.is_core("Namespace") {
        object::set(value, &["status", "phase"], "Terminating");
        object::remove(value, &["metadata", "deletionGracePeriodSeconds"]);
    }
}

/// So many seconds later, or the end of time: a grace period is any number.
fn later(time: jiff::Timestamp, seconds: i64) -> jiff::Timestamp {
    time.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(jiff::Timestamp::MAX)
}

fn deletion_time(text: &str) -> jiff::Timestamp {
    text.parse().unwrap_or_else(|_| jiff::Timestamp::now())
}
