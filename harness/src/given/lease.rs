//! One harness at a time on a given cluster: a Lease that a living run renews.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
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
    holder: String,
    stop: CancellationToken,
    state: Arc<State>,
    renewing: Option<std::thread::JoinHandle<()>>,
}

/// What the renewing thread tells.
#[derive(Debug)]
struct State {
    taken_over: AtomicBool,
    /// Milliseconds since 1970: a monotonic clock stands still while a machine is suspended, the Lease does not.
    renewed: AtomicI64,
}

impl State {
    fn held() -> State {
        State { taken_over: AtomicBool::new(false), renewed: AtomicI64::new(now()) }
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn object() -> ObjectRef {
    ObjectRef::new(Kind::Lease, HOME, "harness")
}

fn holder_of(lease: &Value) -> &str {
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default()
}

impl Held {
    /// Takes the Lease for `run`; another's is waited for until it has lapsed, also one of the same name. `stop` ends the
    /// waiting, never the taking.
    ///
    /// # Errors
    /// That another run renews it, or the API server's answer.
    pub(super) async fn take(
        cluster: &GivenCluster,
        run: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Held> {
        let client = cluster.client()?;
        let holder = format!("{run}-{:08x}", rand::random::<u32>());
        let mut seen: Option<Value> = None;
        let began = Instant::now();
        loop {
            let found = object().read(&client).await?;
            let other = found.as_ref().map(holder_of).unwrap_or_default();
            let spec = found.as_ref().map(|lease| lease["spec"].clone());
            anyhow::ensure!(
                other.is_empty() || seen.is_none() || seen == spec,
                "run {other} works on context {:?} right now; wait until it has ended",
                cluster.context()
            );
            if other.is_empty() || (seen.is_some() && began.elapsed() >= LEASE) {
                write(&client, &holder, found.as_ref()).await?;
                break;
            }
            anyhow::ensure!(!stop.is_cancelled(), "interrupted");
            seen = spec;
            look_again().await;
        }
        Ok(Held::keep(cluster.clone(), holder))
    }

    fn keep(cluster: GivenCluster, holder: String) -> Held {
        let (stop, state) = (CancellationToken::new(), Arc::new(State::held()));
        let (asked, told, name) = (stop.clone(), state.clone(), holder.clone());
        let renewing = std::thread::spawn(move || {
            // Without a runtime nothing is renewed, and the Lease lapses.
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(renew(&cluster, &name, &asked, &told));
            }
        });
        Held { holder, stop, state, renewing: Some(renewing) }
    }

    /// Whether another has it, or may have it by now.
    pub(super) fn is_lost(&self) -> bool {
        let renewed = self.state.renewed.load(Ordering::Relaxed);
        let silent = now().saturating_sub(renewed);
        let sure = (LEASE - RENEWAL).as_millis();
        self.state.taken_over.load(Ordering::Relaxed) || u128::from(silent.unsigned_abs()) >= sure
    }

    /// Whether the cluster says so, too.
    pub(super) async fn is_in_cluster(&self, client: &Client) -> anyhow::Result<bool> {
        Ok(object().read(client).await?.is_some_and(|lease| holder_of(&lease) == self.holder))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.renewing.take() {
            // A panic in it has no other effect than that nothing is renewed.
            let _ = thread.join();
        }
    }
}

/// Renews until it is stopped, and then gives the Lease back. A renewal that fails is tried again; one that finds
/// another's name, or no Lease, ends it.
async fn renew(cluster: &GivenCluster, holder: &str, stop: &CancellationToken, state: &State) {
    let Ok(client) = cluster.client() else { return };
    while tokio::time::timeout(RENEWAL, stop.cancelled()).await.is_err() {
        let once = async {
            match object().read(&client).await? {
                Some(found) if holder_of(&found) == holder => write(&client, holder, Some(&found)).await,
                _ => {
                    state.taken_over.store(true, Ordering::Relaxed);
                    Ok(())
                }
            }
        };
        // Others count from the moment at which it was written, which may be long before its answer comes.
        let asked = now();
        if let Ok(Ok(())) = tokio::time::timeout(LEASE, once).await {
            state.renewed.store(asked, Ordering::Relaxed);
        }
        if state.taken_over.load(Ordering::Relaxed) {
            return;
        }
    }
    // So that nobody waits it out; if that fails, it lapses.
    let give_back = async {
        if let Ok(Some(found)) = object().read(&client).await
            && holder_of(&found) == holder
        {
            let _ = write(&client, "", Some(&found)).await;
        }
    };
    let _ = tokio::time::timeout(RENEWAL, give_back).await;
}

pub(super) fn manifest(holder: &str, now: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": object().name, "namespace": HOME},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE.as_secs(),
            "renewTime": now,
        },
    })
}

/// Writes the Lease over the one that was found; fails when somebody else was quicker.
async fn write(client: &Client, holder: &str, found: Option<&Value>) -> anyhow::Result<()> {
    let mut lease = manifest(holder, &format!("{:.6}", jiff::Timestamp::now()));
    if let Some(found) = found {
        lease["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
    }
    object().put(client, &lease, found.is_some()).await
}
