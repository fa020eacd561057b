//! Pods as a Job sees them, and how it makes them.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use kube::ResourceExt;

use crate::{owner, pods};

/// Keeps a pod until its Job has counted it.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Annotation and label with a pod's completion index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotation with the number of failures of an index before this pod.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// The variable with a pod's completion index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The longest prefix of a generated name.
const LONGEST_PREFIX: usize = 58;

/// A pod to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewPod {
    /// Its completion index; none for a Job that is not Indexed.
    pub(super) index: Option<i32>,
    /// The failures of its index so far, where they are counted for each.
    pub(super) failures: Option<i32>,
}

/// Whether the Job has not counted the pod yet.
pub(super) fn is_held(pod: &Pod) -> bool {
    pod.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// The pod's completion index.
pub(super) fn index(pod: &Pod) -> Option<i32> {
    pod.annotations().get(INDEX)?.parse().ok().filter(|index| *index >= 0)
}

/// How often the pod's index had failed before it.
pub(super) fn failures_before(pod: &Pod) -> i32 {
    pod.annotations().get(FAILURES).and_then(|text| text.parse().ok()).unwrap_or(0).max(0)
}

/// Whether the pod counts as failed. One that is asked to go does at once, unless only failed pods are replaced.
pub(super) fn has_failed(pod: &Pod, spec: &JobSpec) -> bool {
    match pods::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => pods::is_leaving(pod) && !replaces_only_failed(spec),
    }
}

/// Whether a pod that is asked to go is replaced only when it has gone.
pub(super) fn replaces_only_failed(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed")
}

/// The pod to be created.
pub(super) fn make(job: &Job, new: NewPod) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let namespace = job.namespace().unwrap_or_default();
    let mut pod = pods::from_template(&template, &namespace, owner::controlled_by(job));
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    pod.metadata.generate_name = Some(prefix(&job.name_any(), new.index));
    if let Some(index) = new.index {
        let text = index.to_string();
        pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), text.clone());
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(INDEX.to_owned(), text);
        if let Some(failures) = new.failures {
            annotations.insert(FAILURES.to_owned(), failures.to_string());
        }
        if let Some(spec) = pod.spec.as_mut() {
            spec.hostname = Some(format!("{}-{index}", job.name_any()));
            spec.init_containers.iter_mut().flatten().for_each(tell_index);
            spec.containers.iter_mut().for_each(tell_index);
        }
    }
    pod
}

/// What the pod's name begins with; a long name of the Job gives way to the index.
fn prefix(job: &str, index: Option<i32>) -> String {
    let end = index.map_or_else(|| "-".to_owned(), |index| format!("-{index}-"));
    let room = LONGEST_PREFIX.saturating_sub(if index.is_some() { end.len() } else { 0 });
    let begin: String = job.chars().take(if index.is_some() { room } else { job.len() }).collect();
    format!("{begin}{end}")
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let field = ObjectFieldSelector {
        field_path: format!("metadata.labels['{INDEX}']"),
        ..ObjectFieldSelector::default()
    };
    variables.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn job(name: &str) -> Job {
        let container = json!({"name": "c", "env": [{"name": "OWN", "value": "1"}]});
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}});
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "ns", "uid": "u"}, "spec": {"template": template},
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_of_an_indexed_job_knows_its_index() {
        let pod = make(&job("sum"), NewPod { index: Some(2), failures: Some(1) });
        let shown = serde_json::to_value(&pod).unwrap();
        assert_eq!(shown["metadata"]["generateName"], "sum-2-");
        assert_eq!(shown["metadata"]["labels"], json!({"a": "b", INDEX: "2"}));
        assert_eq!(shown["metadata"]["annotations"], json!({INDEX: "2", FAILURES: "1"}));
        assert_eq!(shown["metadata"]["finalizers"], json!([FINALIZER]));
        let owner = &shown["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["apiVersion"], &owner["kind"]), (&json!("batch/v1"), &json!("Job")));
        assert_eq!(shown["spec"]["hostname"], "sum-2");
        let path = "metadata.labels['batch.kubernetes.io/job-completion-index']";
        let told = json!({"name": INDEX_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        assert_eq!(shown["spec"]["containers"][0]["env"], json!([{"name": "OWN", "value": "1"}, told]));
        assert_eq!((index(&pod), failures_before(&pod)), (Some(2), 1));
    }

    #[test]
    fn a_pod_of_another_job_has_none() {
        let pod = make(&job("sum"), NewPod { index: None, failures: None });
        assert_eq!((index(&pod), failures_before(&pod)), (None, 0));
        assert_eq!(pod.spec.and_then(|spec| spec.hostname), None);
    }

    #[rstest]
    #[case::plain("sum", None, "sum-")]
    #[case::indexed("sum", Some(12), "sum-12-")]
    fn names_begin_with_the_jobs(#[case] job: &str, #[case] index: Option<i32>, #[case] expected: &str) {
        assert_eq!(prefix(job, index), expected);
    }

    #[test]
    fn a_long_name_leaves_room_for_the_index() {
        let made = prefix(&"x".repeat(63), Some(7));
        assert_eq!((made.len(), made.ends_with("x-7-")), (LONGEST_PREFIX, true));
    }

    #[rstest]
    #[case::running(json!({"phase": "Running"}), false, false, false)]
    #[case::failed(json!({"phase": "Failed"}), false, false, true)]
    #[case::succeeded_and_leaving(json!({"phase": "Succeeded"}), true, false, false)]
    #[case::leaving(json!({"phase": "Running"}), true, false, true)]
    #[case::leaving_where_only_failed_are_replaced(json!({"phase": "Running"}), true, true, false)]
    fn failed_pods(
        #[case] status: serde_json::Value,
        #[case] leaving: bool,
        #[case] only_failed: bool,
        #[case] expected: bool,
    ) {
        let deleted = leaving.then_some("2026-01-01T00:00:00Z");
        let pod = json!({"metadata": {"deletionTimestamp": deleted}, "status": status});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let policy = only_failed.then(|| "Failed".to_owned());
        let spec = JobSpec { pod_replacement_policy: policy, ..JobSpec::default() };
        assert_eq!(has_failed(&pod, &spec), expected);
    }
}
