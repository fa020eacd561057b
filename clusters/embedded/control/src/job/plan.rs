//! What a Job does next. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus, SuccessPolicy};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use pace::Pace;

use super::backoff::{self, Failures};
use super::indexes::Indexes;
use super::member::{self, NewPod};
use super::tally;
use super::view::View;
use crate::events::Tone;
use crate::pods;

/// The most pods that one look makes or gives up.
const MOST_AT_ONCE: usize = 500;

/// How a Job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Success { reason: String, message: String },
    Failure { reason: String, message: String },
}

/// An event to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) tone: Tone,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What to do, in this order: pods, then the status, then the finalizers of pods that the status accounts for.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// Pods of a Job that has met its end, by name; they are counted.
    pub(super) delete: Vec<String>,
    /// Pods that are too many, by name; they are not counted.
    pub(super) give_up: Vec<String>,
    pub(super) create: Vec<NewPod>,
    pub(super) status: JobStatus,
    /// Pods that may go, by name.
    pub(super) release: Vec<String>,
    pub(super) notes: Vec<Note>,
    /// The failures to wait for, once the status is written.
    pub(super) failures: Failures,
    /// When to look again though nothing has changed.
    pub(super) again: Option<Duration>,
}

/// What is known when a Job is looked at.
pub(super) struct Situation<'a> {
    pub(super) job: &'a Job,
    pub(super) spec: &'a JobSpec,
    /// The pods it controls.
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) failures: Failures,
    pub(super) now: Timestamp,
    pub(super) pace: Pace,
}

/// What to do about a Job that has not finished.
pub(super) fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { job, spec, pods, now, .. } = *situation;
    let view = View::new(job, spec, pods);
    let mut plan = Plan {
        delete: Vec::new(),
        give_up: Vec::new(),
        create: Vec::new(),
        status: job.status.clone().unwrap_or_default(),
        release: Vec::new(),
        notes: Vec::new(),
        failures: situation.failures.after(&view.new_succeeded, &view.new_failed),
        again: None,
    };
    if plan.status.start_time.is_none() && !is_suspended(spec) {
        plan.status.start_time = Some(Time(now));
    }
    let mut end = known_end(&plan.status).or_else(|| failure(&view, &mut plan, now));
    end = end.or_else(|| success_by_policy(&view));
    let mut left =
        Left { active: view.active_count(), ready: ready(&view.active), terminating: view.terminating() };
    if end.is_some() {
        plan.delete = names(&view.active);
        left.lose(&view.active);
    } else {
        let managed = job.metadata.deletion_timestamp.is_none();
        if managed {
            manage(situation, &view, &mut plan, &mut left);
        }
        if is_complete(&view, left.active) {
            end = Some(End::Success {
                reason: "CompletionsReached".to_owned(),
                message: "Reached expected number of succeeded pods".to_owned(),
            });
        } else if managed {
            tally::suspension(&mut plan, is_suspended(spec), now);
        }
    }
    plan.status.active = Some(left.active).filter(|active| *active > 0);
    plan.status.ready = Some(left.ready);
    plan.status.terminating = Some(left.terminating);
    tally::count(situation, &view, end.as_ref(), &mut plan);
    plan
}

/// Pods by state after what is planned.
struct Left {
    active: i32,
    ready: i32,
    terminating: i32,
}

impl Left {
    fn lose(&mut self, pods: &[&Pod]) {
        let gone = i32::try_from(pods.len()).unwrap_or(i32::MAX);
        self.active -= gone;
        self.ready -= ready(pods);
        self.terminating += gone;
    }
}

fn ready(pods: &[&Pod]) -> i32 {
    i32::try_from(pods.iter().filter(|pod| pods::is_ready(pod)).count()).unwrap_or(i32::MAX)
}

fn names(pods: &[&Pod]) -> Vec<String> {
    pods.iter().map(|pod| pod.name_any()).collect()
}

pub(super) fn is_suspended(spec: &JobSpec) -> bool {
    spec.suspend == Some(true)
}

/// The end that an earlier look has found.
fn known_end(status: &JobStatus) -> Option<End> {
    let words = |kind: &str| {
        let met = tally::condition(status, kind).filter(|condition| condition.status == "True")?;
        Some((met.reason.clone().unwrap_or_default(), met.message.clone().unwrap_or_default()))
    };
    let success = words("SuccessCriteriaMet").map(|(reason, message)| End::Success { reason, message });
    success.or_else(|| words("FailureTarget").map(|(reason, message)| End::Failure { reason, message }))
}

