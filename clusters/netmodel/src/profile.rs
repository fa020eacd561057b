//! The network stacks that are mimicked, as values: each knob is a thing a client can notice.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// k3s 1.33.1 as it comes: flannel and k3s's network policy controller (kube-router 2.2.1).
    Flannel,
    /// Calico 3.28, iptables data plane, kube-proxy beside it.
    Calico,
}

/// What a denied packet meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// ICMP port-unreachable for every protocol, one per second and client after six at once
    /// (`icmp_ratelimit` 1000, which the node must leave as it is).
    PortUnreachable,
    /// Silence.
    Drop,
}

/// Whether a policy of both types keeps its two rule lists apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BothTypes {
    /// An egress rule also admits at the destination, an ingress rule also at the source, where
    /// the policy selects that pod.
    Leak,
    /// As the API says.
    Separate,
}

/// What an `except` of an `ipBlock` is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Except {
    /// From every block of the rule that is wider; an equal block wins over it.
    WholeRule,
    /// From its own block, as the API says.
    OwnBlock,
}

/// What a named port means in an egress rule whose peers are not pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedEgress {
    /// Without `to`: the numbers of that name in the policy's namespace, towards any address.
    /// With an `ipBlock`: nothing.
    NumberOnly,
    /// Each pod that has the name, on its own number (with an `ipBlock`: pods within it).
    PerPod,
}

/// How a pod meets its own Service's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hairpin {
    /// One direction that admits the pod, or that no policy selects, is enough.
    OneDirection,
    /// Every selected direction must admit the pod itself.
    EachDirection,
}

/// How pods hang on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// Ports of the bridge `cni0`, which has the first address of the pod range. Traffic between
    /// pods meets the rules only with `net.bridge.bridge-nf-call-iptables=1`.
    Bridge,
    /// Routed /32 links with proxy ARP for 169.254.1.1.
    Routed,
}

/// What happens to a pod the rules do not know yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewPod {
    /// Its own traffic and traffic to it pass; as a peer it is not admitted yet.
    OpenUntilSync,
    /// Dropped; in practice it is known before its containers start.
    ClosedUntilSync,
}

/// What becomes of an echo request between pods when a policy forbids it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// Undefined upstream: it passes if the pod whose chain comes first is unpoliced in that
    /// direction, and the order is a hash map's. Here it passes if either pod is.
    EitherEndFree,
    /// As any other protocol: only a rule without ports admits it.
    Policed,
}

/// Delays between a change and its enforcement, in milliseconds at pace 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncLag {
    /// From the return of the call that creates or deletes a policy.
    pub policy_ms: RangeInclusive<u64>,
    /// From the start of a new pod's first process until policies know it.
    pub new_pod_ms: RangeInclusive<u64>,
}

/// Every knob of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knobs {
    /// What a denied packet meets.
    pub denial: Denial,
    /// Whether both-type policies leak.
    pub both_types: BothTypes,
    /// Scope of `except`.
    pub except: Except,
    /// Named ports in egress rules.
    pub named_egress: NamedEgress,
    /// A pod and its own Service.
    pub hairpin: Hairpin,
    /// How pods hang on the node.
    pub attachment: Attachment,
    /// Pods the rules do not know.
    pub new_pod: NewPod,
    /// Echo requests.
    pub ping: Ping,
    /// Delays.
    pub sync_lag: SyncLag,
    /// UDP port of the overlay between nodes.
    pub vxlan_port: u16,
}

const FLANNEL: Knobs = Knobs {
    denial: Denial::PortUnreachable,
    both_types: BothTypes::Leak,
    except: Except::WholeRule,
    named_egress: NamedEgress::NumberOnly,
    hairpin: Hairpin::OneDirection,
    attachment: Attachment::Bridge,
    new_pod: NewPod::OpenUntilSync,
    ping: Ping::EitherEndFree,
    sync_lag: SyncLag { policy_ms: 62..=145, new_pod_ms: 345..=973 },
    vxlan_port: 8472,
};

const CALICO: Knobs = Knobs {
    denial: Denial::Drop,
    both_types: BothTypes::Separate,
    except: Except::OwnBlock,
    named_egress: NamedEgress::PerPod,
    hairpin: Hairpin::EachDirection,
    attachment: Attachment::Routed,
    new_pod: NewPod::ClosedUntilSync,
    ping: Ping::Policed,
    sync_lag: SyncLag { policy_ms: 11..=34, new_pod_ms: 0..=0 },
    vxlan_port: 4789,
};

impl Profile {
    /// Both, in the order of reports.
    pub const ALL: [Self; 2] = [Self::Flannel, Self::Calico];

    /// The profile's knobs.
    #[must_use]
    pub fn knobs(self) -> &'static Knobs {
        match self {
            Self::Flannel => &FLANNEL,
            Self::Calico => &CALICO,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flannel => "flannel",
            Self::Calico => "calico",
        })
    }
}

/// The word is no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown network profile {0:?}: use flannel or calico")]
pub struct UnknownProfile(String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.to_string() == word)
            .ok_or_else(|| UnknownProfile(word.to_owned()))
    }
}
