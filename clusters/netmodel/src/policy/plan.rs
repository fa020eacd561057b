//! Policies resolved to addresses: what both the verdicts and the rule text are made from.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::explain::{PolicyName, Protocol};
use super::rules;
use crate::profile::Profile;
use crate::ranges::Ranges;
use crate::selector::{self, Labels};
use crate::view::ClusterView;

/// All pods that policies can mean, and all policies.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) pods: Vec<PlanPod>,
    pub(crate) policies: Vec<PlanPolicy>,
}

/// A pod with an address of its own that has not finished.
#[derive(Debug, Clone)]
pub(crate) struct PlanPod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) labels: Labels,
    /// Named container ports.
    pub(crate) ports: Vec<(String, Protocol, u16)>,
    pub(crate) place: Place,
}

/// Where a pod runs, seen from the node of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    Elsewhere,
}

/// One policy; a direction it does not speak of is `None`.
#[derive(Debug, Clone)]
pub(crate) struct PlanPolicy {
    pub(crate) name: PolicyName,
    /// Addresses of the pods it selects.
    pub(crate) subjects: Ranges,
    pub(crate) ingress: Option<Vec<Match>>,
    pub(crate) egress: Option<Vec<Match>>,
}

/// One thing a policy admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// Place of its rule in the policy's list.
    pub(crate) rule: usize,
    pub(crate) source: Addresses,
    pub(crate) destination: Addresses,
    pub(crate) port: PortMatch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Addresses {
    Any,
    Only(Ranges),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortMatch {
    /// Every protocol, ICMP included.
    Any,
    Protocol(Protocol),
    Range(Protocol, u16, u16),
}

impl Plan {
    pub(crate) fn new(view: &ClusterView, profile: Profile) -> Self {
        let mut pods: Vec<PlanPod> =
            view.pods.iter().filter_map(|pod| plan_pod(pod, &view.node.name)).collect();
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let mut policies: Vec<PlanPolicy> =
            view.policies.iter().map(|policy| plan_policy(view, &pods, policy, profile)).collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        Self { pods, policies }
    }

    /// The policies that select `address`.
    pub(crate) fn selecting(&self, address: Ipv4Addr) -> impl Iterator<Item = &PlanPolicy> {
        self.policies.iter().filter(move |policy| policy.subjects.contains(address))
    }
}

impl Addresses {
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ranges) => ranges.contains(address),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Only(ranges) if ranges.is_empty())
    }
}

impl PortMatch {
    pub(crate) fn covers(&self, protocol: Protocol, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Protocol(own) => *own == protocol,
            Self::Range(own, low, high) => *own == protocol && (*low..=*high).contains(&port),
        }
    }
}

fn plan_pod(pod: &Pod, node: &str) -> Option<PlanPod> {
    let status = pod.status.as_ref()?;
    let spec = pod.spec.as_ref()?;
    let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if spec.host_network == Some(true) || finished {
        return None;
    }
    let named = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports = named.filter_map(|port| {
        let protocol = Protocol::of_api(port.protocol.as_deref())?;
        Some((port.name.clone()?, protocol, u16::try_from(port.container_port).ok()?))
    });
    let here = spec.node_name.as_deref().is_none_or(|own| own == node);
    Some(PlanPod {
        namespace: pod.metadata.namespace.clone()?,
        name: pod.metadata.name.clone()?,
        address: status.pod_ip.as_deref()?.parse().ok()?,
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        ports: ports.collect(),
        place: if here { Place::Here } else { Place::Elsewhere },
    })
}

fn plan_policy(view: &ClusterView, pods: &[PlanPod], policy: &NetworkPolicy, profile: Profile) -> PlanPolicy {
    let namespace = policy.metadata.namespace.clone().unwrap_or_default();
    let spec = policy.spec.clone().unwrap_or_default();
    let everything = Default::default();
    let selector = spec.pod_selector.as_ref().unwrap_or(&everything);
    let selected: Vec<&PlanPod> = pods
        .iter()
        .filter(|pod| pod.namespace == namespace && selector::matches(selector, &pod.labels))
        .collect();
    let subjects = Ranges::hosts(selected.iter().map(|pod| pod.address));
    let context = rules::Context {
        view,
        pods,
        namespace: &namespace,
        selected: &selected,
        subjects: &subjects,
        profile,
    };
    // The API server's default: Ingress always, Egress where there are such rules.
    let (ingress, egress) = match spec.policy_types.as_deref() {
        None | Some([]) => (true, spec.egress.as_ref().is_some_and(|rules| !rules.is_empty())),
        Some(types) => {
            let has = |word: &str| types.iter().any(|one| one == word);
            (has("Ingress"), has("Egress"))
        }
    };
    let ingress = ingress.then(|| rules::ingress(&context, spec.ingress.as_deref().unwrap_or_default()));
    let egress = egress.then(|| rules::egress(&context, spec.egress.as_deref().unwrap_or_default()));
    let name =
        PolicyName { namespace: namespace.clone(), name: policy.metadata.name.clone().unwrap_or_default() };
    PlanPolicy { name, subjects, ingress, egress }
}
