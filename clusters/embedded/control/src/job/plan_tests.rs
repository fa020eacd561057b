use super::*;
use crate::job::member::FINALIZER;
use crate::job::{finished_at, member::make};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

fn job(spec: Value, status: Value) -> Job {
    let mut whole = json!({
        "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let meta = json!({"name": "sum", "namespace": "ns", "uid": "job"});
    serde_json::from_value(json!({"metadata": meta, "spec": whole, "status": status})).unwrap()
}

/// `p0=Running 0 held`: name, phase, then words: an index, `held`, `leaving`, `ready`, `after2` failures, `restarts3`.
fn pod(text: &str) -> Arc<Pod> {
    let (name, rest) = text.split_once('=').unwrap();
    let mut words = rest.split(' ');
    let phase = words.next().unwrap();
    let words: Vec<&str> = words.collect();
    let number = |prefix: &str| words.iter().find_map(|word| word.strip_prefix(prefix)?.parse::<i32>().ok());
    let index = words.iter().find(|word| word.parse::<i32>().is_ok());
    let ready = if words.contains(&"ready") { "True" } else { "False" };
    let mut annotations = json!({});
    if let Some(index) = index {
        annotations["batch.kubernetes.io/job-completion-index"] = json!(index);
    }
    if let Some(failures) = number("after") {
        annotations["batch.kubernetes.io/job-index-failure-count"] = json!(failures.to_string());
    }
    let container = json!({"name": "c", "image": "", "imageID": "", "ready": false,
        "restartCount": number("restarts").unwrap_or(0)});
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "ns", "uid": name, "annotations": annotations,
                "finalizers": if words.contains(&"held") { vec![FINALIZER] } else { Vec::new() },
                "deletionTimestamp": words.contains(&"leaving").then_some("2026-01-01T00:00:00Z"),
            },
            "status": {
                "phase": phase,
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "containerStatuses": [container],
            },
        }))
        .unwrap(),
    )
}

fn planned(job: &Job, pods: &[&str], now: &str) -> Plan {
    let pods: Vec<Arc<Pod>> = pods.iter().map(|text| pod(text)).collect();
    plan(&Situation {
        job,
        spec: job.spec.as_ref().unwrap(),
        pods: &pods,
        failures: Failures::default(),
        now: now.parse().unwrap(),
        pace: Pace::REAL,
    })
}

/// What is done, in one line: `+` made, `-` deleted, `~` given up, `!` let go; then the conditions that are true.
fn told(plan: &Plan) -> String {
    let made = |new: &NewPod| match (new.index, new.failures) {
        (Some(index), Some(failures)) => format!("+{index}/{failures}"),
        (Some(index), None) => format!("+{index}"),
        (None, _) => "+".to_owned(),
    };
    let with = |mark: &str, names: &[String]| -> Vec<String> {
        names.iter().map(|name| format!("{mark}{name}")).collect()
    };
    let conditions = plan.status.conditions.iter().flatten().filter(|it| it.status == "True");
    let conditions = conditions.map(|it| match it.reason.as_deref() {
        Some(reason) => format!("{}:{reason}", it.type_),
        None => it.type_.clone(),
    });
    [
        plan.create.iter().map(made).collect(),
        with("-", &plan.delete),
        with("~", &plan.give_up),
        with("!", &plan.release),
        conditions.collect(),
    ]
    .concat()
    .join(" ")
}

const NOW: &str = "2026-01-01T01:00:00Z";

