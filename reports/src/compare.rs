//! The same cases on two kinds of clusters: where they end differently, and whether somebody has explained it.

use serde::{Deserialize, Serialize};

use crate::record::{Event, Record};
use crate::verdict::Verdict;

/// A difference that is known, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDifference {
    /// Part of the case's `family: name`.
    pub case: String,
    /// The two kinds of clusters, in any order.
    pub between: [String; 2],
    /// Why it is no fault of either.
    pub reason: String,
}

/// All that are known: the contents of a `fidelity.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fidelity {
    /// One each.
    #[serde(default)]
    pub difference: Vec<KnownDifference>,
}

/// How one case ended on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The kind of cluster.
    pub cluster: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The kinds of the causes that were named, in order: how the mesh failed while it was broken.
    pub mode: Vec<String>,
}

/// What is to be said of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "reason", rename_all = "snake_case")]
pub enum Agreement {
    /// It ended the same way.
    Same,
    /// It did not, for this reason.
    Explained(String),
    /// It did not, and nobody knows why.
    Differs,
    /// It did not run on both.
    NotCompared,
}

/// One case on two clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// `policy: the controller is cut off … [calico cluster-wide]`.
    pub case: String,
    /// Its endings; one of them is missing where it did not run there.
    pub endings: Vec<Ending>,
    /// What is to be said of them.
    pub agreement: Agreement,
}

/// Compares the records of two runs of the same cases, in the order of the first.
pub fn compare(left: &[Record], right: &[Record], known: &Fidelity) -> Vec<Row> {
    left.iter().map(|record| row(record, right, known)).collect()
}

fn row(record: &Record, others: &[Record], known: &Fidelity) -> Row {
    let place = |record: &Record| {
        let case = record.case.clone();
        (case.family, case.name, case.cni, case.topology)
    };
    let other = others.iter().find(|other| place(other) == place(record));
    let endings: Vec<Ending> = std::iter::once(record).chain(other).map(Ending::of).collect();
    let case = &record.case;
    let title = format!("{}: {}", case.family, case.name);
    let agreement = match endings.as_slice() {
        [one, two] if one.was_judged() && two.was_judged() => agreement(&title, one, two, known),
        _ => Agreement::NotCompared,
    };
    Row { case: format!("{title} [{} {}]", case.cni, case.topology), endings, agreement }
}

fn agreement(title: &str, one: &Ending, two: &Ending, known: &Fidelity) -> Agreement {
    if (one.verdict, &one.mode) == (two.verdict, &two.mode) {
        return Agreement::Same;
    }
    let applies = |difference: &&KnownDifference| {
        let [a, b] = &difference.between;
        let here = (&one.cluster, &two.cluster);
        title.contains(&difference.case) && (here == (a, b) || here == (b, a))
    };
    match known.difference.iter().find(applies) {
        Some(difference) => Agreement::Explained(difference.reason.clone()),
        None => Agreement::Differs,
    }
}

impl Ending {
    fn of(record: &Record) -> Ending {
        let mut mode: Vec<String> = Vec::new();
        for entry in &record.entries {
            if let Event::Cause(cause) = &entry.event
                && mode.last() != Some(&cause.kind)
            {
                mode.push(cause.kind.clone());
            }
        }
        let verdict = record.verdict.unwrap_or(Verdict::Inconclusive);
        Ending { cluster: record.case.cluster.clone(), verdict, mode }
    }

