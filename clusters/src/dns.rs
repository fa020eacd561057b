//! The DNS of k3s: Ready, and seen to answer through the address of its Service.

use std::time::Duration;

use crate::command::Command;
use crate::plan::{Action, Condition, Expectation, Plan, Task, Until};

/// A name that every cluster has.
const NAME: &str = "kubernetes.default.svc.cluster.local";
/// The first address of k3s's Services, which is that name's.
const ADDRESS: &str = "10.43.0.1";
/// The address of the Service behind which k3s's CoreDNS is.
const SERVER: &str = "10.43.0.10";
/// How long one question may take, its repetitions included.
const QUESTION: Duration = Duration::from_secs(15);
/// How often it is asked: rules for the Service may come a moment later than the pod behind it.
const ATTEMPTS: u8 = 10;

/// Waits until its pods are Ready and a name is found; each of `inside` begins a line that ends as one of busybox, which
/// k3s brings along, inside a node.
pub(crate) fn see_it_answer(up: &mut Plan, inside: impl IntoIterator<Item = Command>, limit: Duration) {
    let pods = Condition::PodsReady { namespace: "kube-system".into(), labels: "k8s-app=kube-dns".into() };
    up.wait("have the cluster's DNS Ready", pods, limit);
    let ask = |inside: Command| {
        let ask = inside.args(["nslookup", "-type=a", NAME, SERVER]).within(QUESTION);
        Task::look(ask).expecting(Expectation::Answers(ADDRESS))
    };
    let looks = inside.into_iter().map(ask).collect();
    up.push("have the cluster's DNS answer", Action::Until(Until { looks, attempts: ATTEMPTS }));
}
