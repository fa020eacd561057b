//! Where cases run, and what that place has not.

use std::sync::Arc;

use clusters::{KubernetesCluster, Programs};

use crate::given::{ClusterScope, Foothold, LentMesh};
use crate::run::CaseSpec;

const OWN_MESH: &str =
    "it installs a mesh of its own, or changes one; a lent mesh gets policies and Models only";

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
    /// A node that kills a process, takes a link down, forgets a connection or drops packets when it is told to.
    NodeLever,
}

impl Ground {
    /// The mesh of somebody's that is broken here, instead of meshes of the cases' own.
    pub(crate) fn lent(&self) -> Option<&LentMesh> {
        match self {
            Ground::Given(foothold) => foothold.lent(),
            Ground::Embedded(_) | Ground::Kubernetes(..) => None,
        }
    }

    /// Why no scenario can be run here.
    fn is_unfit(&self) -> Option<&str> {
        match self {
            Ground::Given(foothold) => foothold.lack_of_images(),
            Ground::Embedded(_) | Ground::Kubernetes(..) => None,
        }
    }

    /// Why a case cannot be run here.
    pub(crate) fn lacks_for(&self, spec: &CaseSpec) -> Option<&str> {
        let needs = || spec.needs.iter().find_map(|need| self.lacks(*need));
        match (self.lent(), spec.on_lent) {
            (Some(_), Some(_)) => None,
            (Some(_), None) => Some(OWN_MESH),
            (None, _) => self.is_unfit().or_else(needs),
        }
    }

    /// Why a scenario that needs `need` cannot be run here.
    fn lacks(&self, need: Need) -> Option<&'static str> {
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
        (Need::NodeLever, _) => Some(
            "it acts on the node beside the API; of nodes this program has hands on those of --cluster embedded and kubernetes only",
        ),
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
    fn a_given_node_is_never_acted_on_and_it_is_said_which_is() {
        let why = lacks_on_given(Need::NodeLever, ClusterScope::Allowed).unwrap();
        assert!(why.ends_with("those of --cluster embedded and kubernetes only"), "{why}");
    }
}