    /// What was skipped or could not be judged says nothing of Seldon there.
    fn was_judged(&self) -> bool {
        !matches!(self.verdict, Verdict::Skipped | Verdict::Inconclusive)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = if self.mode.is_empty() { "no cause named".to_owned() } else { self.mode.join(", ") };
        write!(formatter, "{} {} ({mode})", self.cluster, self.verdict.word())
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let endings: Vec<String> = self.endings.iter().map(ToString::to_string).collect();
        let endings = endings.join(" · ");
        match &self.agreement {
            Agreement::Same => write!(formatter, "same          {}: {endings}", self.case),
            Agreement::NotCompared => write!(formatter, "not compared  {}: {endings}", self.case),
            Agreement::Differs => write!(formatter, "DIFFERS       {}: {endings}", self.case),
            Agreement::Explained(reason) => {
                write!(formatter, "explained     {}: {endings}; {reason}", self.case)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Certainty, NamedCause};
    use crate::record::{Case, Entry, Phase};
    use rstest::rstest;

    fn record(cluster: &str, verdict: Verdict, causes: &[&str]) -> Record {
        let case = Case {
            name: "a name".into(),
            family: "dns".into(),
            cni: "calico".into(),
            topology: "cluster-wide".into(),
            cluster: cluster.into(),
        };
        let cause = |kind: &&str| NamedCause {
            kind: (*kind).into(),
            sentence: String::new(),
            certainty: Certainty::Certain,
            evidence: Vec::new(),
            ruled_out: Vec::new(),
            owner: String::new(),
            fix: String::new(),
        };
        let mut record = Record::open(case, "a claim", &[]);
        for kind in causes {
            let event = Event::Cause(cause(kind));
            record.entries.push(Entry { at_seconds: 0.0, phase: Phase::Broken, event });
        }
        Record { verdict: Some(verdict), ..record }
    }

    fn known(case: &str, between: [&str; 2]) -> Fidelity {
        let between = between.map(str::to_owned);
        Fidelity {
            difference: vec![KnownDifference { case: case.into(), between, reason: "for a reason".into() }],
        }
    }

    #[rstest]
    #[case::same(Verdict::Passed, &["a", "b"], Fidelity::default(), Agreement::Same)]
    #[case::seen_twice(Verdict::Passed, &["a", "a", "b"], Fidelity::default(), Agreement::Same)]
    #[case::verdict(Verdict::Failed, &["a", "b"], Fidelity::default(), Agreement::Differs)]
    #[case::mode(Verdict::Passed, &["a", "c"], Fidelity::default(), Agreement::Differs)]
    #[case::skipped(Verdict::Skipped, &[], Fidelity::default(), Agreement::NotCompared)]
    #[case::inconclusive(Verdict::Inconclusive, &[], Fidelity::default(), Agreement::NotCompared)]
    #[case::explained(
        Verdict::Failed,
        &[],
        known("dns: ", ["given", "embedded"]),
        Agreement::Explained("for a reason".into())
    )]
    #[case::of_others(Verdict::Failed, &[], known("dns: ", ["k3d", "embedded"]), Agreement::Differs)]
    #[case::another_case(Verdict::Failed, &[], known("policy: ", ["given", "embedded"]), Agreement::Differs)]
    fn endings_are_held_against_each_other(
        #[case] verdict: Verdict,
        #[case] causes: &[&str],
        #[case] known: Fidelity,
        #[case] expected: Agreement,
    ) {
        let left = record("embedded", Verdict::Passed, &["a", "b"]);
        let rows = compare(&[left], &[record("given", verdict, causes)], &known);
        assert_eq!(rows[0].agreement, expected);
    }

    #[test]
    fn a_row_reads_well() {
        let left = record("embedded", Verdict::Passed, &["policy-denies"]);
        let rows = compare(
            std::slice::from_ref(&left),
            &[record("given", Verdict::Failed, &[])],
            &Fidelity::default(),
        );
        insta::assert_snapshot!(
            rows[0],
            @"DIFFERS       dns: a name [calico cluster-wide]: embedded passed (policy-denies) · given FAILED (no cause named)"
        );
        assert_eq!(compare(&[left], &[], &Fidelity::default())[0].agreement, Agreement::NotCompared);
    }

    #[test]
    fn a_row_is_read_by_programs_too() {
        let left = record("embedded", Verdict::Passed, &["policy-denies"]);
        let right = record("given", Verdict::Failed, &[]);
        let rows = compare(&[left], &[right], &known("dns: ", ["given", "embedded"]));
        let written = serde_json::to_value(&rows).unwrap();
        assert_eq!(
            written,
            serde_json::json!([{
                "case": "dns: a name [calico cluster-wide]",
                "endings": [
                    {"cluster": "embedded", "verdict": "passed", "mode": ["policy-denies"]},
                    {"cluster": "given", "verdict": "failed", "mode": []},
                ],
                "agreement": {"is": "explained", "reason": "for a reason"},
            }])
        );
        assert_eq!(serde_json::from_value::<Vec<Row>>(written).unwrap(), rows);
        assert_eq!(serde_json::to_value(Agreement::NotCompared).unwrap()["is"], "not_compared");
    }
}
