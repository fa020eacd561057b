//! The workload of a component: a StatefulSet when it has claims, else a Deployment.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::ResourceExt;
use seldon_crds::{ComponentDefinition, ConditionStatus, OverrideSpec, SeldonConfig, SeldonRuntime};
use serde_json::{Value, json};

use super::Verdict;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::journal::{Frame, Journal};
use crate::merge;
use crate::owned::{self, Outcome, owned_by};
use crate::server::{claims, merged, typed};

/// The six components that have a condition.
const CONDITIONS: [(&str, &str); 6] = [
    ("seldon-scheduler", "SchedulerReady"),
    ("seldon-envoy", "EnvoyReady"),
    ("seldon-dataflow-engine", "DataflowEngineReady"),
    ("seldon-modelgateway", "ModelGatewayReady"),
    ("seldon-pipelinegateway", "PipelineGatewayReady"),
    ("hodometer", "HodometerReady"),
];

/// Counts of a workload's status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    ready: i32,
    all: i32,
}

/// Keeps a component's workload as wanted. A change that somebody else made, such as another replica count, is
/// undone.
pub(super) async fn keep(
    cluster: &Cluster,
    runtime: &SeldonRuntime,
    config: &SeldonConfig,
    component: &ComponentDefinition,
    over: Option<&OverrideSpec>,
    journal: &Journal,
) -> Result<Option<Verdict>, Failure> {
    let wanted = workload(runtime, config, component, over);
    if component.volume_claim_templates.is_empty() {
        let counts = keep_deployment(cluster, wanted, journal).await?;
        Ok(verdict(
            &component.name,
            counts,
            [
                "Deployment replicas matches desired replicas",
                "Deployment replicas does not match desired replicas",
            ],
        ))
    } else {
        let counts = keep_stateful_set(cluster, wanted, journal).await?;
        Ok(verdict(
            &component.name,
            counts,
            [
                "StatefulSet replicas matches desired replicas",
                "StatefulSet replicas does not match desired replicas",
            ],
        ))
    }
}

async fn keep_deployment(cluster: &Cluster, wanted: Value, journal: &Journal) -> Result<Counts, Failure> {
    let wanted: Deployment = typed(wanted)?;
    let names = names(&wanted);
    let outcome = owned::keep(cluster, wanted).await.inspect_err(|failure| {
        // It says "statefuleset" in the original.
        let journal = journal.named("DeploymentReconcile");
        journal.error(Some(failure), "Failed to update statefuleset", &names, &[]);
    })?;
    Ok(match outcome {
        Outcome::Created => Counts::default(),
        Outcome::Unchanged(found) | Outcome::Updated(found, _) => {
            let status = found.status.unwrap_or_default();
            Counts { ready: status.ready_replicas.unwrap_or(0), all: status.replicas.unwrap_or(0) }
        }
    })
}

async fn keep_stateful_set(cluster: &Cluster, wanted: Value, journal: &Journal) -> Result<Counts, Failure> {
    let wanted: StatefulSet = typed(wanted)?;
    let names = names(&wanted);
    let outcome = owned::keep(cluster, wanted).await.inspect_err(|failure| {
        let journal = journal.named("StatefulSetReconcile");
        journal.error(Some(failure), "Failed to update statefulset", &names, STATEFUL_SET_STACK);
    })?;
    let found = match outcome {
        Outcome::Created => return Ok(Counts::default()),
        Outcome::Unchanged(found) => found,
        Outcome::Updated(found, difference) => {
            journal.info("stateful set difference", &[("diff", json!(difference))]);
            found
        }
    };
    let status = found.status.unwrap_or_default();
    Ok(Counts { ready: status.ready_replicas.unwrap_or(0), all: status.replicas })
}

/// Ready when as many pods are ready as exist: a component scaled to nothing is ready, and so is one just created.
fn verdict(component: &str, counts: Counts, [ready, not_ready]: [&'static str; 2]) -> Option<Verdict> {
    let (_, kind) = CONDITIONS.iter().find(|(name, _)| *name == component)?;
    let (status, reason) = if counts.ready >= counts.all {
        (ConditionStatus::True, ready)
    } else {
        (ConditionStatus::False, not_ready)
    };
    Some(Verdict { kind, status, reason })
}

fn names<K: ResourceExt>(object: &K) -> [(&'static str, Value); 2] {
    [("Name", json!(object.name_any())), ("Namespace", json!(object.namespace()))]
}

/// Deployment or StatefulSet. The replicas come from the override alone: the configuration's own count is not read.
fn workload(
    runtime: &SeldonRuntime,
    config: &SeldonConfig,
    component: &ComponentDefinition,
    over: Option<&OverrideSpec>,
) -> Value {
    let name = &component.name;
    let replicas = over.and_then(|over| over.replicas).unwrap_or(1);
    let base = component.pod_spec.clone().unwrap_or_else(|| json!({}));
    let pod = merge::pod_specs(&base, over.and_then(|over| over.pod_spec.as_ref()));
    let all = |own: &std::collections::BTreeMap<String, String>, of_config, of_runtime| {
        let mut all = merged(of_config, of_runtime);
        all.extend(own.iter().map(|(key, value)| (key.clone(), json!(value))));
        all
    };
    let mut labels = all(&component.labels, config.labels(), runtime.labels());
    labels.insert("app.kubernetes.io/name".to_owned(), json!(name));
    let annotations = all(&component.annotations, config.annotations(), runtime.annotations());
    let stateful = !component.volume_claim_templates.is_empty();
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": if stateful { "StatefulSet" } else { "Deployment" },
        "metadata": {
            "name": name, "namespace": runtime.namespace(), "labels": labels, "annotations": annotations,
            "ownerReferences": [owned_by(runtime)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    });
    if stateful {
        object["spec"]["serviceName"] = json!(name);
        object["spec"]["podManagementPolicy"] = json!("Parallel");
        object["spec"]["volumeClaimTemplates"] = claims(&component.volume_claim_templates);
    }
    object
}

const STATEFUL_SET_STACK: &[Frame] = &[(
    "github.com/seldonio/seldon-core/operator/v2/controllers/reconcilers/seldon.(*ComponentStatefulSetReconciler).Reconcile",
    "github.com/seldonio/seldon-core/operator/v2/controllers/reconcilers/seldon/statefulset_reconciler.go",
)];

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none_wanted_none_there(0, 0, ConditionStatus::True)]
    #[case::starting(0, 1, ConditionStatus::False)]
    #[case::up(1, 1, ConditionStatus::True)]
    fn readiness_compares_with_what_exists(
        #[case] ready: i32,
        #[case] all: i32,
        #[case] status: ConditionStatus,
    ) {
        let verdict = verdict("seldon-envoy", Counts { ready, all }, ["yes", "no"]).unwrap();
        assert_eq!((verdict.kind, verdict.status), ("EnvoyReady", status));
    }

    #[test]
    fn a_foreign_component_has_no_condition() {
        assert!(verdict("extra", Counts::default(), ["yes", "no"]).is_none());
    }
}
