//! The SeldonRuntime controller.

mod access;
mod components;
mod config_maps;
mod services;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use seldon_crds::{ConditionStatus, OverrideSpec, SeldonConfig, SeldonRuntime, SeldonRuntimeStatus, Server};
use serde_json::json;

use crate::cluster::Cluster;
use crate::condition_set::{self, Texts};
use crate::events::{Recorder, Turn};
use crate::failure::Failure;
use crate::journal::Journal;
use crate::scheduler::Schedulers;
use crate::work_queue::{Context, Reconcile, Request};

/// Holds a runtime until its namespace has no Server any more.
const FINALIZER: &str = "seldon.runtime.finalizer";

/// Makes meshes.
pub(crate) struct RuntimeReconciler {
    pub(crate) cluster: Cluster,
    pub(crate) schedulers: Arc<Schedulers>,
    pub(crate) recorder: Recorder,
    /// The operator's own namespace, the only one where configurations are looked for.
    pub(crate) home: String,
}

/// A component's condition after its workload was looked after.
struct Verdict {
    kind: &'static str,
    status: ConditionStatus,
    reason: &'static str,
}

impl Reconcile for RuntimeReconciler {
    const CONTROLLER: &'static str = "seldonruntime";
    const KIND: &'static str = "SeldonRuntime";

    async fn reconcile(&self, request: &Request, context: &Context) -> Result<(), Failure> {
        let journal = context.journal.named("Reconcile");
        let Some(runtime) = self.cluster.find::<SeldonRuntime>(&request.namespace, &request.name).await?
        else {
            return Ok(());
        };
        if runtime.metadata.deletion_timestamp.is_some() {
            return self.take_leave(runtime, &journal).await;
        }
        let runtime = self.cluster.hold(runtime, FINALIZER).await?;
        let verdicts = self.bring_about(&runtime, &journal).await?;
        let mut status = runtime.status.clone().unwrap_or_default();
        for verdict in verdicts {
            let texts = Texts { message: "", reason: verdict.reason };
            condition_set::RUNTIME.mark(&mut status.conditions, verdict.kind, verdict.status, texts);
        }
        self.write_status(runtime, status, &journal).await
    }
}

impl RuntimeReconciler {
    /// Accounts and roles, ConfigMaps, Services, then the workloads.
    async fn bring_about(&self, runtime: &SeldonRuntime, journal: &Journal) -> Result<Vec<Verdict>, Failure> {
        if runtime.spec.seldon_config.is_empty() {
            return Err(Failure::Refused("SeldonConfig not specified and is required".to_owned()));
        }
        let config: SeldonConfig = self.cluster.get(&self.home, &runtime.spec.seldon_config).await?;
        let overrides: BTreeMap<&str, &OverrideSpec> =
            runtime.spec.overrides.iter().map(|over| (over.name.as_str(), over)).collect();
        let settings = config_maps::with_defaults(&runtime.spec.config, &config.spec.config);
        access::keep(&self.cluster, runtime).await?;
        config_maps::keep(&self.cluster, runtime, &settings).await?;
        services::keep(&self.cluster, runtime, &settings.service_config, &overrides).await?;
        let mut verdicts = Vec::new();
        for component in &config.spec.components {
            let over = overrides.get(component.name.as_str()).copied();
            if over.is_some_and(|over| over.disable) {
                journal.info("Disabling component", &[("name", json!(component.name))]);
                continue;
            }
            let kept = components::keep(&self.cluster, runtime, &config, component, over, journal).await?;
            verdicts.extend(kept);
        }
        Ok(verdicts)
    }

    /// A runtime leaves only a namespace without Servers.
    async fn take_leave(&self, runtime: SeldonRuntime, journal: &Journal) -> Result<(), Failure> {
        let namespace = runtime.namespace().unwrap_or_default();
        let servers = self.cluster.list::<Server>(&namespace).await?.len();
        let fields = [("namespace", json!(namespace)), ("numServers", json!(servers))];
        journal.info("Runtime being deleted", &fields);
        if servers > 0 {
            let text = format!("Runtime is being deleted but servers still running in namespace {namespace}");
            return Err(Failure::Refused(text));
        }
        journal.info("Removing finalizer for runtime", &[("namespace", json!(namespace))]);
        self.cluster.let_go(runtime, FINALIZER).await?;
        self.schedulers.remove_connection(&namespace).await;
        Ok(())
    }

    async fn write_status(
        &self,
        mut runtime: SeldonRuntime,
        after: SeldonRuntimeStatus,
        journal: &Journal,
    ) -> Result<(), Failure> {
        let before = runtime.status.clone().unwrap_or_default();
        if before == after {
            return Ok(());
        }
        let turn = Turn::between(&before.conditions, &after.conditions);
        let name = runtime.name_any();
        let fields = [("name", json!(name)), ("namespace", json!(runtime.namespace()))];
        runtime.status = Some(after);
        if let Err(failure) = self.cluster.update_status(&runtime).await {
            journal.info("Failed to update status", &fields);
            self.recorder.update_failed(&runtime, "SeldonRuntime", &failure).await;
            return Err(failure);
        }
        journal.info("Successfully updated status", &fields);
        let subject = format!("SeldonRuntime {name}");
        self.recorder.turned(&runtime, turn, &subject, ["RuntimeReady", "SeldonRuntimeNotReady"]).await;
        Ok(())
    }
}
