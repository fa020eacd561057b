//! Leader election by a Lease, as client-go does it: only one operator works at a time.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use pace::Pace;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::journal::{Journal, klog};

/// Name of the Lease in the operator's namespace.
pub(crate) const LEASE: &str = "e98130ae.seldon.io";
/// How long a silent holder keeps the Lease. It is not given back at the end: the next operator waits it out.
const DURATION: Duration = Duration::from_secs(15);
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(2);
/// How long renewing may fail before the program gives up.
const RENEW_LIMIT: Duration = Duration::from_secs(10);

/// The times of an election.
///
/// They shrink with the pace, but not below what a busy machine needs.
#[derive(Debug, Clone, Copy)]
struct Times {
    duration: Duration,
    /// Between two attempts to get the Lease.
    retry: Duration,
    /// Between two renewals.
    renew: Duration,
}

impl Times {
    fn new(pace: Pace) -> Times {
        let duration = pace.wait(DURATION).max(Duration::from_millis(1500).min(DURATION));
        Times { duration, retry: duration.mul_f64(2.0 / 15.0), renew: pace.network(RETRY) }
    }
}

/// A candidate.
pub(crate) struct Candidate {
    cluster: Cluster,
    namespace: String,
    identity: String,
    journal: Journal,
    times: Times,
}

/// What a candidate remembers between two attempts.
struct Observed {
    /// A foreign holder's record, and since when it has not changed.
    record: Option<LeaseSpec>,
    since: Instant,
    /// The Lease as this candidate last wrote it.
    own: Option<Lease>,
}

impl Observed {
    fn nothing() -> Observed {
        Observed { record: None, since: Instant::now(), own: None }
    }
}

impl Candidate {
    /// A candidate for the Lease in `namespace`.
    pub(crate) fn new(
        cluster: Cluster,
        namespace: &str,
        identity: String,
        journal: Journal,
        pace: Pace,
    ) -> Candidate {
        Candidate { cluster, namespace: namespace.to_owned(), identity, journal, times: Times::new(pace) }
    }

    /// Waits until this candidate holds the Lease.
    pub(crate) async fn acquire(&self) {
        let name = format!("{}/{LEASE}", self.namespace);
        klog(
            &self.journal,
            'I',
            "leaderelection.go:257",
            &format!("attempting to acquire leader lease {name}..."),
        );
        let mut observed = Observed::nothing();
        while !self.attempt(&mut observed).await {
            sleep(self.times.retry).await;
        }
        klog(&self.journal, 'I', "leaderelection.go:271", &format!("successfully acquired lease {name}"));
    }

    /// Renews the Lease until that fails for too long.
    pub(crate) async fn hold(&self) {
        let mut renewed = Instant::now();
        let mut observed = Observed::nothing();
        loop {
            sleep(self.times.renew).await;
            if self.attempt(&mut observed).await {
                renewed = Instant::now();
            } else if renewed.elapsed() >= RENEW_LIMIT {
                let text =
                    format!("failed to renew lease {}/{LEASE}: context deadline exceeded", self.namespace);
                klog(&self.journal, 'I', "leaderelection.go:297", &text);
                return;
            }
        }
    }

    async fn attempt(&self, observed: &mut Observed) -> bool {
        match self.take(observed).await {
            Ok(taken) => taken,
            Err(failure) => {
                let text = format!("error retrieving resource lock {}/{LEASE}: {failure}", self.namespace);
                klog(&self.journal, 'E', "leaderelection.go:436", &text);
                false
            }
        }
    }

