//! kube-proxy and the network policy engine: the cluster's objects become packet rules whenever they change.
//!
//! Services and endpoints count at once. What policies depend on (policies, namespaces, pods) counts after the profile's lag,
//! as data from measurements: kube-router enforces a policy some 90 ms after it was written and knows a new pod only when it
//! has run for a while; Calico enforces within some 16 ms and lets no pod start before its rules. The lags shrink with the pace,
//! but never below a tenth, so that their order stays and a program that races them still loses.

mod counters;
mod firewall;
mod nft;
mod view;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use netmodel::Profile;
use netmodel::profile::{Knobs, NewPod};
pub use nft::ARGUMENTS as NFT_ARGUMENTS;
use pace::Pace;
use tokio::time::Instant;

use crate::shared::{LocalPod, Shared};
use view::Stores;

pub(crate) use counters::denials;
pub(crate) use firewall::firewall;
pub use nft::NftError;
pub(crate) use nft::apply;

/// Changes that come together are applied together.
const GATHER: Duration = Duration::from_millis(2);
/// The longest wait between tries of a rule set that `nft` refuses.
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// What the kernel's rules are made from at present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesState {
    /// Counts rule sets applied; 0 before the first. Never goes back.
    pub generation: u64,
    /// Uids of the pods that the rules know.
    pub pods: HashSet<String>,
    /// The policies in force, `namespace/name` to resourceVersion.
    pub policies: BTreeMap<String, String>,
    /// Why the newest rule set could not be applied; the one before is in force then.
    pub error: Option<String>,
}

/// Delays between a change and its enforcement at a given pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lag {
    policy: Duration,
    new_pod: Duration,
}

impl Lag {
    fn of(knobs: &Knobs, pace: Pace) -> Lag {
        let factor = pace.factor().max(0.1);
        let middle = |range: &RangeInclusive<u64>| {
            Duration::from_millis(u64::midpoint(*range.start(), *range.end())).mul_f64(factor)
        };
        Lag { policy: middle(&knobs.sync_lag.policy_ms), new_pod: middle(&knobs.sync_lag.new_pod_ms) }
    }
}

/// The rules of a node where no Service, pod or policy is yet: the frame of all that follow.
pub fn first_rules(profile: Profile, node: &str, service_cidr: Ipv4Net) -> String {
    netmodel::compile(&view::empty(node, service_cidr), &profile)
}

/// Keeps the packet rules in step with the cluster until the node stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    let stores = Stores::watch(&shared);
    stores.ready().await;
    let mut proxy = Proxy::new(shared.clone(), stores);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = proxy.step() => {}
        }
    }
}

struct Proxy {
    shared: Arc<Shared>,
    stores: Stores,
    lag: Lag,
    sandboxes: tokio::sync::watch::Receiver<HashMap<String, LocalPod>>,
    /// What policies are judged by, as of the last sync.
    policed: view::Policed,
    /// When the next sync of that is due.
    due: Option<Instant>,
    applied: String,
    retry: Option<(Instant, Duration)>,
    first: bool,
}

impl Proxy {
    fn new(shared: Arc<Shared>, stores: Stores) -> Proxy {
        let lag = Lag::of(shared.settings.profile.knobs(), shared.settings.pace);
        let sandboxes = shared.sandboxes.subscribe();
        Proxy {
            shared,
            stores,
            lag,
            sandboxes,
            policed: view::Policed::default(),
            due: None,
            applied: String::new(),
            retry: None,
            first: true,
        }
    }

    /// Waits for the next reason to look, and acts on it.
    async fn step(&mut self) {
        if std::mem::take(&mut self.first) {
            self.sync_policed();
            self.apply().await;
        }
        let due = self.due;
        let retry = self.retry.map(|(at, _)| at);
        tokio::select! {
            () = self.stores.services_changed.notified() => {}
            () = self.stores.policed_changed.notified() => {
                self.due = Some(sooner(self.due, Instant::now() + self.lag.policy));
                return;
            }
            _ = self.sandboxes.changed() => {
                let closed = self.shared.settings.profile.knobs().new_pod == NewPod::ClosedUntilSync;
                let lag = if closed { Duration::ZERO } else { self.lag.policy };
                self.due = Some(sooner(self.due, Instant::now() + lag));
                return;
            }
            () = at(due) => self.sync_policed(),
            () = at(retry) => {}
        }
        tokio::time::sleep(GATHER).await;
        self.apply().await;
    }

    fn sync_policed(&mut self) {
        self.due = None;
        let sandboxes = self.sandboxes.borrow().clone();
        let open_until = match self.shared.settings.profile.knobs().new_pod {
            NewPod::OpenUntilSync => self.lag.new_pod,
            NewPod::ClosedUntilSync => Duration::ZERO,
        };
        let (policed, unknown) = self.stores.policed(&sandboxes, open_until);
        self.policed = policed;
        self.due = unknown;
    }

    async fn apply(&mut self) {
        let view = self.stores.view(&self.shared, &self.policed);
        let script = netmodel::compile(&view, &self.shared.settings.profile);
        let result = if script == self.applied {
            Ok(())
        } else {
            nft::apply(&self.shared.settings.nft, &script).await
        };
        match result {
            Ok(()) => {
                self.applied = script;
                self.retry = None;
                let (pods, policies) = (self.policed.known(), self.policed.versions());
                self.shared.rules.send_modify(|it| {
                    *it = RulesState { generation: it.generation + 1, pods, policies, error: None };
                });
            }
            Err(error) => {
                let wait =
                    self.retry.map_or(Duration::from_millis(20), |(_, wait)| (wait * 2).min(LONGEST_RETRY));
                self.retry = Some((Instant::now() + wait, wait));
                tracing::error!(%error, "the packet rules were not applied; those before stay in force");
                self.shared.rules.send_modify(|it| it.error = Some(error.to_string()));
            }
        }
    }
}

/// A sync that is due serves whoever asked for one later, and whoever cannot wait so long brings it forward.
fn sooner(due: Option<Instant>, at: Instant) -> Instant {
    due.map_or(at, |due| due.min(at))
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_due(None, 90, 90)]
    #[case::a_sync_is_due_before(Some(50), 90, 50)]
    #[case::only_a_young_pod_is_waited_for(Some(650), 90, 90)]
    fn a_sync_is_never_put_off(#[case] due: Option<u64>, #[case] asked: u64, #[case] expected: u64) {
        let now = Instant::now();
        let after = |milliseconds| now + Duration::from_millis(milliseconds);
        assert_eq!(sooner(due.map(after), after(asked)), after(expected));
    }

    #[rstest]
    #[case::kube_router_real(Profile::Flannel, Pace::REAL, 103, 659)]
    #[case::kube_router_fast(Profile::Flannel, Pace::FAST, 10, 65)]
    #[case::calico_fast(Profile::Calico, Pace::FAST, 2, 0)]
    fn lags(#[case] profile: Profile, #[case] pace: Pace, #[case] policy: u128, #[case] new_pod: u128) {
        let lag = Lag::of(profile.knobs(), pace);
        assert_eq!((lag.policy.as_millis(), lag.new_pod.as_millis()), (policy, new_pod));
    }
}
