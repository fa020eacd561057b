//! The objects of one kind and the history of their latest changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Entry, Place};

/// A change younger than this is remembered while the window has room, so that a burst does not outrun its watches.
const FRESH: Duration = Duration::from_secs(30);
/// So many changes are remembered whatever their age.
const KEPT: usize = 256;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It came to be.
    Added,
    /// It was replaced.
    Modified,
    /// It was removed; the entry is its last state at the version of the deletion.
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    /// The object after the change (its last state for a deletion).
    pub(crate) entry: Arc<Entry>,
    /// The object before the change.
    pub(crate) previous: Option<Arc<Entry>>,
}

/// Why the past cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// Changes after the asked version have left the window; `oldest` is the oldest version that can be asked for.
    TooOld { oldest: u64 },
    /// The asked version has not been reached.
    InFuture { current: u64 },
}

/// Objects and the version at which they were read.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) revision: u64,
}

#[derive(Debug)]
pub(super) struct Shelf {
    objects: BTreeMap<Place, Arc<Entry>>,
    history: VecDeque<(Instant, Change)>,
    /// The version of the youngest change that has left the window; 0 while none has.
    forgotten: u64,
    window: usize,
    wake: watch::Sender<u64>,
}

impl Shelf {
    pub(super) fn new(window: usize) -> Shelf {
        Shelf {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: 0,
            window,
            wake: watch::Sender::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    pub(super) fn list(&self, namespace: &str) -> Vec<Arc<Entry>> {
        if namespace.is_empty() {
            return self.objects.values().cloned().collect();
        }
        self.objects
            .range((namespace.to_owned(), String::new())..)
            .take_while(|(place, _)| place.0 == namespace)
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// The objects at an earlier version: the present ones with the later changes undone, youngest first.
    pub(super) fn list_at(&self, namespace: &str, revision: u64) -> Result<Vec<Arc<Entry>>, ReadError> {
        if revision < self.forgotten {
            return Err(ReadError::TooOld { oldest: self.forgotten });
        }
        if self.history.back().is_none_or(|(_, last)| last.entry.revision <= revision) {
            return Ok(self.list(namespace));
        }
        let mut objects = self.objects.clone();
        for (_, change) in
            self.history.iter().rev().take_while(|(_, change)| change.entry.revision > revision)
        {
            let place = place_of(&change.entry);
            match &change.previous {
                Some(previous) => objects.insert(place, previous.clone()),
                None => objects.remove(&place),
            };
        }
        Ok(objects
            .into_iter()
            .filter(|(place, _)| namespace.is_empty() || place.0 == namespace)
            .map(|(_, entry)| entry)
            .collect())
    }

    pub(super) fn put(&mut self, place: Place, entry: Arc<Entry>) {
        let previous = self.objects.insert(place, entry.clone());
        let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.record(Change { kind, entry, previous });
    }

    pub(super) fn remove(&mut self, place: &Place, last: Arc<Entry>) {
        let previous = self.objects.remove(place);
        self.record(Change { kind: ChangeKind::Deleted, entry: last, previous });
    }

    fn record(&mut self, change: Change) {
        let revision = change.entry.revision;
        let now = Instant::now();
        self.history.push_back((now, change));
        while let Some((at, oldest)) = self.history.front() {
            let length = self.history.len();
            let stale = length > KEPT && now.duration_since(*at) > FRESH;
            if length <= self.window && !stale {
                break;
            }
            self.forgotten = oldest.entry.revision;
            self.history.pop_front();
        }
        self.wake.send_replace(revision);
    }

    pub(super) fn since(&self, revision: u64, limit: usize) -> Result<Vec<Change>, ReadError> {
        if revision < self.forgotten {
            return Err(ReadError::TooOld { oldest: self.forgotten });
        }
        let start = self.history.partition_point(|(_, change)| change.entry.revision <= revision);
        Ok(self.history.range(start..).take(limit).map(|(_, change)| change.clone()).collect())
    }

    /// Drops what the present watches wait for; later ones wait for something new.
    pub(super) fn end_watches(&mut self) {
        self.wake = watch::Sender::new(0);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }
}

fn place_of(entry: &Entry) -> Place {
    (crate::object::namespace(&entry.value).to_owned(), crate::object::name(&entry.value).to_owned())
}
