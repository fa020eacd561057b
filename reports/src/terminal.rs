//! What a person sees: one aligned line per case, a block on failure, a last line.

use crate::record::{Case, Event, Record};
use crate::verdict::Verdict;

/// Whether escape sequences may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only: not a terminal, or `NO_COLOR` is set.
    Plain,
    /// Colours.
    Coloured,
}

impl Style {
    fn paint(self, verdict: Verdict, text: &str) -> String {
        let colour = match verdict {
            Verdict::Passed => "32",
            Verdict::Failed => "31;1",
            Verdict::Inconclusive => "33",
            Verdict::Skipped | Verdict::KnownGap => "36",
        };
        match self {
            Style::Plain => text.to_owned(),
            Style::Coloured => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
        }
    }
}

/// `passed        serving     a ready model answers 200     flannel  per-namespace   4.2 s`.
pub fn result_line(record: &Record, style: Style) -> String {
    let verdict = record.verdict.unwrap_or(Verdict::Inconclusive);
    let word = style.paint(verdict, &format!("{:<12}", verdict.word()));
    let case = &record.case;
    format!(
        "{word}  {:<10}  {:<52}  {:<7}  {:<13}  {:>6.1} s",
        case.family, case.name, case.cni, case.topology, record.seconds
    )
}

/// How many lines a failure may take, and how many of them its message.
const BLOCK: usize = 15;
const MESSAGE: usize = 5;

/// Cause, evidence, owner and next command of a case that did not pass; at most fifteen lines. Empty for others.
pub fn failure_block(record: &Record) -> String {
    let verdict = record.verdict.unwrap_or(Verdict::Inconclusive);
    if matches!(verdict, Verdict::Passed | Verdict::KnownGap) {
        return String::new();
    }
    let mut lines = Vec::new();
    let mut say = |label: &str, text: &str| {
        for (index, line) in text.lines().enumerate() {
            lines.push(format!("    {:<10} {line}", if index == 0 { label } else { "" }));
        }
    };
    say("message", &beginning(record.message.as_deref().unwrap_or("the case was not finished")));
    if let (Verdict::Failed, Some(cause)) = (verdict, record.cause()) {
        say("cause", &cause.sentence);
        let evidence = cause.evidence.iter().take(3).cloned().chain(denied(record).take(2));
        evidence.for_each(|evidence| say("evidence", &evidence));
        say("owner", &cause.owner);
        say("fix", &cause.fix);
    }
    let last = record.entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Observation { what, seen, .. } => Some(format!("{what}: {seen}")),
        Event::Step { .. }
        | Event::Fault { .. }
        | Event::Denied { .. }
        | Event::Repair { .. }
        | Event::Cause(_)
        | Event::Undo { .. } => None,
    });
    if let (Verdict::Failed, Some(last)) = (verdict, last) {
        say("last seen", &last.chars().take(400).collect::<String>());
    }
    // The rest may be long, too; the command is never pushed off the screen.
    lines.truncate(BLOCK - 1);
    let mut say = |label: &str, text: &str| lines.push(format!("    {label:<10} {text}"));
    if verdict != Verdict::Skipped {
        say("again", &again(&record.case));
    }
    lines.join("\n")
}

/// What rules of the node have counted, a sentence each.
fn denied(record: &Record) -> impl Iterator<Item = String> {
    record.entries.iter().filter_map(|entry| match &entry.event {
        Event::Denied { rule, before, after } => {
            Some(format!("the node's rule `{rule}` counted {before} packets before and {after} after"))
        }
        Event::Observation { .. }
        | Event::Step { .. }
        | Event::Fault { .. }
        | Event::Repair { .. }
        | Event::Cause(_)
        | Event::Undo { .. } => None,
    })
}

/// The command that runs a case again, for a closer look where the cluster can be kept.
fn again(case: &Case) -> String {
    let Case { name, cni, topology, .. } = case;
    let place = match case.cluster.as_str() {
        "embedded" => format!("--topology {topology} --keep failed"),
        // Somebody's mesh has the layout that it has.
        "lent" => "--cluster given --context CONTEXT --namespace NAMESPACE --allow-faults".to_owned(),
        "given" => format!("--topology {topology} --cluster given --context CONTEXT"),
        other => format!("--topology {topology} --cluster {other}"),
    };
    format!("seldon-conformance run '{name}' --cni {cni} {place}")
}

/// The lines of `message` that leave room for what else a person needs.
fn beginning(message: &str) -> String {
    let lines: Vec<&str> = message.lines().collect();
    if lines.len() <= MESSAGE {
        return message.to_owned();
    }
    format!("{}\n… ({} more lines in the record)", lines[..MESSAGE - 1].join("\n"), lines.len() + 1 - MESSAGE)
}