#[rstest]
#[case::first(json!({"completions": 3}), &[], "+")]
#[case::as_many_as_may_run_at_once(json!({"completions": 3, "parallelism": 2}), &[], "+ +")]
#[case::no_more_than_are_missing(json!({"completions": 2, "parallelism": 9}), &["a=Running held"], "+")]
#[case::all_run(json!({"completions": 1}), &["a=Pending held"], "")]
#[case::next(json!({"completions": 2}), &["a=Succeeded held"], "+ !a")]
#[case::reached(json!({"completions": 1}), &["a=Succeeded held"], "!a SuccessCriteriaMet:CompletionsReached")]
#[case::one_success_of_a_work_queue(json!({"parallelism": 2}), &["a=Succeeded held", "b=Running held"], "!a")]
#[case::end_of_a_work_queue(
    json!({"parallelism": 2}), &["a=Succeeded held", "b=Failed held"],
    "!a !b SuccessCriteriaMet:CompletionsReached"
)]
#[case::failed_is_replaced(json!({"completions": 1}), &["a=Failed held"], "+ !a")]
#[case::deleted_counts_as_failed(json!({"completions": 1}), &["a=Running held leaving"], "+ !a")]
#[case::deleted_is_waited_for(
    json!({"completions": 1, "podReplacementPolicy": "Failed"}), &["a=Running held leaving"], ""
)]
#[case::limit(
    json!({"completions": 2, "parallelism": 2, "backoffLimit": 0}), &["a=Failed held", "b=Running held ready"],
    "-b !a !b FailureTarget:BackoffLimitExceeded"
)]
#[case::restarts(
    json!({"completions": 1, "backoffLimit": 2, "template": {"spec": {"restartPolicy": "OnFailure", "containers": []}}}),
    &["a=Running held restarts2"], "-a !a FailureTarget:BackoffLimitExceeded"
)]
#[case::restarts_below_the_limit(
    json!({"completions": 1, "backoffLimit": 2, "template": {"spec": {"restartPolicy": "OnFailure", "containers": []}}}),
    &["a=Running held restarts1"], ""
)]
#[case::too_many(json!({"completions": 1}), &["a=Running held ready", "b=Pending held"], "~b")]
#[case::suspended(json!({"completions": 1, "suspend": true}), &["a=Running held"], "~a Suspended:JobSuspended")]
#[case::scaled_to_nothing(json!({"completions": 1, "parallelism": 0}), &["a=Running held"], "~a")]
#[case::nothing_to_do(json!({"completions": 0}), &[], "SuccessCriteriaMet:CompletionsReached")]
fn plans(#[case] spec: Value, #[case] pods: &[&str], #[case] expected: &str) {
    assert_eq!(told(&planned(&job(spec, json!({})), pods, NOW)), expected);
}

fn indexed(more: Value) -> Value {
    let mut spec = json!({"completionMode": "Indexed", "completions": 4, "parallelism": 2});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[rstest]
#[case::first(json!({}), json!({}), &[], "+0 +1")]
#[case::next(json!({}), json!({"completedIndexes": "0,2"}), &["a=Running 1 held"], "+3")]
#[case::failed_again(json!({}), json!({}), &["a=Failed 0 held", "b=Running 1 held"], "+0 !a")]
#[case::twice_the_same(json!({}), json!({}), &["a=Running 0 held ready", "b=Pending 0 held"], "~b")]
#[case::beyond_the_last(json!({}), json!({}), &["a=Running 9 held", "b=Running 0 held"], "~a")]
#[case::all(
    json!({}), json!({"completedIndexes": "0-2"}), &["a=Succeeded 3 held"],
    "!a SuccessCriteriaMet:CompletionsReached"
)]
#[case::each_index_has_its_limit(
    json!({"backoffLimitPerIndex": 1}), json!({}), &["a=Failed 0 held", "b=Running 1 held"], "+0/1"
)]
#[case::the_count_is_handed_over(
    json!({"backoffLimitPerIndex": 1}), json!({}), &["a=Failed 0 held", "b=Running 0 held after1"], "+1/0 !a"
)]
#[case::an_index_fails_for_good(
    json!({"backoffLimitPerIndex": 1}), json!({}), &["a=Failed 0 held after1"], "+1/0 +2/0 !a"
)]
#[case::the_rest_goes_on_to_the_end(
    json!({"backoffLimitPerIndex": 0}), json!({"completedIndexes": "1-3"}), &["a=Failed 0 held"],
    "!a FailureTarget:FailedIndexes"
)]
#[case::too_many_failed(
    json!({"backoffLimitPerIndex": 0, "maxFailedIndexes": 1}), json!({"failedIndexes": "0"}),
    &["a=Failed 1 held", "b=Running 2 held"], "-b !a !b FailureTarget:MaxFailedIndexesExceeded"
)]
#[case::enough_of_them(
    json!({"successPolicy": {"rules": [{"succeededCount": 2}]}}), json!({"completedIndexes": "0,1"}),
    &["a=Running 2 held"], "-a !a SuccessCriteriaMet:SuccessPolicy"
)]
#[case::the_right_ones(
    json!({"successPolicy": {"rules": [{"succeededIndexes": "0,3"}, {"succeededIndexes": "1"}]}}),
    json!({"completedIndexes": "1,2"}), &[], "SuccessCriteriaMet:SuccessPolicy"
)]
#[case::not_the_right_ones(
    json!({"successPolicy": {"rules": [{"succeededIndexes": "0,3"}]}}), json!({"completedIndexes": "1,3"}), &[],
    "+0 +2"
)]
fn plans_of_indexed_jobs(
    #[case] spec: Value,
    #[case] status: Value,
    #[case] pods: &[&str],
    #[case] expected: &str,
) {
    assert_eq!(told(&planned(&job(indexed(spec), status), pods, NOW)), expected);
}

