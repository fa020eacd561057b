//! Where cases run, and what that place has not.

use std::sync::Arc;

use clusters::{KubernetesCluster, Programs};

use crate::given::{ClusterScope, Foothold};

/// Where cases run.
#[derive(Debug, Clone)]
pub enum Ground {
    /// Each on an embedded cluster of its own, with these provisioned programs.
    Embedded(Programs),
    /// One after the other on a cluster that exists.
    Given(Arc<Foothold>),
    /// One after the other on a real Kubernetes that this run started.
    Kubernetes(Arc<Foothold>, Arc<KubernetesCluster>, Policies),
}

/// Whether a cluster's network enforces NetworkPolicies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policies {
    /// It does.
    Enforced,
    /// They are stored, and nothing else.
    Ignored,
}

/// What a scenario needs that not every cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A name server outside whose answers can be changed.
    UpstreamNameServer,
    /// Leave to change a label of kube-system.
    LabelOfKubeSystem,
    /// Somebody who enforces policies.
    PolicyEngine,
    /// A node that kills a process when it is told to.
    NodeLever,
}

impl Ground {
    /// Why a scenario that needs `need` cannot be run here.
    pub(crate) fn lacks(&self, need: Need) -> Option<&'static str> {
        let foothold = match self {
            Ground::Embedded(_) => return None,
            Ground::Kubernetes(_, _, Policies::Ignored) if need == Need::PolicyEngine => {
                return Some("nobody enforces policies on this cluster: k3s's controller is part of k3s");
            }
            Ground::Kubernetes(..) => return None,
            Ground::Given(foothold) => foothold,
        };
        lacks_on_given(need, foothold.scope())
    }
}

fn lacks_on_given(need: Need, scope: ClusterScope) -> Option<&'static str> {
    match (need, scope) {
        (Need::UpstreamNameServer, ClusterScope::Forbidden | ClusterScope::PodsAlone) => Some(
            "it lets CoreDNS forward the case's names to a pod, in kube-system; allow that with --allow-cluster-scope",
        ),
        (Need::LabelOfKubeSystem, ClusterScope::Forbidden | ClusterScope::PodsAlone) => {
            Some("it changes a label of kube-system; allow that with --allow-cluster-scope")
        }
        (Need::NodeLever, _) => {
            Some("it acts on the node beside the API, which is not ours to do on this cluster")
        }
        (_, ClusterScope::Allowed) | (Need::PolicyEngine, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Need::UpstreamNameServer)]
    #[case(Need::LabelOfKubeSystem)]
    fn what_changes_kube_system_is_lacking_until_it_is_allowed(#[case] need: Need) {
        let why = lacks_on_given(need, ClusterScope::Forbidden).unwrap();
        assert!(
            why.contains("kube-system") && why.ends_with("allow that with --allow-cluster-scope"),
            "{why}"
        );
        assert_eq!(lacks_on_given(need, ClusterScope::Allowed), None);
        assert_eq!(lacks_on_given(Need::PolicyEngine, ClusterScope::Forbidden), None);
    }

    #[test]
    fn a_given_node_is_never_acted_on() {
        assert!(lacks_on_given(Need::NodeLever, ClusterScope::Allowed).is_some());
    }
}