/// `14 passed, 0 failed, 0 inconclusive, 0 skipped in 61.2 s`.
pub fn totals(records: &[Record], seconds: f64) -> String {
    let count = |wanted: Verdict| {
        records.iter().filter(|record| record.verdict.unwrap_or(Verdict::Inconclusive) == wanted).count()
    };
    let mut text = format!(
        "{} passed, {} failed, {} inconclusive, {} skipped",
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::Inconclusive),
        count(Verdict::Skipped)
    );
    match count(Verdict::KnownGap) {
        0 => {}
        gaps => text.push_str(&format!(", {gaps} known gaps")),
    }
    format!("{text} in {seconds:.1} s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Certainty, NamedCause};
    use crate::record::{Case, Entry, Phase};
    use rstest::rstest;

    fn record(verdict: Verdict) -> Record {
        let case = Case {
            name: "the controller is cut off from the scheduler".into(),
            family: "policy".into(),
            cni: "calico".into(),
            topology: "cluster-wide".into(),
            cluster: "embedded".into(),
        };
        let mut record = Record::open(case, "claim", &["002"]);
        record.verdict = Some(verdict);
        record.seconds = 4.25;
        record
    }

    fn entry(phase: Phase, event: Event) -> Entry {
        Entry { at_seconds: 1.0, phase, event }
    }

    #[test]
    fn a_passed_case_is_one_line() {
        let record = record(Verdict::Passed);
        insta::assert_snapshot!(result_line(&record, Style::Plain), @"passed        policy      the controller is cut off from the scheduler          calico   cluster-wide      4.2 s");
        assert_eq!(failure_block(&record), "");
        assert!(result_line(&record, Style::Coloured).starts_with("\u{1b}[32mpassed"));
    }

    #[test]
    fn a_failed_case_says_cause_evidence_owner_and_next_command() {
        let mut record = record(Verdict::Failed);
        record.message = Some("the Model did not become Ready within 30 s".into());
        record.entries.push(entry(
            Phase::Diagnosis,
            Event::Cause(NamedCause {
                kind: "policy-denies".into(),
                sentence: "NetworkPolicy ml/deny drops the controller's dial".into(),
                certainty: Certainty::Certain,
                evidence: vec!["dial tcp 10.43.0.9:9004: i/o timeout".into()],
                ruled_out: vec![],
                owner: "whoever owns policies in ml".into(),
                fix: "admit seldon-system on 9004".into(),
            }),
        ));
        let rule = "denied ingress of ml/scheduler-0: ml/deny".to_owned();
        record.entries.push(entry(Phase::Broken, Event::Denied { rule, before: 0, after: 3 }));
        record.entries.push(entry(
            Phase::Repaired,
            Event::Observation {
                what: "Model ml/iris".into(),
                seen: "Ready=False".into(),
                after_seconds: 30.0,
            },
        ));
        insta::assert_snapshot!(failure_block(&record), @r"
            message    the Model did not become Ready within 30 s
            cause      NetworkPolicy ml/deny drops the controller's dial
            evidence   dial tcp 10.43.0.9:9004: i/o timeout
            evidence   the node's rule `denied ingress of ml/scheduler-0: ml/deny` counted 0 packets before and 3 after
            owner      whoever owns policies in ml
            fix        admit seldon-system on 9004
            last seen  Model ml/iris: Ready=False
            again      seldon-conformance run 'the controller is cut off from the scheduler' --cni calico --topology cluster-wide --keep failed
        ");
    }

    #[rstest]
    #[case::named_by_its_context("given", " --topology cluster-wide --cluster given --context CONTEXT")]
    #[case::started_by_the_run("kubernetes", " --topology cluster-wide --cluster kubernetes")]
    #[case::gone("k3d", " --topology cluster-wide --cluster k3d")]
    #[case::lent(
        "lent",
        " --cni calico --cluster given --context CONTEXT --namespace NAMESPACE --allow-faults"
    )]
    fn a_case_is_run_again_where_it_was(#[case] cluster: &str, #[case] ending: &str) {
        let case = Case { cluster: cluster.into(), ..record(Verdict::Failed).case };
        assert!(again(&case).ends_with(ending), "{}", again(&case));
    }

    #[test]
    fn a_long_message_does_not_push_the_rest_off_the_screen() {
        let mut record = record(Verdict::Inconclusive);
        record.message = Some("line\n".repeat(100));
        insta::assert_snapshot!(failure_block(&record), @r"
            message    line
                       line
                       line
                       line
                       … (96 more lines in the record)
            again      seldon-conformance run 'the controller is cut off from the scheduler' --cni calico --topology cluster-wide --keep failed
        ");
        let cause = NamedCause {
            kind: "policy-denies".into(),
            sentence: "line\n".repeat(100),
            certainty: Certainty::Certain,
            evidence: vec![],
            ruled_out: vec![],
            owner: String::new(),
            fix: String::new(),
        };
        record.verdict = Some(Verdict::Failed);
        record.entries.push(entry(Phase::Diagnosis, Event::Cause(cause)));
        let block = failure_block(&record);
        assert!(block.lines().count() == BLOCK && block.lines().last().unwrap().contains("again"), "{block}");
    }

    #[test]
    fn totals_count_an_unfinished_record_as_inconclusive() {
        let mut unfinished = record(Verdict::Passed);
        unfinished.verdict = None;
        let records = [record(Verdict::Passed), unfinished];
        assert_eq!(totals(&records, 6.0), "1 passed, 0 failed, 1 inconclusive, 0 skipped in 6.0 s");
    }
}