#[rstest]
#[case::in_time("2026-01-01T00:00:04Z", "", Some(6))]
#[case::too_late("2026-01-01T00:00:10Z", "-a !a FailureTarget:DeadlineExceeded", None)]
fn a_deadline_ends_a_job(#[case] now: &str, #[case] expected: &str, #[case] again: Option<u64>) {
    let job = job(
        json!({"completions": 1, "activeDeadlineSeconds": 10}),
        json!({"startTime": "2026-01-01T00:00:00Z"}),
    );
    let plan = planned(&job, &["a=Running held"], now);
    assert_eq!((told(&plan).as_str(), plan.again), (expected, again.map(Duration::from_secs)));
}

#[test]
fn a_failure_is_waited_out_before_the_next_pod() {
    let job = job(json!({"completions": 1}), json!({}));
    let plan = planned(&job, &["a=Failed held"], "2026-01-01T00:00:04Z");
    assert_eq!((told(&plan).as_str(), plan.again), ("!a", Some(Duration::from_secs(6))));
}

#[test]
fn a_pod_is_noted_let_go_of_and_then_counted() {
    let begun = job(json!({"completions": 2}), json!({}));
    let noted = planned(&begun, &["a=Succeeded held"], NOW).status;
    assert_eq!(noted.uncounted_terminated_pods.clone().unwrap().succeeded, Some(vec!["a".to_owned()]));
    assert_eq!(noted.succeeded, None);
    let known = Job { status: Some(noted), ..begun };
    // Not let go of yet: the same again.
    assert_eq!(planned(&known, &["a=Succeeded held", "b=Running held"], NOW).status.succeeded, None);
    let counted = planned(&known, &["a=Succeeded", "b=Running held"], NOW).status;
    assert_eq!((counted.succeeded, counted.active), (Some(1), Some(1)));
    assert_eq!(counted.uncounted_terminated_pods.unwrap().succeeded, None);
}

