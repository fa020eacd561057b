//! Verdicts, and how many of them add up to one exit code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is said of a case in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every claim held.
    Passed,
    /// A claim did not hold.
    Failed,
    /// The harness could not judge: the cluster did not start, a fault did not bite, a checker broke.
    Inconclusive,
    /// A named need is missing on this machine or cluster.
    Skipped,
    /// Does not hold, is known, and has a reason and a link.
    KnownGap,
}

/// The process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Something ran, and nothing failed or stayed open.
    AllPassed = 0,
    /// Something failed.
    SomethingFailed = 1,
    /// The command line was wrong; nothing was started.
    WrongUsage = 2,
    /// Nothing failed, but something was inconclusive.
    Inconclusive = 3,
    /// Nothing ran.
    NothingRan = 4,
}

/// The exit code of a run with these verdicts.
pub fn exit_code(verdicts: impl IntoIterator<Item = Verdict>) -> ExitCode {
    let mut code = ExitCode::NothingRan;
    for verdict in verdicts {
        code = match (verdict, code) {
            (Verdict::Failed, _) | (_, ExitCode::SomethingFailed) => ExitCode::SomethingFailed,
            (Verdict::Inconclusive, _) | (_, ExitCode::Inconclusive) => ExitCode::Inconclusive,
            (Verdict::Passed | Verdict::KnownGap, _) => ExitCode::AllPassed,
            (Verdict::Skipped, code) => code,
        };
    }
    code
}

impl Verdict {
    /// The word people read.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Skipped => "skipped",
            Verdict::KnownGap => "known gap",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(&[], ExitCode::NothingRan)]
    #[case::only_skipped(&[Verdict::Skipped], ExitCode::NothingRan)]
    #[case::passed_and_skipped(&[Verdict::Passed, Verdict::Skipped], ExitCode::AllPassed)]
    #[case::inconclusive(&[Verdict::Passed, Verdict::Inconclusive], ExitCode::Inconclusive)]
    #[case::failed_outweighs(&[Verdict::Inconclusive, Verdict::Failed, Verdict::Passed], ExitCode::SomethingFailed)]
    #[case::known_gap(&[Verdict::KnownGap], ExitCode::AllPassed)]
    fn adds_up(#[case] verdicts: &[Verdict], #[case] expected: ExitCode) {
        assert_eq!(exit_code(verdicts.iter().copied()), expected);
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Passed),
            Just(Verdict::Failed),
            Just(Verdict::Inconclusive),
            Just(Verdict::Skipped),
            Just(Verdict::KnownGap)
        ]
    }

    proptest! {
        #[test]
        fn order_does_not_matter(mut verdicts in prop::collection::vec(any_verdict(), 0..12)) {
            let forwards = exit_code(verdicts.iter().copied());
            verdicts.reverse();
            prop_assert_eq!(exit_code(verdicts.iter().copied()), forwards);
        }

        #[test]
        fn one_failure_is_enough(mut verdicts in prop::collection::vec(any_verdict(), 0..12), at in 0usize..12) {
            verdicts.insert(at.min(verdicts.len()), Verdict::Failed);
            prop_assert_eq!(exit_code(verdicts), ExitCode::SomethingFailed);
        }
    }
}
