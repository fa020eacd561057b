//! What the API server holds of one kind, as far as this process knows.
//!
//! A store is fed by one watch, and by the replies to this process's own writes, so that a controller never acts
//! twice because the watch was slower than its next turn. The newer resourceVersion wins.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use kube::{Resource, ResourceExt};

/// Namespace (empty for cluster-wide kinds) and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of<K: ResourceExt>(object: &K) -> Key {
        Key::new(object.namespace().unwrap_or_default(), object.name_any())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// One change: the object before and after; one of them is there.
pub(crate) struct Change<'a, K> {
    pub(crate) before: Option<&'a Arc<K>>,
    pub(crate) after: Option<&'a Arc<K>>,
}

impl<K> Change<'_, K> {
    /// The object as it is, or as it was last.
    pub(crate) fn newest(&self) -> Option<&Arc<K>> {
        self.after.or(self.before)
    }

    /// Both states that are known.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Arc<K>> {
        self.before.into_iter().chain(self.after)
    }
}

type Listener<K> = Arc<dyn Fn(&Change<'_, K>) + Send + Sync>;

/// The objects of one kind.
pub(crate) struct Store<K> {
    objects: RwLock<BTreeMap<Key, Arc<K>>>,
    listeners: RwLock<Vec<Listener<K>>>,
}

impl<K> Default for Store<K> {
    fn default() -> Store<K> {
        Store { objects: RwLock::default(), listeners: RwLock::default() }
    }
}

fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl<K: Resource> Store<K> {
    /// Calls `listener` at every change from now on.
    pub(crate) fn on_change(&self, listener: impl Fn(&Change<'_, K>) + Send + Sync + 'static) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(listener));
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// All objects of one namespace.
    pub(crate) fn within(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let from = Key::new(namespace, "");
        objects
            .range(from..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Takes over an object unless a newer state of it is known; returns what is known then.
    pub(crate) fn put(&self, object: K) -> Arc<K> {
        let key = Key::of(&object);
        let after = Arc::new(object);
        let before = {
            let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
            match objects.get(&key) {
                Some(known) if version(known.as_ref()) >= version(after.as_ref()) => return known.clone(),
                _ => objects.insert(key, after.clone()),
            }
        };
        self.tell(&Change { before: before.as_ref(), after: Some(&after) });
        after
    }

    /// Forgets an object, unless another one of its name is known by now.
    pub(crate) fn remove(&self, key: &Key, uid: Option<&str>) {
        let before = {
            let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
            let same = |known: &Arc<K>| uid.is_none() || known.meta().uid.as_deref() == uid;
            if objects.get(key).is_some_and(same) { objects.remove(key) } else { None }
        };
        if before.is_some() {
            self.tell(&Change { before: before.as_ref(), after: None });
        }
    }

    fn tell(&self, change: &Change<'_, K>) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in &listeners {
            listener(change);
        }
    }
}
