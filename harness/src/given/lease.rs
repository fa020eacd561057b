//! One harness at a time on a given cluster: a Lease that a living run renews.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clusters::GivenCluster;
use kube::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::HOME;
use crate::object::{Kind, ObjectRef};
use crate::patience::given::{LEASE, RENEWAL, look_again};

/// The Lease, while it is held: a thread renews it.
#[derive(Debug)]
pub(super) struct Held {
    stop: CancellationToken,
    lost: Arc<AtomicBool>,
    renewing: Option<std::thread::JoinHandle<()>>,
}

fn object() -> ObjectRef {
    ObjectRef::new(Kind::Lease, HOME, "harness")
}

/// The run that has the Lease, living or not.
pub(super) async fn holder(client: &Client) -> anyhow::Result<Option<String>> {
    let found = object().read(client).await?;
    Ok(found.and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(str::to_owned)))
}

impl Held {
    /// Takes the Lease for `holder`; another's is waited for until it has lapsed.
    ///
    /// # Errors
    /// That another run renews it, or the API server's answer.
    pub(super) async fn take(cluster: &GivenCluster, holder: &str) -> anyhow::Result<Held> {
        let client = cluster.client()?;
        let mut seen: Option<Value> = None;
        let began = Instant::now();
        loop {
            let found = object().read(&client).await?;
            let spec = found.as_ref().map(|lease| lease["spec"].clone());
            let other = spec.as_ref().and_then(|spec| spec["holderIdentity"].as_str()).unwrap_or_default();
            if other.is_empty() || other == holder || began.elapsed() >= LEASE {
                write(&client, holder, found.as_ref()).await?;
                break;
            }
            anyhow::ensure!(
                seen.is_none() || seen == spec,
                "run {other} works on context {:?} right now; wait until it has ended",
                cluster.context()
            );
            seen = spec;
            look_again().await;
        }
        Ok(Held::keep(cluster.clone(), holder.to_owned()))
    }

    fn keep(cluster: GivenCluster, holder: String) -> Held {
        let (stop, lost) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (asked, told) = (stop.clone(), lost.clone());
        let renewing = std::thread::spawn(move || {
            // Without a runtime nothing is renewed, and the Lease lapses.
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(renew(&cluster, &holder, &asked, &told));
            }
        });
        Held { stop, lost, renewing: Some(renewing) }
    }

    /// Whether another has it.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ends the renewing; the Lease goes with its namespace.
    pub(super) fn release(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.renewing.take() {
            // A panic in it has no other effect than that nothing is renewed.
            let _ = thread.join();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

/// Renews until it is stopped. A renewal that fails is tried again; one that finds another's name ends it.
async fn renew(cluster: &GivenCluster, holder: &str, stop: &CancellationToken, lost: &AtomicBool) {
    let Ok(client) = cluster.client() else { return };
    while tokio::time::timeout(RENEWAL, stop.cancelled()).await.is_err() {
        let Ok(found) = object().read(&client).await else { continue };
        let other = found.as_ref().and_then(|lease| lease["spec"]["holderIdentity"].as_str());
        if other.is_some_and(|other| other != holder) {
            lost.store(true, Ordering::Relaxed);
            return;
        }
        // Tried again after the next pause.
        let _ = write(&client, holder, found.as_ref()).await;
    }
}

/// Writes the Lease over the one that was found; fails when somebody else was quicker.
async fn write(client: &Client, holder: &str, found: Option<&Value>) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": object().name, "namespace": HOME},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE.as_secs(),
            "renewTime": format!("{now:.6}"),
        },
    });
    if let Some(found) = found {
        lease["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
    }
    object().put(client, &lease, found.is_some()).await
}
