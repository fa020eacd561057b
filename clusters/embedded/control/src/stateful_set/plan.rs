//! What a StatefulSet does next. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::objects;
use super::revisions::Revisions;
use crate::pods;

/// One pod in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) ordinal: i32,
    pub(super) revision: String,
    pub(super) alive: bool,
    pub(super) leaving: bool,
    pub(super) ready: bool,
    pub(super) available: bool,
}

impl Member {
    pub(super) fn counts(&self) -> bool {
        self.alive && !self.leaving
    }

    fn healthy(&self) -> bool {
        self.counts() && self.available
    }
}

/// The set in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) wanted: i32,
    pub(super) first: i32,
    pub(super) parallel: bool,
    /// Whether a new template replaces pods by itself.
    pub(super) rolls: bool,
    pub(super) partition: i32,
    pub(super) current: String,
    pub(super) update: String,
    /// By ordinal.
    pub(super) pods: Vec<Member>,
    pub(super) soon: Option<Duration>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Create { ordinal: i32, revision: String },
    Delete { ordinal: i32 },
}

impl View {
    pub(super) fn new(set: &StatefulSet, owned: &[Arc<Pod>], revisions: &Revisions, now: Timestamp) -> View {
        let spec = set.spec.clone().unwrap_or_default();
        let seconds = spec.min_ready_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        let min_ready = Duration::from_secs(seconds);
        let strategy = spec.update_strategy.unwrap_or_default();
        let mut soon: Option<Duration> = None;
        let mut members: Vec<Member> = Vec::new();
        for pod in owned {
            let Some(ordinal) = objects::ordinal(set, &pod.name_any()) else { continue };
            let availability = pods::availability(pod, min_ready, now);
            if let Err(Some(pause)) = availability {
                soon = Some(soon.map_or(pause, |known| known.min(pause)));
            }
            members.push(Member {
                ordinal,
                revision: pod.labels().get(objects::REVISION_LABEL).cloned().unwrap_or_default(),
                alive: !super::has_ended(pod),
                leaving: pods::is_leaving(pod),
                ready: pods::is_ready(pod),
                available: availability.is_ok(),
            });
        }
        members.sort_by_key(|member| member.ordinal);
        View {
            wanted: spec.replicas.unwrap_or(1),
            first: spec.ordinals.and_then(|ordinals| ordinals.start).unwrap_or(0),
            parallel: spec.pod_management_policy.as_deref() == Some("Parallel"),
            rolls: strategy.type_.as_deref() != Some("OnDelete"),
            partition: strategy.rolling_update.and_then(|rolling| rolling.partition).unwrap_or(0),
            current: revisions.current.clone(),
            update: revisions.update.clone(),
            pods: members,
            soon,
        }
    }

    pub(super) fn becomes_available_in(&self) -> Option<Duration> {
        self.soon
    }

    fn member(&self, ordinal: i32) -> Option<&Member> {
        self.pods.iter().find(|member| member.ordinal == ordinal)
    }

    /// The revision of a pod that is made now.
    fn revision_for(&self, ordinal: i32) -> String {
        let old = self.rolls && ordinal < self.first + self.partition && self.current != self.update;
        // While a rollout is under way pods below it come back as they were.
        let has_current = self.pods.iter().any(|member| member.counts() && member.revision == self.current);
        let rolling_down = self.rolls && self.current != self.update && has_current && !self.reached(ordinal);
        if old || rolling_down { self.current.clone() } else { self.update.clone() }
    }

    /// Whether the rollout, which goes from the highest ordinal down, has come to this pod.
    fn reached(&self, ordinal: i32) -> bool {
        self.pods
            .iter()
            .filter(|member| member.ordinal > ordinal)
            .all(|member| member.revision == self.update)
    }
}

