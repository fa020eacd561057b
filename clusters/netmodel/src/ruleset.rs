//! A node's packet rules as one nft script.
//!
//! [`compile`] writes two tables and replaces both in one transaction, so `nft -f -` either
//! changes everything or nothing. The text depends on the view alone, not on the order of its
//! lists. It is made for nft 1.0.6 and later.
//!
//! `table ip cluster-policy` judges first packets after Service addresses are replaced
//! (`forward`: what passes through the node, `input`: what pods send to the node). Traffic of
//! the node itself to pods is never judged: it passes `output`, which has no chain here.
//!
//! | chain | holds |
//! |---|---|
//! | `pod/<namespace>/<name>` | flannel: one pod's policies, both directions, then its denial |
//! | `egress/…`, `ingress/…` | calico: one pod's policies of that direction, then its denial |
//! | `policy/<namespace>/<name>` | flannel: what a policy admits; its last rule counts the rest |
//! | `policy-egress/…`, `policy-ingress/…` | calico: the same, a direction each |
//!
//! | `policies/<namespace>/<number>` | several policies that select the same pods, in turn |
//!
//! Every denial is a rule with a counter and a comment that names direction, pod and policies.
//! Counters begin anew with each script.
//!
//! `table ip cluster-services` holds kube-proxy's and the CNI's translation:
//! `service/<namespace>/<name>/<port>` picks an endpoint, `external/…` is the way in for node
//! ports and outside addresses, `endpoint/<address>/<protocol>/<port>` translates; `postrouting`
//! masquerades. Services without endpoints refuse in chains that come after the policies.
//!
//! An ordinary user's transaction has to fit into one netlink message of `net.core.wmem_default`
//! bytes (212992 unless changed), because nft 1.0.6 may not enlarge its buffer: about 2 kB for
//! each policed pod. Ninety pods under twenty policies take 198 kB; more fail as a whole with
//! "Message too long", and the rules before them stay.
//!
//! What the node must see to itself:
//! * [`Attachment::Bridge`](crate::profile::Attachment): traffic between pods of one bridge meets
//!   these chains only with `net.bridge.bridge-nf-call-iptables=1` in the node's network
//!   namespace. Without the module: every port `isolated on`, and `proxy_arp_pvlan=1`,
//!   `send_redirects=0` on the bridge, so that all of it is routed.
//! * The bridge's ports in hairpin mode, `ip_forward=1`, a default route.
//! * `icmp_ratelimit` stays 1000: clients of real nodes see it.
//! * [`NewPod::ClosedUntilSync`](crate::profile::NewPod): addresses of the pod range that the
//!   view does not know are dropped, so a pod's address must be in the view, and the rules
//!   loaded, before its containers start.

mod names;
mod policies;
mod services;
mod text;

use crate::profile::Profile;
use crate::view::ClusterView;

/// Name of the table (family `ip`) that judges.
pub const POLICY_TABLE: &str = "cluster-policy";

/// Name of the table (family `ip`) that translates addresses.
pub const SERVICE_TABLE: &str = "cluster-services";

/// The rules of `view`'s node, for `nft -f -`.
#[must_use]
pub fn compile(view: &ClusterView, profile: &Profile) -> String {
    let mut script = text::Script::default();
    policies::write(&mut script, view, *profile);
    services::write(&mut script, view, *profile);
    script.finish()
}

/// A script that removes what [`compile`]'s scripts load, whether it is there or not.
#[must_use]
pub fn removal() -> String {
    [POLICY_TABLE, SERVICE_TABLE].map(|table| format!("table ip {table}\ndelete table ip {table}\n")).concat()
}
