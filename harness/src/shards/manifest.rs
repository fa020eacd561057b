//! The objects of a run that is shared out among pods. Pure.

use serde_json::{Value, json};

use crate::patience::given::SHARDS;

/// Name of the Job, of its only container and of the volume for what it writes.
pub(super) const JOB: &str = "shards";
/// The annotation that tells a pod's index, from 0.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Where a shard writes.
const RECORDS: &str = "/records";

/// A run that is shared out among pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The namespace that is made for it.
    pub namespace: String,
    /// How many shards, each in a pod.
    pub shards: usize,
    /// The image of this program.
    pub image: String,
    /// What `run` is told beside its shard: filters, `--cni`, `--jobs`.
    pub arguments: Vec<String>,
}

/// Namespace and Job, in the order in which they are applied.
pub fn manifests(plan: &Plan) -> Vec<Value> {
    let Plan { namespace, .. } = plan;
    vec![
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": namespace,
                // A shard makes namespaces of the kernel in its pod, which a restricted pod may not.
                "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
            },
        }),
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": JOB, "namespace": namespace, "labels": labels()},
            "spec": {
                "completionMode": "Indexed",
                "completions": plan.shards,
                "parallelism": plan.shards,
                // A shard that was cut off is missed and said to be; run once more it would hide what happened.
                "backoffLimitPerIndex": 0,
                "activeDeadlineSeconds": SHARDS.as_secs(),
                "template": {"metadata": {"labels": labels()}, "spec": pod(plan)},
            },
        }),
    ]
}

fn labels() -> Value {
    json!({
        "app.kubernetes.io/name": "seldon-conformance",
        "app.kubernetes.io/component": JOB,
        "app.kubernetes.io/managed-by": "seldon-conformance",
    })
}

fn pod(plan: &Plan) -> Value {
    let shards = plan.shards.to_string();
    let mut arguments: Vec<&str> =
        vec!["shard-in-pod", "--index", "$(JOB_COMPLETION_INDEX)", "--shards", &shards, "--records", RECORDS];
    if !plan.arguments.is_empty() {
        arguments.push("--");
        arguments.extend(plan.arguments.iter().map(String::as_str));
    }
    json!({
        "restartPolicy": "Never",
        // A shard has its own clusters and no business with this one.
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 10,
        "containers": [{
            "name": JOB,
            "image": plan.image,
            "args": arguments,
            "securityContext": {"privileged": true},
            "volumeMounts": [{"name": "records", "mountPath": RECORDS}],
        }],
        "volumes": [{"name": "records", "emptyDir": {}}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_of_a_run_in_three_pods() {
        let plan = Plan {
            namespace: "seldon-conformance-shards-0a1b2c3d".into(),
            shards: 3,
            image: "seldon-conformance/suite:1".into(),
            arguments: ["serving", "--cni", "calico", "--jobs", "1"].map(str::to_owned).to_vec(),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&manifests(&plan)).unwrap());
    }
}