/// Whether the Job has failed by now; while it has not, the plan learns when its deadline is.
fn failure(view: &View<'_>, plan: &mut Plan, now: Timestamp) -> Option<End> {
    let end = |reason: &str, message: &str| {
        Some(End::Failure { reason: reason.to_owned(), message: message.to_owned() })
    };
    let limit = view.spec.backoff_limit.unwrap_or(6);
    let restarts = match view.spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()) {
        Some("OnFailure") => view.restarts(),
        _ => 0,
    };
    if view.failed > limit || restarts > 0 && restarts >= limit {
        return end("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    // As long as its author wrote, whatever the pace: what it bounds are real programs.
    if let (Some(seconds), Some(began), false) =
        (view.spec.active_deadline_seconds, &plan.status.start_time, is_suspended(view.spec))
    {
        let allowed = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let passed = Duration::try_from(now.duration_since(began.0)).unwrap_or_default();
        if passed >= allowed {
            return end("DeadlineExceeded", "Job was active longer than specified deadline");
        }
        plan.again = Some(allowed - passed);
    }
    let indexed = view.indexed.as_ref()?;
    let failed = indexed.failed.as_ref().filter(|failed| !failed.is_empty())?;
    if view.spec.max_failed_indexes.is_some_and(|most| failed.total() > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return end("MaxFailedIndexesExceeded", message);
    }
    if failed.total() + indexed.succeeded.total() >= indexed.completions {
        return end("FailedIndexes", "Job has failed indexes");
    }
    None
}

fn success_by_policy(view: &View<'_>) -> Option<End> {
    let indexed = view.indexed.as_ref().filter(|indexed| !indexed.succeeded.is_empty())?;
    let SuccessPolicy { rules } = view.spec.success_policy.as_ref()?;
    let met = rules.iter().position(|rule| match &rule.succeeded_indexes {
        Some(text) => {
            let wanted = Indexes::parse(text, indexed.completions);
            let there = wanted.common(&indexed.succeeded);
            !wanted.is_empty()
                && (there == wanted.total() || rule.succeeded_count.is_some_and(|count| there >= count))
        }
        None => rule.succeeded_count.is_some_and(|count| indexed.succeeded.total() >= count),
    })?;
    Some(End::Success {
        reason: "SuccessPolicy".to_owned(),
        message: format!("Matched rules at index {met}"),
    })
}

fn is_complete(view: &View<'_>, active: i32) -> bool {
    active == 0
        && match view.spec.completions {
            None => view.succeeded > 0,
            Some(completions) => view.succeeded >= completions,
        }
}

/// Makes pods or gives them up; never both in one look.
fn manage(situation: &Situation<'_>, view: &View<'_>, plan: &mut Plan, left: &mut Left) {
    let spec = situation.spec;
    let surplus = if is_suspended(spec) { left.active } else { (left.active - view.wanted()).max(0) };
    let mut going = view.to_give_up(surplus);
    going.truncate(MOST_AT_ONCE);
    if is_suspended(spec) || !going.is_empty() {
        plan.give_up = names(&going);
        left.lose(&going);
        return;
    }
    let held_back = if member::replaces_only_failed(spec) { left.terminating } else { 0 };
    let missing = view.wanted() - held_back - left.active;
    if missing <= 0 {
        return;
    }
    if spec.backoff_limit_per_index.is_none() {
        let wait = plan.failures.remaining(situation.now, situation.pace);
        if !wait.is_zero() {
            plan.again = Some(plan.again.map_or(wait, |known| known.min(wait)));
            return;
        }
    }
    let missing = missing.min(i32::try_from(MOST_AT_ONCE).unwrap_or(i32::MAX));
    plan.create = match &view.indexed {
        None => (0..missing).map(|_| NewPod { index: None, failures: None }).collect(),
        Some(_) => new_indexes(situation, view, plan, missing),
    };
    left.active += i32::try_from(plan.create.len()).unwrap_or(i32::MAX);
}

fn new_indexes(situation: &Situation<'_>, view: &View<'_>, plan: &mut Plan, missing: i32) -> Vec<NewPod> {
    let Some(indexed) = &view.indexed else { return Vec::new() };
    let each = situation.spec.backoff_limit_per_index.is_some();
    let mut create = Vec::new();
    let mut shortest: Option<Duration> = None;
    for index in indexed.pending(view, missing) {
        let before = indexed.awaiting.get(&index).filter(|_| each);
        let failures = before.map(|pod| member::failures_before(pod) + 1);
        let wait = before.map_or(Duration::ZERO, |pod| {
            let count = u32::try_from(failures.unwrap_or(0)).unwrap_or(0);
            let record = Failures { count, last: Some(backoff::finished(pod)) };
            record.remaining(situation.now, situation.pace)
        });
        if wait.is_zero() {
            create.push(NewPod { index: Some(index), failures: each.then_some(failures.unwrap_or(0)) });
        } else {
            shortest = Some(shortest.map_or(wait, |known| known.min(wait)));
        }
    }
    if let Some(wait) = shortest {
        plan.again = Some(plan.again.map_or(wait, |known| known.min(wait)));
    }
    create
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