/// The things to do now; empty when there is nothing, or something must happen first.
pub(super) fn steps(view: &View) -> Vec<Step> {
    let mut steps = Vec::new();
    for ordinal in view.first..view.first + view.wanted {
        match view.member(ordinal) {
            None => {
                steps.push(Step::Create { ordinal, revision: view.revision_for(ordinal) });
                if !view.parallel {
                    return steps;
                }
            }
            Some(member) if !member.alive && !member.leaving => {
                steps.push(Step::Delete { ordinal });
                if !view.parallel {
                    return steps;
                }
            }
            Some(member) if !view.parallel && !member.healthy() => {
                // Except that a broken pod may be replaced by its new template below.
                return if member.leaving { Vec::new() } else { update(view) };
            }
            Some(_) => {}
        }
    }
    if !steps.is_empty() {
        return steps;
    }
    let surplus =
        |member: &&Member| member.ordinal < view.first || member.ordinal >= view.first + view.wanted;
    let condemned: Vec<&Member> = view.pods.iter().filter(surplus).collect();
    if view.parallel {
        let leaving: Vec<Step> = condemned
            .iter()
            .filter(|member| !member.leaving)
            .map(|member| Step::Delete { ordinal: member.ordinal })
            .collect();
        if !leaving.is_empty() {
            return leaving;
        }
    } else if let Some(last) = condemned.last() {
        // The highest first, one at a time.
        return if last.leaving { Vec::new() } else { vec![Step::Delete { ordinal: last.ordinal }] };
    }
    update(view)
}

/// The next pod that a new template replaces: the highest ordinal that is old, once all above are healthy.
fn update(view: &View) -> Vec<Step> {
    if !view.rolls
        || view.current == view.update && view.pods.iter().all(|member| member.revision == view.update)
    {
        return Vec::new();
    }
    for ordinal in (view.first + view.partition..view.first + view.wanted).rev() {
        let Some(member) = view.member(ordinal) else { return Vec::new() };
        if member.revision != view.update && !member.leaving {
            return vec![Step::Delete { ordinal }];
        }
        if !member.healthy() {
            return Vec::new();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn member(ordinal: i32, text: &str) -> Member {
        Member {
            ordinal,
            revision: if text.contains("old") { "a" } else { "b" }.to_owned(),
            alive: !text.contains("ended"),
            leaving: text.contains("leaving"),
            ready: text.contains("ready"),
            available: text.contains("ready"),
        }
    }

    /// `members`: one word list per ordinal, `-` for a pod that is not there.
    fn view(wanted: i32, members: &[&str]) -> View {
        let there = members.iter().enumerate().filter(|(_, text)| **text != "-");
        View {
            wanted,
            first: 0,
            parallel: false,
            rolls: true,
            partition: 0,
            current: if members.iter().any(|text| text.contains("old")) { "a" } else { "b" }.to_owned(),
            update: "b".to_owned(),
            pods: there.map(|(ordinal, text)| member(i32::try_from(ordinal).unwrap(), text)).collect(),
            soon: None,
        }
    }

    fn told(steps: &[Step]) -> String {
        let one = |step: &Step| match step {
            Step::Create { ordinal, revision } => format!("+{ordinal}{revision}"),
            Step::Delete { ordinal } => format!("-{ordinal}"),
        };
        steps.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case::first(view(2, &[]), "+0b")]
    #[case::waits_for_the_first(view(2, &["new"]), "")]
    #[case::second(view(2, &["new ready"]), "+1b")]
    #[case::all_there(view(2, &["new ready", "new ready"]), "")]
    #[case::hole(view(2, &["-", "new ready"]), "+0b")]
    #[case::ended(view(1, &["new ended"]), "-0")]
    #[case::one_too_many(view(1, &["new ready", "new ready", "new ready"]), "-2")]
    #[case::one_after_the_other(view(1, &["new ready", "new ready", "new leaving"]), "")]
    #[case::scaled_to_nothing(view(0, &["new ready"]), "-0")]
    #[case::new_template(view(2, &["old ready", "old ready"]), "-1")]
    #[case::replaced(view(2, &["old ready", "-"]), "+1b")]
    #[case::waits_for_the_replaced(view(2, &["old ready", "new"]), "")]
    #[case::goes_on(view(2, &["old ready", "new ready"]), "-0")]
    #[case::broken_old_pod_is_replaced(view(1, &["old"]), "-0")]
    #[case::parallel(View { parallel: true, ..view(3, &["new"]) }, "+1b +2b")]
    #[case::parallel_down(View { parallel: true, ..view(1, &["new", "new", "new"]) }, "-1 -2")]
    #[case::partition(View { partition: 1, ..view(2, &["old ready", "new ready"]) }, "")]
    #[case::partition_keeps_the_old(View { partition: 1, ..view(2, &["-", "old ready"]) }, "+0a")]
    #[case::on_delete(View { rolls: false, ..view(2, &["old ready", "old ready"]) }, "")]
    #[case::on_delete_gone(View { rolls: false, ..view(2, &["-", "old ready"]) }, "+0b")]
    fn plans(#[case] view: View, #[case] expected: &str) {
        assert_eq!(told(&steps(&view)), expected);
    }
}
