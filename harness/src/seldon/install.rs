//! Installing charts on a world's cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clusters::{Cluster, HelmTarget, kubeconfig};
use serde_json::Value;

use super::arrange::documents;
use super::release::{Chart, Installation, Plan, Step};
use super::values::Layout;
use super::{Charts, uninstall, uninstall_steps};
use crate::given::{Foothold, RUN_LABEL};
use crate::object::{Kind, ObjectRef};
use crate::patience::Patience;
use crate::world::World;

/// Name of the context that is written for a cluster of the case's own.
pub(super) const CONTEXT: &str = "case";
/// The file of it.
const KUBECONFIG: &str = "kubeconfig";

impl World {
    /// Installs `charts` in order. On somebody else's cluster all that they make without a namespace is noted before it
    /// is made, and nothing that is there is taken over.
    ///
    /// # Errors
    /// What helm or the API server said, or why it may not be done there.
    pub(crate) async fn install_charts(
        &self,
        source: &Charts,
        charts: &[Chart],
        layout: &Layout,
    ) -> anyhow::Result<()> {
        let directory = self.with_journal(|journal| journal.path().with_extension("helm"));
        let target = target(self.cluster(), &directory)?;
        let arranger = std::env::current_exe().context("cannot find this program's own file")?;
        let label = self.foothold().map(|foothold| run_label(foothold.run()));
        let how = Installation {
            target: &target,
            limit: self.patience().mesh,
            directory: &directory,
            arranger: &arranger,
            label: label.as_deref(),
        };
        let plan = source.plan(charts, layout, &how)?;
        if self.foothold().is_some() {
            let removable = removable(charts);
            self.uninstall_later(uninstall_steps(source, &removable, layout, &target));
        }
        let installed = self.carry_out(&plan).await;
        // What helm learnt of this cluster is of no use to who reads the record.
        let _ = fs::remove_dir_all(&target.discovery);
        if self.foothold().is_none() {
            self.forget_kubeconfig();
        }
        installed
    }

    async fn carry_out(&self, plan: &Plan) -> anyhow::Result<()> {
        for step in &plan.steps {
            write(&step.values.0, &step.values.1)?;
            if let Some(foothold) = self.foothold()
                && self.announce(foothold, step).await? == Needed::No
            {
                self.step(format!("{} is there already and stays as it is", step.chart.name()))?;
                continue;
            }
            self.step(step.command.to_string())?;
            let limit = limit(self.patience());
            match tokio::time::timeout(limit, step.command.awaited()).await {
                Ok(ended) => ended.map(drop)?,
                Err(_) => anyhow::bail!("`{}` did not end within {} s", step.command, limit.as_secs()),
            }
        }
        Ok(())
    }

    /// Takes the charts away that were installed on somebody else's cluster, hooks and all. What stays is the sweep's to
    /// find: it asks the cluster and not helm.
    pub(crate) async fn uninstall_charts(&self) {
        for steps in self.pending_removals() {
            if let Err(error) = uninstall(self.client(), &steps).await {
                // A record that cannot be written is reported when it is closed.
                let _ = self.step(format!("helm left something to the sweep: {error:#}"));
            }
        }
        self.forget_kubeconfig();
    }

    /// Removes the kubeconfig that was written for helm, if one was: it holds a token.
    fn forget_kubeconfig(&self) {
        let file = self.with_journal(|journal| journal.path().with_extension("helm")).join(KUBECONFIG);
        // One that is not there was not written; one that cannot be removed is of a cluster that ends with its case.
        let _ = fs::remove_file(file);
    }

    /// Notes in the ledger what a chart is about to make without a namespace.
    async fn announce(&self, foothold: &Foothold, step: &Step) -> anyhow::Result<Needed> {
        let rendered = step.rendering.awaited().await?.stdout;
        let rendered = documents(&rendered)
            .map_err(|why| anyhow::anyhow!("`{}` printed no manifests: {why}", step.rendering))?;
        let unscoped: Vec<&Value> = rendered.iter().filter(|document| unscoped_kind(document)).collect();
        if step.chart == Chart::Crds && self.all_there(&unscoped).await? {
            return Ok(Needed::No);
        }
        for document in unscoped {
            foothold.expect(self.client(), document).await?;
        }
        Ok(Needed::Yes)
    }

    async fn all_there(&self, definitions: &[&Value]) -> anyhow::Result<bool> {
        for definition in definitions {
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            let object = ObjectRef::new(Kind::CustomResourceDefinition, "", name);
            if object.read(self.client()).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a chart has to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    Yes,
    No,
}

/// Kinds of Kubernetes' own whose objects have no namespace, and which a chart may hold. What is none of them has one:
/// the API server refuses it otherwise.
fn unscoped_kind(document: &Value) -> bool {
    let kind = document["kind"].as_str().unwrap_or_default();
    kind.starts_with("Cluster")
        || kind.ends_with("WebhookConfiguration")
        || [
            "CustomResourceDefinition",
            "Namespace",
            "PriorityClass",
            "StorageClass",
            "PersistentVolume",
            "APIService",
        ]
        .contains(&kind)
}

/// Where helm finds the cluster. For one of the case's own a kubeconfig is written.
fn target(cluster: &Cluster, directory: &Path) -> anyhow::Result<HelmTarget> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let access = match cluster {
        Cluster::Given(given) => {
            return Ok(given_target(given.kubeconfig().map(PathBuf::from), given.context(), directory));
        }
        Cluster::Embedded(embedded) => embedded.access(),
        Cluster::Kubernetes(_, kubernetes) => kubernetes.access(),
    };
    let target = own_target(directory);
    if let Some(file) = &target.kubeconfig {
        write(file, &kubeconfig(CONTEXT, access))?;
    }
    Ok(target)
}

/// A cluster that exists: its own kubeconfig serves.
pub(super) fn given_target(kubeconfig: Option<PathBuf>, context: &str, directory: &Path) -> HelmTarget {
    HelmTarget { kubeconfig, context: context.into(), discovery: directory.join("discovery") }
}

/// A cluster that this program starts: a kubeconfig is written for it.
pub(super) fn own_target(directory: &Path) -> HelmTarget {
    given_target(Some(directory.join(KUBECONFIG)), CONTEXT, directory)
}

/// The charts that helm takes away. The sweep takes definitions away, and only those that nobody else uses: helm would
/// take everybody's objects along.
pub(super) fn removable(charts: &[Chart]) -> Vec<Chart> {
    charts.iter().copied().filter(|chart| *chart != Chart::Crds).collect()
}

/// How long one command of helm's may take.
pub(super) fn limit(patience: &Patience) -> Duration {
    patience.mesh * 2
}

/// The label of everything that a run makes outside of its namespaces.
pub(super) fn run_label(run: &str) -> String {
    format!("{RUN_LABEL}={run}")
}

/// Writes what only its owner may read: a kubeconfig holds a token.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let opened = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::role("Role", false)]
    #[case::cluster_role("ClusterRole", true)]
    #[case::definition("CustomResourceDefinition", true)]
    #[case::hook("ValidatingWebhookConfiguration", true)]
    #[case::seldons("SeldonRuntime", false)]
    fn kinds_without_a_namespace_are_known(#[case] kind: &str, #[case] unscoped: bool) {
        assert_eq!(unscoped_kind(&json!({"kind": kind})), unscoped);
    }
}
