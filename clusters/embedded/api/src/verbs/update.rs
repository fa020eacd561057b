//! Changing objects: replacement, and the loop under every change.

use std::sync::Arc;

use embedded_machinery::FieldError;
use serde_json::Value;

use super::{Call, Part, prepare};
use crate::admission::services::Reserved;
use crate::failure::{Failure, Outcome};
use crate::media::Received;
use crate::options::{Persistence, WriteOptions};
use crate::reply::{Document, Reply};
use crate::store::{Entry, WriteError};
use crate::{admission, documents, object, view};

/// How often a change that names no version is computed anew because others wrote in between.
const ATTEMPTS: usize = 64;

/// Who is recorded as the author of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authorship {
    /// By comparison with the object before.
    Compared,
    /// The change has written `managedFields` itself (server-side apply).
    Recorded,
}

impl Call {
    /// `PUT` of an object or of its status.
    pub(crate) fn replace(&self, received: Received) -> Outcome<Reply> {
        let Received { value: mut document, duplicate } = received;
        let options = self.write_options()?;
        documents::expect_kind(&self.resource, &mut document)?;
        let warnings = documents::prune(&self.resource, &mut document, &duplicate, options.field_validation)?;
        self.expect_own_namespace(&document)?;
        let name = object::name(&document);
        if name.is_empty() {
            return Err(Failure::bad_request("name must be provided"));
        }
        if name != self.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.name
            )));
        }
        if self.resource.custom().is_some() && object::resource_version(&document).is_empty() {
            let error = FieldError::invalid_verbatim(
                "metadata.resourceVersion",
                "0x0",
                "must be specified for an update",
            );
            return Err(Failure::invalid(&self.resource, name, &[error]));
        }
        let reply = self.change(&options, Authorship::Compared, |_| Ok(document.clone()))?;
        Ok(Reply { warnings, ..reply })
    }

    /// A change by the server itself.
    pub(crate) fn rewrite(&self, successor: impl Fn(&Value) -> Outcome<Value>) -> Outcome<Reply> {
        self.change(&self.write_options()?, Authorship::Compared, successor)
    }

    /// Computes the successor of the present object and stores it, again when others wrote in between and the successor
    /// names no version of its own.
    pub(super) fn change(
        &self,
        options: &WriteOptions,
        authorship: Authorship,
        successor: impl Fn(&Value) -> Outcome<Value>,
    ) -> Outcome<Reply> {
        for _ in 0..ATTEMPTS {
            let current = self.current()?;
            let shown = view::value(&self.resource, &current.value);
            let wish = successor(&shown)?;
            self.expect_same(&current, &wish)?;
            let (new, addresses) = self.succeeding(&shown, wish, options, authorship)?;
            if same_but_times(&current.value, &new) {
                return Ok(Reply::ok(Document::Stored(current)));
            }
            if options.persistence == Persistence::DryRun {
                return Ok(Reply::ok(Document::Value(view::value(&self.resource, &new).into_owned())));
            }
            let stored = self.store_change(&current, new);
            drop(addresses);
            if let Ok(entry) = stored {
                admission::after_write(self, &entry);
                return Ok(Reply::ok(Document::Stored(entry)));
            }
        }
        Err(Failure::modified(&self.resource, &self.name))
    }

    /// Refuses a successor made for another version or another object of the same name.
    fn expect_same(&self, current: &Entry, wish: &Value) -> Outcome<()> {
        let version = object::resource_version(wish);
        if !version.is_empty() && version != current.revision.to_string() {
            return Err(Failure::modified(&self.resource, &self.name));
        }
        let (uid, own) = (object::uid(wish), object::uid(&current.value));
        if !uid.is_empty() && uid != own {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}");
            return Err(Failure::conflict(&self.resource, &self.name, &why));
        }
        Ok(())
    }

    /// The object to store, from the present one and the wish, both as the caller sees them.
    fn succeeding(
        &self,
        old: &Value,
        wish: Value,
        options: &WriteOptions,
        authorship: Authorship,
    ) -> Outcome<(Value, Reserved<'_>)> {
        let resource = &self.resource;
        let mut new = wish;
        prepare::succeed(resource, self.part, old, &mut new);
        admission::before_update(self, old, &mut new)?;
        documents::default(resource, &mut new);
        let addresses = admission::services::reserve(self, Some(old), &mut new)?;
        // Other subresources exist to change what a writer of the whole may not.
        let compared = !matches!(self.part, Part::Other(_));
        documents::validate(resource, &new, compared.then_some(old))?;
        if authorship == Authorship::Compared {
            self.record_manager(Some(old), &mut new, options);
        }
        Ok((view::to_stored(resource, new), addresses))
    }

    /// Stores a change; an object that was only waiting for its last finalizer to go is removed.
    fn store_change(&self, current: &Arc<Entry>, new: Value) -> Result<Arc<Entry>, WriteError> {
        let (store, shelf) = (&self.state.store, &self.resource.shelf);
        if super::delete::is_released(&self.resource, &new) {
            return store.remove(shelf, current.revision, new);
        }
        store.replace(shelf, current.revision, new)
    }
}

/// Whether a change is none: everything is equal but the times in `managedFields`.
fn same_but_times(old: &Value, new: &Value) -> bool {
    if old == new {
        return true;
    }
    let without_times = |value: &Value| {
        let mut value = value.clone();
        if let Some(managed) = value.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
            managed.iter_mut().for_each(|entry| {
                object::remove(entry, &["time"]);
            });
        }
        value
    };
    // Compare the cheap parts first: most writes do change something.
    old["spec"] == new["spec"] && old["status"] == new["status"] && without_times(old) == without_times(new)
}
