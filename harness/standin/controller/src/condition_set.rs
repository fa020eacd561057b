//! knative's living condition set: how `Ready` follows from the others.

use seldon_crds::{Condition, ConditionStatus, Severity};

/// The overall condition.
const HAPPY: &str = "Ready";

/// The conditions on which an object's `Ready` depends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConditionSet(&'static [&'static str]);

/// A Model's.
pub(crate) const MODEL: ConditionSet = ConditionSet(&["ModelReady"]);
/// A Server's.
pub(crate) const SERVER: ConditionSet = ConditionSet(&["StatefulSetReady"]);
/// A Pipeline's.
pub(crate) const PIPELINE: ConditionSet = ConditionSet(&["PipelineReady", "ModelsReady"]);
/// An Experiment's.
pub(crate) const EXPERIMENT: ConditionSet =
    ConditionSet(&["ExperimentReady", "CandidatesReady", "MirrorReady"]);
/// A SeldonRuntime's. All six, also those whose component is disabled: then `Ready` stays unknown.
pub(crate) const RUNTIME: ConditionSet = ConditionSet(&[
    "SchedulerReady",
    "DataflowEngineReady",
    "ModelGatewayReady",
    "PipelineGatewayReady",
    "EnvoyReady",
    "HodometerReady",
]);

/// The two texts of a condition.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Texts<'a> {
    pub(crate) message: &'a str,
    pub(crate) reason: &'a str,
}

impl ConditionSet {
    /// Marks `kind` true or false. False spreads to `Ready` with the same texts at once; after a true one `Ready`
    /// is worked out anew.
    pub(crate) fn mark(
        self,
        conditions: &mut Vec<Condition>,
        kind: &str,
        status: ConditionStatus,
        texts: Texts,
    ) {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.mark_at(conditions, kind, status, texts, &now);
    }

    fn mark_at(
        self,
        conditions: &mut Vec<Condition>,
        kind: &str,
        status: ConditionStatus,
        texts: Texts,
        now: &str,
    ) {
        self.set(conditions, kind, status, texts, now);
        if status == ConditionStatus::True {
            let unhappy = self.unhappy_dependent(conditions);
            let (status, reason, message) =
                unhappy.unwrap_or((ConditionStatus::True, String::new(), String::new()));
            self.set(conditions, HAPPY, status, Texts { message: &message, reason: &reason }, now);
        } else if self.belongs(kind) {
            self.set(conditions, HAPPY, status, texts, now);
        }
    }

    fn belongs(self, kind: &str) -> bool {
        kind == HAPPY || self.0.contains(&kind)
    }

    /// Replaces one condition, keeps the list sorted, and moves the transition time only when something changed.
    fn set(
        self,
        conditions: &mut Vec<Condition>,
        kind: &str,
        status: ConditionStatus,
        texts: Texts,
        now: &str,
    ) {
        let old = conditions.iter().position(|condition| condition.kind == kind);
        let mut new = Condition {
            kind: kind.to_owned(),
            status,
            severity: (!self.belongs(kind)).then_some(Severity::Info),
            last_transition_time: old.and_then(|index| conditions[index].last_transition_time.clone()),
            reason: texts.reason.to_owned(),
            message: texts.message.to_owned(),
        };
        if old.is_some_and(|index| conditions[index] == new) {
            return;
        }
        new.last_transition_time = Some(now.to_owned());
        conditions.retain(|condition| condition.kind != kind);
        conditions.push(new);
        conditions.sort_by(|one, other| one.kind.cmp(&other.kind));
    }

    /// The dependent that makes `Ready` untrue: the youngest false one, else the youngest unknown one, else
    /// "unknown" when one was never set.
    fn unhappy_dependent(self, conditions: &[Condition]) -> Option<(ConditionStatus, String, String)> {
        let mut dependents: Vec<&Condition> =
            conditions.iter().filter(|condition| self.0.contains(&condition.kind.as_str())).collect();
        dependents.sort_by(|one, other| other.last_transition_time.cmp(&one.last_transition_time));
        let first = |status| dependents.iter().find(|condition| condition.status == status);
        let found = first(ConditionStatus::False).or_else(|| first(ConditionStatus::Unknown));
        match found {
            Some(condition) => Some((condition.status, condition.reason.clone(), condition.message.clone())),
            None => (dependents.len() < self.0.len())
                .then(|| (ConditionStatus::Unknown, String::new(), String::new())),
        }
    }
}

/// Whether `Ready` holds.
pub(crate) fn is_ready(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| condition.kind == HAPPY && condition.status == ConditionStatus::True)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConditionStatus::{False, True};
    use rstest::rstest;

    fn shape(conditions: &[Condition]) -> String {
        let lines = conditions.iter().map(|c| {
            let severity = if c.severity.is_some() { " Info" } else { "" };
            format!("{}={:?} [{}|{}]{severity}", c.kind, c.status, c.message, c.reason)
        });
        lines.collect::<Vec<_>>().join(", ")
    }

    #[rstest]
    #[case::available(MODEL, &[("ModelReady", True, "ModelAvailable", "")],
        "ModelReady=True [ModelAvailable|], Ready=True [|]")]
    #[case::progressing(MODEL, &[("ModelReady", False, "ModelProgressing", "boom")],
        "ModelReady=False [ModelProgressing|boom], Ready=False [ModelProgressing|boom]")]
    #[case::healed(MODEL, &[("ModelReady", False, "ModelProgressing", "boom"), ("ModelReady", True, "ModelAvailable", "")],
        "ModelReady=True [ModelAvailable|], Ready=True [|]")]
    #[case::foreign(EXPERIMENT, &[("ModelReady", False, "", "refused")], "ModelReady=False [|refused] Info")]
    #[case::candidate_missing(EXPERIMENT,
        &[("ExperimentReady", False, "", ""), ("CandidatesReady", False, "", "Candidates not ready"),
          ("MirrorReady", True, "", "Mirror ready")],
        "CandidatesReady=False [|Candidates not ready], ExperimentReady=False [|], MirrorReady=True [|Mirror ready], \
         Ready=False [|Candidates not ready]")]
    #[case::disabled_components(RUNTIME, &[("SchedulerReady", True, "", "ok")],
        "Ready=Unknown [|], SchedulerReady=True [|ok]")]
    #[case::pipeline(PIPELINE,
        &[("PipelineReady", False, "no dataflow engines", "PipelineCreate"), ("ModelsReady", True, "Models all available", "")],
        "ModelsReady=True [Models all available|], PipelineReady=False [no dataflow engines|PipelineCreate], \
         Ready=False [no dataflow engines|PipelineCreate]")]
    fn ready_follows_from_the_others(
        #[case] set: ConditionSet,
        #[case] marks: &[(&str, ConditionStatus, &str, &str)],
        #[case] expected: &str,
    ) {
        let mut conditions = Vec::new();
        for (kind, status, message, reason) in marks {
            set.mark_at(&mut conditions, kind, *status, Texts { message, reason }, "2026-11-21T06:00:00Z");
        }
        assert_eq!(shape(&conditions), expected);
    }

    #[test]
    fn the_time_moves_only_when_something_changed() {
        let mut conditions = Vec::new();
        let mut mark = |reason: &str, now: &str| {
            MODEL.mark_at(&mut conditions, "ModelReady", False, Texts { message: "m", reason }, now);
            conditions.iter().map(|c| c.last_transition_time.clone().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(mark("a", "t1"), ["t1", "t1"]);
        assert_eq!(mark("a", "t2"), ["t1", "t1"]);
        assert_eq!(mark("b", "t3"), ["t3", "t3"]);
    }
}
