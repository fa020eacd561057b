//! Work queues: keys that need a look, each at most once, retried with growing pauses.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Waiting<T> {
    order: VecDeque<T>,
    held: HashSet<T>,
}

/// A queue of keys. Clones share it.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Arc<Mutex<Waiting<T>>>,
    arrived: Arc<Notify>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { waiting: self.waiting.clone(), arrived: self.arrived.clone() }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        let waiting = Waiting { order: VecDeque::new(), held: HashSet::new() };
        Queue { waiting: Arc::new(Mutex::new(waiting)), arrived: Arc::default() }
    }
}

impl<T: Clone + Eq + Hash + Display + Send + 'static> Queue<T> {
    /// Asks for a look at `key`, unless that is asked for already.
    pub(crate) fn add(&self, key: T) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.held.insert(key.clone()) {
            waiting.order.push_back(key);
            self.arrived.notify_one();
        }
    }

    /// Asks for a look at `key` after a while.
    pub(crate) fn add_after(&self, key: T, pause: Duration) {
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            queue.add(key);
        });
    }

    fn pop(&self) -> Option<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = waiting.order.pop_front()?;
        waiting.held.remove(&key);
        Some(key)
    }

    async fn next(&self) -> T {
        loop {
            if let Some(key) = self.pop() {
                return key;
            }
            self.arrived.notified().await;
        }
    }

    /// Looks at one key after the other, for ever. A failed look is repeated later.
    pub(crate) async fn work<F, R>(self, name: &'static str, mut look: F)
    where
        F: FnMut(T) -> R,
        R: Future<Output = Result<(), Trouble>>,
    {
        let mut failures: HashMap<T, u32> = HashMap::new();
        loop {
            let key = self.next().await;
            match look(key.clone()).await {
                Ok(()) => {
                    failures.remove(&key);
                }
                Err(trouble) => {
                    let count = failures.entry(key.clone()).or_default();
                    let pause = FIRST_PAUSE.saturating_mul(1 << (*count).min(10)).min(LONGEST_PAUSE);
                    *count += 1;
                    match &trouble {
                        Trouble::Api(_) if !trouble.is_conflict() => {
                            tracing::warn!(controller = name, %key, attempt = *count, "{trouble}");
                        }
                        _ => tracing::debug!(controller = name, %key, attempt = *count, "{trouble}"),
                    }
                    self.add_after(key, pause);
                }
            }
        }
    }
}

/// Why a look did not come to its end; every trouble is worth another look.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The API server refused or could not be asked.
    #[error("the API server refused: {0}")]
    Api(#[from] kube::Error),
    /// Something that must come first is not there yet.
    #[error("{0}")]
    NotYet(String),
}

impl Trouble {
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Trouble::Api(kube::Error::Api(status)) if status.code == 409)
    }
}

/// Turns "not found" into nothing: what is gone needs no change.
pub(crate) fn unless_gone<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
