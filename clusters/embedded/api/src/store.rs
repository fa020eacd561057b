//! The store: every object of the cluster, in memory, ordered, under one resource version.
//!
//! Writers never wait for readers. A watch reads from its shelf's history at its own speed: whoever is slower than
//! the window is told `410 Gone`, as the real server's watch cache does, and lists again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use serde_json::Value;

use crate::object;

mod shelf;

use shelf::Shelf;
pub(crate) use shelf::{Change, ChangeKind, ReadError, Snapshot};

/// The group and plural of a kind, such as `apps/deployments`; core kinds begin with `/`.
pub(crate) type ShelfName = Arc<str>;

/// An object at one of its versions.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The object, in its storage version, with its resource version inside.
    pub(crate) value: Value,
    /// The resource version as a number.
    pub(crate) revision: u64,
    json: OnceLock<Bytes>,
}

impl Entry {
    fn new(mut value: Value, revision: u64) -> Arc<Entry> {
        object::set(&mut value, &["metadata", "resourceVersion"], revision.to_string());
        Arc::new(Entry { value, revision, json: OnceLock::new() })
    }

    /// The object as JSON. Serialised once, whoever asks.
    pub(crate) fn json(&self) -> &Bytes {
        self.json.get_or_init(|| Bytes::from(self.value.to_string()))
    }
}

/// Where an object lives on its shelf: namespace (`""` for cluster scope) and name.
pub(crate) type Place = (String, String);

/// Why a write did not happen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// An object of that name exists.
    Exists,
    /// The object is not at the version the writer read, or is gone.
    Changed,
}

/// The objects of all kinds.
#[derive(Debug)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
    window: usize,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    shelves: HashMap<ShelfName, Shelf>,
}

impl Store {
    /// An empty store that remembers `window` changes of each kind for its watches.
    pub(crate) fn new(window: usize) -> Store {
        Store { inner: Mutex::new(Inner { revision: 1, ..Inner::default() }), window }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is made of steps that cannot panic halfway, so a poisoned lock still guards sound data.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest resource version.
    pub(crate) fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// The object at a place.
    pub(crate) fn get(&self, shelf: &str, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.lock().shelves.get(shelf)?.get(namespace, name)
    }

    /// The objects of a kind (of one namespace, unless it is `""`) in order, and the version of the whole.
    pub(crate) fn list(&self, shelf: &str, namespace: &str) -> Snapshot {
        let inner = self.lock();
        let entries = inner.shelves.get(shelf).map(|found| found.list(namespace)).unwrap_or_default();
        Snapshot { entries, revision: inner.revision }
    }

    /// The objects of a kind as they were at `revision`.
    ///
    /// # Errors
    /// [`ReadError::TooOld`] when the window no longer reaches back so far, [`ReadError::InFuture`] for a version not yet reached.
    pub(crate) fn list_at(&self, shelf: &str, namespace: &str, revision: u64) -> Result<Snapshot, ReadError> {
        let inner = self.lock();
        if revision > inner.revision {
            return Err(ReadError::InFuture { current: inner.revision });
        }
        let entries = match inner.shelves.get(shelf) {
            Some(found) => found.list_at(namespace, revision)?,
            None => Vec::new(),
        };
        Ok(Snapshot { entries, revision })
    }

    /// Puts a new object on a shelf.
    ///
    /// # Errors
    /// [`WriteError::Exists`].
    pub(crate) fn insert(&self, shelf: &ShelfName, value: Value) -> Result<Arc<Entry>, WriteError> {
        let place = (object::namespace(&value).to_owned(), object::name(&value).to_owned());
        let inner = self.lock();
        if inner.shelves.get(shelf).is_some_and(|found| found.get(&place.0, &place.1).is_some()) {
            return Err(WriteError::Exists);
        }
        Ok(self.write(inner, shelf, place, value))
    }

    /// Replaces the object that was read at `expected`.
    ///
    /// # Errors
    /// [`WriteError::Changed`] when it is no longer at that version.
    pub(crate) fn replace(
        &self,
        shelf: &ShelfName,
        expected: u64,
        value: Value,
    ) -> Result<Arc<Entry>, WriteError> {
        let place = (object::namespace(&value).to_owned(), object::name(&value).to_owned());
        let inner = self.lock();
        let current = inner.shelves.get(shelf).and_then(|found| found.get(&place.0, &place.1));
        match current {
            Some(entry) if entry.revision == expected => Ok(self.write(inner, shelf, place, value)),
            _ => Err(WriteError::Changed),
        }
    }

    /// Removes the object that was read at `expected`; its last state is `value`. Returns it at the version of its deletion.
    ///
    /// # Errors
    /// [`WriteError::Changed`] when it is no longer at that version.
    pub(crate) fn remove(
        &self,
        shelf: &ShelfName,
        expected: u64,
        value: Value,
    ) -> Result<Arc<Entry>, WriteError> {
        let place = (object::namespace(&value).to_owned(), object::name(&value).to_owned());
        let mut guard = self.lock();
        let inner = &mut *guard;
        let next = inner.revision + 1;
        let found = inner.shelves.get_mut(shelf).ok_or(WriteError::Changed)?;
        match found.get(&place.0, &place.1) {
            Some(entry) if entry.revision == expected => {
                let last = Entry::new(value, next);
                found.remove(&place, last.clone());
                inner.revision = next;
                Ok(last)
            }
            _ => Err(WriteError::Changed),
        }
    }

    fn write(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        shelf: &ShelfName,
        place: Place,
        value: Value,
    ) -> Arc<Entry> {
        inner.revision += 1;
        let entry = Entry::new(value, inner.revision);
        let found = inner.shelves.entry(shelf.clone()).or_insert_with(|| Shelf::new(self.window));
        found.put(place, entry.clone());
        entry
    }

    /// Wakes whenever the shelf changes; the value is of no meaning.
    pub(crate) fn changes(&self, shelf: &ShelfName) -> tokio::sync::watch::Receiver<u64> {
        let mut inner = self.lock();
        inner.shelves.entry(shelf.clone()).or_insert_with(|| Shelf::new(self.window)).subscribe()
    }

    /// Up to `limit` changes of a shelf after `revision`, and the version up to which the answer is complete.
    ///
    /// # Errors
    /// [`ReadError::TooOld`] when changes after `revision` have left the window.
    pub(crate) fn changes_since(
        &self,
        shelf: &str,
        revision: u64,
        limit: usize,
    ) -> Result<(Vec<Change>, u64), ReadError> {
        let inner = self.lock();
        let Some(found) = inner.shelves.get(shelf) else {
            return Ok((Vec::new(), inner.revision));
        };
        let changes = found.since(revision, limit)?;
        let complete = match changes.last() {
            Some(last) if changes.len() == limit => last.entry.revision,
            _ => inner.revision,
        };
        Ok((changes, complete))
    }

    /// Ends every watch of a shelf. For kinds that are no longer served.
    pub(crate) fn end_watches(&self, shelf: &str) {
        if let Some(found) = self.lock().shelves.get_mut(shelf) {
            found.end_watches();
        }
    }

    /// How many objects each shelf holds, by name, in order.
    pub(crate) fn counts(&self) -> Vec<(ShelfName, usize)> {
        let mut counts: Vec<_> =
            self.lock().shelves.iter().map(|(name, found)| (name.clone(), found.len())).collect();
        counts.sort();
        counts
    }
}

#[cfg(test)]
mod tests;
