//! Who may not do all that a run does learns who tells it all at once.

use clusters::GivenCluster;

use super::{ClusterScope, Foothold};

/// What `doctor` is told besides the context, for runs that may make so much.
pub(super) fn of_scope(scope: ClusterScope) -> String {
    match scope {
        ClusterScope::Allowed => " --allow-cluster-scope".into(),
        ClusterScope::Forbidden | ClusterScope::PodsAlone => String::new(),
    }
}

/// The same for runs on the mesh in `namespace`.
pub(super) fn of_lent(namespace: &str) -> String {
    format!(" --namespace {namespace}")
}

/// Where something of what was asked of `cluster` was forbidden: who lists what is.
fn remedy(cluster: &GivenCluster, asked: &str) -> String {
    format!("`seldon-conformance doctor --context {}{asked}` lists what is missing", cluster.context())
}

/// An error with the remedy, where something was forbidden since the last time.
pub(super) fn explain(cluster: &GivenCluster, asked: &str, error: anyhow::Error) -> anyhow::Error {
    if cluster.take_refusals().is_empty() {
        return error;
    }
    anyhow::anyhow!("{error:#}; {}", remedy(cluster, asked))
}

impl Foothold {
    /// What `doctor` is told besides the context.
    pub(super) fn asked(&self) -> String {
        self.lent().map_or_else(|| of_scope(self.scope()), |mesh| of_lent(mesh.namespace()))
    }

    /// An error with the remedy, where something was forbidden since the last time.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        explain(self.cluster(), &self.asked(), error)
    }

    /// What was forbidden since the last time, with the remedy.
    pub(crate) fn forbidden(&self) -> Option<String> {
        let refusals = self.cluster().take_refusals();
        let first = refusals.first()?;
        Some(format!("{first}; {}", remedy(self.cluster(), &self.asked())))
    }
}
