//! Jobs: what the server adds to a new one, and what it refuses.

use embedded_machinery::{Gvk, builtin};
use rstest::rstest;
use serde_json::{Value, json};

use crate::yaml;

/// A new Job of that spec, as the server makes it; `restartPolicy: Never` unless the template says otherwise.
fn made(spec: &str) -> Value {
    let mut job = json!({"metadata": {"name": "sum", "namespace": "ns", "uid": "u-1"}, "spec": yaml(spec)});
    let template = json!({"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}});
    if job.pointer("/spec/template").is_none() {
        job["spec"]["template"] = template;
    }
    builtin::select_own_pods(&mut job);
    builtin::default(&gvk(), &mut job);
    job
}

fn gvk() -> Gvk {
    Gvk::new("batch", "v1", "Job")
}

fn faults(new: &Value, old: Option<&Value>) -> Vec<String> {
    builtin::validate(&gvk(), new, old).iter().map(ToString::to_string).collect()
}

#[test]
fn a_new_job_selects_its_own_pods() {
    let job = made(
        "{template: {metadata: {labels: {app: sum}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}",
    );
    let labels = json!({
        "app": "sum",
        "job-name": "sum", "batch.kubernetes.io/job-name": "sum",
        "controller-uid": "u-1", "batch.kubernetes.io/controller-uid": "u-1",
    });
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(job["metadata"]["labels"], labels, "a Job without labels has those of its pods");
    assert_eq!(
        job["spec"]["selector"],
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}})
    );
    assert_eq!(faults(&job, None), [""; 0]);
}

#[rstest]
#[case::neither("{}", json!([1, 1, 6]))]
#[case::parallelism_alone("{parallelism: 3}", json!([null, 3, 6]))]
#[case::completions_alone("{completions: 3}", json!([3, 1, 6]))]
#[case::a_limit_for_each("{completions: 3, completionMode: Indexed, backoffLimitPerIndex: 1}", json!([3, 1, i32::MAX]))]
fn numbers_have_defaults(#[case] spec: &str, #[case] expected: Value) {
    let job = made(spec);
    let get = |key: &str| job["spec"].get(key).cloned().unwrap_or_default();
    assert_eq!(json!([get("completions"), get("parallelism"), get("backoffLimit")]), expected);
    assert_eq!(faults(&job, None), [""; 0]);
}

#[rstest]
#[case::indexed_without_end(
    "{completionMode: Indexed, parallelism: 2}",
    "spec.completions: Required value: when completion mode is Indexed"
)]
#[case::mode(
    "{completionMode: Sorted}",
    "spec.completionMode: Unsupported value: \"Sorted\": supported values: \"NonIndexed\", \"Indexed\""
)]
#[case::negative(
    "{parallelism: -1}",
    "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"
)]
#[case::a_limit_for_each_of_none(
    "{backoffLimitPerIndex: 1}",
    "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"
)]
#[case::most_failed_alone(
    "{completionMode: Indexed, completions: 3, maxFailedIndexes: 1}",
    "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"
)]
#[case::for_ever(
    "{template: {spec: {containers: [{name: c, image: i}]}}}",
    "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
)]
#[case::failure_policy(
    "{podFailurePolicy: {rules: []}}",
    "spec.podFailurePolicy: Forbidden: pod failure policies are not followed by this cluster"
)]
#[case::replacement(
    "{podReplacementPolicy: Always}",
    "spec.podReplacementPolicy: Unsupported value: \"Always\": supported values: \"Failed\", \"TerminatingOrFailed\""
)]
#[case::success_policy_of_none(
    "{completionMode: Indexed, completions: 3, successPolicy: {rules: [{succeededCount: 4}]}}",
    "spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of specified completions)"
)]
fn what_is_wrong_is_said(#[case] spec: &str, #[case] expected: &str) {
    assert_eq!(faults(&made(spec), None), [expected]);
}

#[test]
fn a_foreign_selector_is_refused() {
    let wrong = "{selector: {matchLabels: {batch.kubernetes.io/controller-uid: other}}}";
    let found = faults(&made(wrong), None);
    assert!(found.iter().any(|fault| fault.ends_with("`selector` not auto-generated")), "{found:?}");
    let own = "{manualSelector: true, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}";
    assert_eq!(faults(&made(own), None), [""; 0]);
}

#[test]
fn a_name_that_makes_no_host_names_is_refused() {
    let mut job = made("{completionMode: Indexed, completions: 3}");
    job["metadata"]["name"] = json!("a.b");
    let found = faults(&job, None);
    let expected =
        "metadata.name: Invalid value: \"a.b\": will not able to create pod with invalid DNS label: a.b-2";
    assert!(found.contains(&expected.to_owned()), "{found:?}");
}

#[rstest]
#[case::parallelism("{completions: 3}", "/spec/parallelism", json!(2), &[])]
#[case::suspension("{completions: 3}", "/spec/suspend", json!(true), &[])]
#[case::completions(
    "{completions: 3}", "/spec/completions", json!(2),
    &["spec.completions: Invalid value: 2: field is immutable"]
)]
#[case::elastic("{completions: 3, parallelism: 2, completionMode: Indexed}", "/spec/completions", json!(2), &[])]
#[case::not_in_tandem(
    "{completions: 3, parallelism: 3, completionMode: Indexed}", "/spec/completions", json!(2),
    &["spec.completions: Invalid value: 2: can only be modified in tandem with spec.parallelism"]
)]
#[case::template(
    "{}", "/spec/template/spec/restartPolicy", json!("OnFailure"),
    &["spec.template: Invalid value: core.PodTemplateSpec{...}: field is immutable"]
)]
fn what_may_change(#[case] spec: &str, #[case] path: &str, #[case] value: Value, #[case] expected: &[&str]) {
    let mut old = made(spec);
    old["metadata"]["resourceVersion"] = json!("1");
    let mut new = old.clone();
    *new.pointer_mut(path).unwrap() = value;
    assert_eq!(faults(&new, Some(&old)), expected);
}

#[test]
fn a_suspended_job_that_has_not_begun_may_go_elsewhere() {
    let mut old = made("{suspend: true}");
    old["metadata"]["resourceVersion"] = json!("1");
    let mut new = old.clone();
    new["spec"]["template"]["spec"]["nodeSelector"] = json!({"zone": "b"});
    assert_eq!(faults(&new, Some(&old)), [""; 0]);
    old["status"] = json!({"startTime": "2026-01-01T00:00:00Z"});
    assert_eq!(faults(&new, Some(&old)).len(), 1);
}
