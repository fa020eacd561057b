//! controller-runtime's queue and worker: one object at a time, failed ones again after a growing wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indexmap::IndexSet;
use kube::ResourceExt;
use pace::Pace;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff;
use crate::cluster::{Cluster, Kind};
use crate::failure::Failure;
use crate::journal::{Frame, Journal};

/// The limit of one reconcile in the real controller (`constants.ReconcileTimeout`).
const LIMIT: Duration = Duration::from_secs(300);
/// grpc-go's limit on one attempt to connect. Fifteen fit into a reconcile, at every pace: attempts cannot shrink as far
/// as other waits, and a reconcile that waits for some of them must still be able to write what it found.
const ATTEMPT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 15;

/// The limit of one reconcile at a pace, unless a test sets another.
pub(crate) fn reconcile_limit(pace: Pace) -> Duration {
    pace.wait(LIMIT).max(pace.dial(ATTEMPT) * ATTEMPTS)
}

/// One object to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What a reconcile is given besides the object.
pub(crate) struct Context {
    /// A logger that carries the object's fields.
    pub(crate) journal: Journal,
    /// When the reconcile's time is over.
    pub(crate) deadline: Instant,
}

impl Context {
    /// Writes the status of an object whose reconcile failed, unless the time is over: then nothing can be written any
    /// more. `unwritten` is logged when it was not, with the object's name under `key` and why the reconcile failed.
    pub(crate) async fn write_failed<K: Kind>(
        &self,
        cluster: &Cluster,
        object: &K,
        unwritten: &str,
        key: &str,
        why: &str,
    ) {
        let written = if Instant::now() >= self.deadline {
            Err(Failure::Deadline)
        } else {
            cluster.update_status(object).await.map(drop)
        };
        if let Err(failure) = written {
            let fields = [(key, json!(object.name_any())), ("error", json!(why))];
            self.journal.named("Reconcile").error(Some(&failure), unwritten, &fields, &[]);
        }
    }
}

/// One kind's controller.
pub(crate) trait Reconcile: Send + Sync + 'static {
    /// The controller's name in logs, `model`.
    const CONTROLLER: &'static str;
    /// The kind, `Model`.
    const KIND: &'static str;

    /// Brings the world closer to one object.
    fn reconcile(
        &self,
        request: &Request,
        context: &Context,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Objects waiting for one worker. An object waits once, however often it is added.
pub(crate) struct WorkQueue {
    waiting: Mutex<IndexSet<Request>>,
    failures: Mutex<HashMap<Request, u32>>,
    added: Notify,
    pace: Pace,
    reconcile_limit: Duration,
}

impl WorkQueue {
    /// An empty queue.
    pub(crate) fn new(pace: Pace, reconcile_limit: Duration) -> Arc<WorkQueue> {
        let (waiting, failures) = (Mutex::default(), Mutex::default());
        Arc::new(WorkQueue { waiting, failures, added: Notify::new(), pace, reconcile_limit })
    }

    /// Adds an object.
    pub(crate) fn add(&self, request: Request) {
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.insert(request);
        }
        self.added.notify_one();
    }

    async fn next(&self) -> Request {
        loop {
            if let Some(request) =
                self.waiting.lock().ok().and_then(|mut waiting| waiting.shift_remove_index(0))
            {
                return request;
            }
            self.added.notified().await;
        }
    }

    fn forget(&self, request: &Request) {
        if let Ok(mut failures) = self.failures.lock() {
            failures.remove(request);
        }
    }

    fn add_later(self: &Arc<Self>, request: Request) {
        let count = self.failures.lock().map_or(1, |mut failures| {
            let count = failures.entry(request.clone()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        });
        let wait = backoff::shorten(self.pace, backoff::requeue(count));
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            queue.add(request);
        });
    }
}

const RECONCILER_STACK: &[Frame] = &[
    (
        "sigs.k8s.io/controller-runtime/pkg/internal/controller.(*Controller[...]).reconcileHandler",
        "sigs.k8s.io/controller-runtime@v0.21.0/pkg/internal/controller/controller.go:353",
    ),
    (
        "sigs.k8s.io/controller-runtime/pkg/internal/controller.(*Controller[...]).processNextWorkItem",
        "sigs.k8s.io/controller-runtime@v0.21.0/pkg/internal/controller/controller.go:300",
    ),
    (
        "sigs.k8s.io/controller-runtime/pkg/internal/controller.(*Controller[...]).Start.func2.1",
        "sigs.k8s.io/controller-runtime@v0.21.0/pkg/internal/controller/controller.go:202",
    ),
];

/// Works the queue off for ever, one object at a time.
pub(crate) async fn work<R: Reconcile>(reconciler: R, queue: Arc<WorkQueue>, journal: Journal) {
    loop {
        let request = queue.next().await;
        let journal = request_journal::<R>(&journal, &request);
        let deadline = Instant::now() + queue.reconcile_limit;
        let context = Context { journal: journal.clone(), deadline };
        match reconciler.reconcile(&request, &context).await {
            Ok(()) => queue.forget(&request),
            Err(failure) => {
                journal.error(Some(&failure), "Reconciler error", &[], RECONCILER_STACK);
                queue.add_later(request);
            }
        }
    }
}

fn request_journal<R: Reconcile>(journal: &Journal, request: &Request) -> Journal {
    let Request { namespace, name } = request;
    journal
        .with("controller", json!(R::CONTROLLER))
        .with("controllerGroup", json!(seldon_crds::GROUP))
        .with("controllerKind", json!(R::KIND))
        .with(R::KIND, json!({"name": name, "namespace": namespace}))
        .with("namespace", json!(namespace))
        .with("name", json!(name))
        .with("reconcileID", json!(random_uuid()))
}

/// A version 4 UUID.
pub(crate) fn random_uuid() -> String {
    let mut bits: u128 = rand::random();
    bits = bits & !(0xf << 76) | (0x4 << 76);
    bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reconcile_outlasts_as_many_dials_at_every_pace() {
        assert_eq!(reconcile_limit(Pace::REAL), LIMIT);
        assert_eq!(reconcile_limit(Pace::FAST), Pace::FAST.dial(ATTEMPT) * ATTEMPTS);
    }
}