#[test]
fn a_job_ends_when_nothing_is_left_to_go() {
    let target = json!([{"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]);
    let failing = job(json!({"completions": 1}), json!({"conditions": target}));
    assert_eq!(told(&planned(&failing, &["a=Running leaving"], NOW)), "FailureTarget:BackoffLimitExceeded");
    let ended = planned(&failing, &["a=Failed leaving"], NOW);
    assert_eq!(told(&ended), "FailureTarget:BackoffLimitExceeded Failed:BackoffLimitExceeded");
    assert_eq!(ended.status.completion_time, None);
    assert_eq!(ended.notes[0].reason, "BackoffLimitExceeded");
}

#[test]
fn a_job_that_goes_on_begins_its_time_anew() {
    let suspended = json!([{"type": "Suspended", "status": "True", "reason": "JobSuspended"}]);
    let status = json!({"conditions": suspended, "startTime": "2026-01-01T00:00:00Z"});
    let resumed = planned(&job(json!({"completions": 1, "suspend": false}), status), &[], NOW);
    assert_eq!(told(&resumed), "+");
    assert_eq!(resumed.status.start_time, Some(Time(NOW.parse().unwrap())));
    assert_eq!((resumed.notes[0].reason, resumed.notes[0].message.as_str()), ("Resumed", "Job resumed"));
}

/// Carries plans out on a Job and its pods, as the API server and a node would, until the Job has finished.
struct Play {
    job: Job,
    pods: Vec<Arc<Pod>>,
    failures: Failures,
    made: usize,
    failed: i32,
}

impl Play {
    /// One look; `false` when the Job has finished.
    fn look(&mut self) -> bool {
        if finished_at(&self.job).is_some() {
            return false;
        }
        let plan = plan(&Situation {
            job: &self.job,
            spec: self.job.spec.as_ref().unwrap(),
            pods: &self.pods,
            failures: self.failures,
            // Late enough for every wait to be over.
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
            pace: Pace::REAL,
        });
        for new in &plan.create {
            let mut pod = make(&self.job, *new);
            self.made += 1;
            (pod.metadata.name, pod.metadata.uid) =
                (Some(format!("p{}", self.made)), Some(format!("p{}", self.made)));
            self.pods.push(Arc::new(pod));
        }
        self.job.status = Some(plan.status);
        self.failures = plan.failures;
        for pod in &mut self.pods {
            let pod = Arc::make_mut(pod);
            let name = pod.name_any();
            if plan.release.contains(&name) || plan.give_up.contains(&name) {
                pod.metadata.finalizers = None;
            }
        }
        self.pods
            .retain(|pod| !plan.delete.contains(&pod.name_any()) && !plan.give_up.contains(&pod.name_any()));
        true
    }

    /// The pod that has run longest ends.
    fn end_one(&mut self, phase: &str) {
        if let Some(pod) = self.pods.iter_mut().find(|pod| pods::is_active(pod)) {
            Arc::make_mut(pod).status.get_or_insert_default().phase = Some(phase.to_owned());
            self.failed += i32::from(phase == "Failed");
        }
    }

    fn active(&self) -> usize {
        self.pods.iter().filter(|pod| pods::is_active(pod)).count()
    }
}

proptest! {
    #[test]
    fn every_end_is_counted_once(
        completions in 1_i32..7,
        parallelism in 1_i32..4,
        is_indexed in any::<bool>(),
        ends in prop::collection::vec(prop::bool::weighted(0.6), 1..30),
    ) {
        let mode = if is_indexed { "Indexed" } else { "NonIndexed" };
        let spec = json!({"completions": completions, "parallelism": parallelism, "completionMode": mode,
            "backoffLimit": 1000});
        let mut play =
            Play { job: job(spec, json!({})), pods: Vec::new(), failures: Failures::default(), made: 0, failed: 0 };
        let mut ends = ends.into_iter().chain(std::iter::repeat(true));
        for _ in 0..200 {
            if !play.look() {
                break;
            }
            prop_assert!(play.active() <= usize::try_from(parallelism).unwrap());
            play.end_one(if ends.next().unwrap() { "Succeeded" } else { "Failed" });
        }
        let status = play.job.status.clone().unwrap();
        prop_assert!(finished_at(&play.job).is_some(), "{:?}", status);
        prop_assert_eq!(status.succeeded, Some(completions));
        prop_assert_eq!(status.failed.unwrap_or(0), play.failed);
        prop_assert_eq!((status.active, status.terminating), (None, Some(0)));
        prop_assert!(play.pods.iter().all(|pod| pod.finalizers().is_empty()));
        if is_indexed {
            let all = (0..completions).collect::<Indexes>().to_string();
            prop_assert_eq!(status.completed_indexes, Some(all));
        }
    }
}