    async fn take(&self, observed: &mut Observed) -> Result<bool, Failure> {
        let now = jiff::Timestamp::now();
        if let Some(mut lease) = observed.own.take() {
            lease.spec.get_or_insert_default().renew_time = Some(MicroTime(now));
            match self.cluster.update(&lease).await {
                Ok(lease) => {
                    observed.own = Some(lease);
                    return Ok(true);
                }
                Err(failure) => {
                    let text =
                        format!("Failed to update lock optimistically: {failure}, falling back to slow path");
                    klog(&self.journal, 'E', "leaderelection.go:429", &text);
                }
            }
        }
        let Some(mut lease) = self.cluster.find::<Lease>(&self.namespace, LEASE).await? else {
            observed.own = Some(self.cluster.create(&self.first(now)).await?);
            return Ok(true);
        };
        let spec = lease.spec.get_or_insert_default();
        let held_by_other = spec
            .holder_identity
            .as_ref()
            .is_some_and(|holder| !holder.is_empty() && *holder != self.identity);
        if held_by_other && !self.has_lapsed(spec, observed) {
            return Ok(false);
        }
        if held_by_other || spec.holder_identity.is_none() {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
            spec.acquire_time = Some(MicroTime(now));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.renew_time = Some(MicroTime(now));
        match self.cluster.update(&lease).await {
            Ok(lease) => {
                observed.own = Some(lease);
                Ok(true)
            }
            Err(failure) if failure.is_conflict() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Clocks are not compared: a record lapses when this candidate has not seen it change for the duration.
    fn has_lapsed(&self, spec: &LeaseSpec, observed: &mut Observed) -> bool {
        if observed.record.as_ref() != Some(spec) {
            *observed = Observed { record: Some(spec.clone()), ..Observed::nothing() };
        }
        observed.since.elapsed() >= self.times.duration
    }

    fn first(&self, now: jiff::Timestamp) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(15),
                acquire_time: Some(MicroTime(now)),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Level;
    use embedded_api::{ApiServer, Config};

    fn candidate(client: &kube::Client, identity: &str) -> Candidate {
        Candidate {
            cluster: Cluster::new(client.clone()),
            namespace: "default".to_owned(),
            identity: identity.to_owned(),
            journal: Journal::memory(Level::Info).0,
            times: Times {
                duration: Duration::from_millis(300),
                retry: Duration::from_millis(40),
                renew: Duration::from_millis(40),
            },
        }
    }

    async fn holder(client: &kube::Client) -> LeaseSpec {
        let lease: Lease = Cluster::new(client.clone()).get("default", LEASE).await.unwrap();
        lease.spec.unwrap()
    }

    #[tokio::test]
    async fn a_lease_is_not_given_back_but_waited_out() {
        let client = ApiServer::new(Config::default()).client();
        candidate(&client, "old").acquire().await;
        let begin = Instant::now();
        candidate(&client, "new").acquire().await;
        assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
        let spec = holder(&client).await;
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("new"), Some(1)));
    }

    #[tokio::test]
    async fn who_finds_its_lease_changed_reads_it_again() {
        let client = ApiServer::new(Config::default()).client();
        let first = candidate(&client, "first");
        let mut observed = Observed::nothing();
        assert!(first.attempt(&mut observed).await);
        let mut lease: Lease = first.cluster.get("default", LEASE).await.unwrap();
        lease.metadata.labels = Some([("touched".to_owned(), "yes".to_owned())].into());
        first.cluster.update(&lease).await.unwrap();
        assert!(first.attempt(&mut observed).await, "the second look sees its own name");
        lease = first.cluster.get("default", LEASE).await.unwrap();
        lease.spec.as_mut().unwrap().holder_identity = Some("second".to_owned());
        first.cluster.update(&lease).await.unwrap();
        assert!(!first.attempt(&mut observed).await, "it is another's now");
    }

    #[tokio::test]
    async fn a_renewed_lease_keeps_others_out() {
        let client = ApiServer::new(Config::default()).client();
        let first = candidate(&client, "first");
        first.acquire().await;
        let second = candidate(&client, "second");
        let either = async {
            tokio::select! {
                () = first.hold() => "the first one lost it",
                () = second.acquire() => "the second one got it",
            }
        };
        // Three times the duration: long enough for a Lease that nobody renews to lapse.
        let happened = tokio::time::timeout(Duration::from_millis(900), either).await;
        assert_eq!(happened.ok(), None);
        assert_eq!(holder(&client).await.holder_identity.as_deref(), Some("first"));
    }
}
