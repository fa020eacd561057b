//! Counting pods that have ended, each once, and saying how the Job ends. Pure.
//!
//! A pod that has ended goes through three steps, so that a controller that is killed in between neither forgets it nor
//! counts it twice: its uid is written into the status, its finalizer is removed, its uid becomes a count.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::member;
use super::plan::{End, Note, Plan, Situation};
use super::view::{View, lists, valid_index};
use crate::events::Tone;
use crate::pods;

/// The condition of that type.
pub(super) fn condition<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Says that the Job is suspended, or no longer.
pub(super) fn suspension(plan: &mut Plan, suspended: bool, now: Timestamp) {
    let (status, reason, message) = if suspended {
        ("True", "JobSuspended", "Job suspended")
    } else {
        ("False", "JobResumed", "Job resumed")
    };
    if !set(&mut plan.status, "Suspended", status, reason, message, now) {
        return;
    }
    if !suspended {
        // Its deadline counts from now on.
        plan.status.start_time = Some(Time(now));
    }
    let reason = if suspended { "Suspended" } else { "Resumed" };
    plan.notes.push(Note { tone: Tone::Normal, reason, message: message.to_owned() });
}

/// Takes ended pods into the status and lets go of those that are in it; ends the Job when nothing is left to count.
pub(super) fn count(situation: &Situation<'_>, view: &View<'_>, end: Option<&End>, plan: &mut Plan) {
    let mut uncounted = plan.status.uncounted_terminated_pods.take().unwrap_or_default();
    settle(&mut plan.status, &mut uncounted, view);
    take_in(situation, view, end, plan, &mut uncounted);
    if let Some(indexed) = &view.indexed {
        plan.status.succeeded = Some(indexed.succeeded.total()).filter(|count| *count > 0);
        plan.status.completed_indexes = Some(indexed.succeeded.to_string()).filter(|text| !text.is_empty());
        plan.status.failed_indexes = indexed.failed.as_ref().map(ToString::to_string);
    }
    let open = uncounted.succeeded.is_some() || uncounted.failed.is_some() || !plan.release.is_empty();
    plan.status.uncounted_terminated_pods = Some(uncounted);
    if let Some(end) = end {
        let waits = open || plan.status.terminating.is_some_and(|count| count > 0);
        conclude(end, waits, situation.now, view, plan);
    }
}

/// Turns uids whose pod has been let go of into counts.
fn settle(status: &mut JobStatus, uncounted: &mut UncountedTerminatedPods, view: &View<'_>) {
    let held: BTreeSet<String> =
        view.pods.iter().filter(|pod| member::is_held(pod)).filter_map(|pod| pod.uid()).collect();
    let turn = |list: &mut Option<Vec<String>>, count: &mut Option<i32>| {
        let before = list.take().unwrap_or_default();
        let all = before.len();
        let rest: Vec<String> = before.into_iter().filter(|uid| held.contains(uid)).collect();
        let more = i32::try_from(all - rest.len()).unwrap_or(i32::MAX);
        *count = Some(count.unwrap_or(0).saturating_add(more)).filter(|count| *count > 0);
        *list = Some(rest).filter(|rest| !rest.is_empty());
    };
    turn(&mut uncounted.succeeded, &mut status.succeeded);
    turn(&mut uncounted.failed, &mut status.failed);
}

/// Notes the uids of pods that have ended, and that they may go.
fn take_in(
    situation: &Situation<'_>,
    view: &View<'_>,
    end: Option<&End>,
    plan: &mut Plan,
    uncounted: &mut UncountedTerminatedPods,
) {
    for pod in view.pods.iter().copied().filter(|pod| member::is_held(pod)) {
        let failed = member::has_failed(pod, situation.spec);
        if plan.give_up.contains(&pod.name_any()) || !may_go(situation, view, end, pod, failed) {
            continue;
        }
        plan.release.push(pod.name_any());
        let uid = pod.uid().unwrap_or_default();
        let (succeeded_uids, failed_uids) = lists(uncounted);
        if failed_uids.contains(&uid) || succeeded_uids.contains(&uid) {
            continue;
        }
        let completions = view.indexed.as_ref().map(|indexed| indexed.completions);
        if pods::phase(pod) == "Succeeded" {
            // The index of an Indexed Job's pod is note enough.
            if completions.is_none() {
                uncounted.succeeded.get_or_insert_default().push(uid);
            }
        } else if (failed || matches!(end, Some(End::Failure { .. })))
            && completions.is_none_or(|completions| valid_index(pod, completions).is_some())
        {
            // The pods that a failing Job leaves behind have failed, too.
            uncounted.failed.get_or_insert_default().push(uid);
        }
    }
}

fn may_go(situation: &Situation<'_>, view: &View<'_>, end: Option<&End>, pod: &Pod, failed: bool) -> bool {
    if situation.job.metadata.deletion_timestamp.is_some() || end.is_some() || pods::phase(pod) == "Succeeded"
    {
        return true;
    }
    let awaited = view.indexed.as_ref().is_some_and(|indexed| {
        let awaiting = valid_index(pod, indexed.completions).and_then(|index| indexed.awaiting.get(&index));
        awaiting.is_some_and(|awaiting| awaiting.uid() == pod.uid())
    });
    failed && !awaited
}

/// Says how the Job is going to end and, in a later look than that, when nothing is waited for any more, that it has.
fn conclude(end: &End, waits: bool, now: Timestamp, view: &View<'_>, plan: &mut Plan) {
    let (begun, done, reason, message) = match end {
        End::Success { reason, message } => ("SuccessCriteriaMet", "Complete", reason, message),
        End::Failure { reason, message } => ("FailureTarget", "Failed", reason, message),
    };
    if condition(&plan.status, begun).is_none_or(|known| known.status != "True") {
        set(&mut plan.status, begun, "True", reason, message, now);
        return;
    }
    if waits {
        return;
    }
    set(&mut plan.status, done, "True", reason, message, now);
    match end {
        End::Success { .. } => {
            plan.status.completion_time = Some(Time(now));
            if view.spec.completions.is_some_and(|wanted| plan.status.succeeded.unwrap_or(0) > wanted) {
                let message = "Too many succeeded pods running after completion count reached".to_owned();
                plan.notes.push(Note { tone: Tone::Warning, reason: "TooManySucceededPods", message });
            }
            let message = "Job completed".to_owned();
            plan.notes.push(Note { tone: Tone::Normal, reason: "Completed", message });
        }
        End::Failure { reason, message } => {
            let reason = event_reason(reason);
            plan.notes.push(Note { tone: Tone::Warning, reason, message: message.clone() });
        }
    }
}

/// A condition's reason as the reason of an event.
fn event_reason(reason: &str) -> &'static str {
    const KNOWN: [&str; 4] =
        ["BackoffLimitExceeded", "DeadlineExceeded", "MaxFailedIndexesExceeded", "FailedIndexes"];
    KNOWN.into_iter().find(|known| *known == reason).unwrap_or("Failed")
}

/// Sets a condition; whether that changed anything. Nothing becomes false that was not there.
fn set(status: &mut JobStatus, kind: &str, value: &str, reason: &str, message: &str, now: Timestamp) -> bool {
    let conditions = status.conditions.get_or_insert_default();
    let made = JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(known)
            if known.status == value && known.reason == made.reason && known.message == made.message =>
        {
            false
        }
        Some(known) => {
            *known = made;
            true
        }
        None if value == "False" => {
            if conditions.is_empty() {
                status.conditions = None;
            }
            false
        }
        None => {
            conditions.push(made);
            true
        }
    }
}
