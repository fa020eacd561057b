//! JUnit XML that every consumer parses.
//!
//! The `junit-report` crate writes text as it gets it; logs contain escape sequences, NUL bytes and `]]>`, which are
//! not XML. Everything goes through [`clean`] first.

use junit_report::{Duration, ReportBuilder, TestCase, TestCaseBuilder, TestSuiteBuilder};

use crate::record::Record;
use crate::terminal::failure_block;
use crate::verdict::Verdict;

/// The run as a JUnit document.
///
/// # Errors
/// Of the XML writer; it writes into memory.
pub fn junit(records: &[Record]) -> anyhow::Result<String> {
    let mut families: indexmap::IndexMap<&str, Vec<&Record>> = indexmap::IndexMap::new();
    for record in records {
        families.entry(record.case.family.as_str()).or_default().push(record);
    }
    let mut report = ReportBuilder::new();
    for (family, records) in families {
        let mut suite = TestSuiteBuilder::new(&clean(family));
        for record in records {
            suite.add_testcase(test_case(record));
        }
        report.add_testsuite(suite.build());
    }
    let mut bytes = Vec::new();
    report.build().write_xml(&mut bytes)?;
    Ok(String::from_utf8(bytes)?)
}

fn test_case(record: &Record) -> TestCase {
    let case = &record.case;
    let name = clean(&format!("{} [{} {} {}]", case.name, case.cluster, case.cni, case.topology));
    let seconds = Duration::milliseconds((record.seconds * 1000.0) as i64);
    let message = clean(record.message.as_deref().unwrap_or("the case was not finished"));
    let mut built = match record.verdict.unwrap_or(Verdict::Inconclusive) {
        Verdict::Passed | Verdict::KnownGap => TestCaseBuilder::success(&name, seconds),
        Verdict::Failed => TestCaseBuilder::failure(&name, seconds, "failed", &message),
        Verdict::Inconclusive => TestCaseBuilder::error(&name, seconds, "inconclusive", &message),
        Verdict::Skipped => TestCaseBuilder::skipped(&name),
    };
    built.set_classname(&clean(&case.family));
    let mut output = clean(&failure_block(record));
    if let Some(cause) = record.cause() {
        output.push_str(&clean(&format!("\nnamed: {}", cause.sentence)));
    }
    if !output.is_empty() {
        built.set_system_out(&output);
    }
    built.build()
}

/// Text that may stand anywhere in an XML document: without escape sequences, without characters XML 1.0 forbids, and
/// without the end of a CDATA section.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            skip_escape_sequence(&mut characters);
        } else if is_xml(character) {
            cleaned.push(character);
        }
    }
    cleaned.replace("]]>", "]] >")
}

/// Skips what follows ESC: `[`, parameters and a letter, or a single character.
fn skip_escape_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if characters.next_if_eq(&'[').is_some() {
        while characters.next_if(|c| !c.is_ascii_alphabetic() && (' '..='~').contains(c)).is_some() {}
    }
    characters.next_if(char::is_ascii_alphabetic);
}

/// Production `Char` of XML 1.0.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Case, Event, Phase};
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("as it is", "as it is")]
    #[case::colour("\u{1b}[31;1mred\u{1b}[0m!", "red!")]
    #[case::nul("a\0b", "ab")]
    #[case::cdata("a]]>b", "a]] >b")]
    #[case::bare_escape("a\u{1b}", "a")]
    fn cleans(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(clean(text), expected);
    }

    fn record(verdict: Verdict, text: &str) -> Record {
        let case = Case {
            name: text.into(),
            family: "policy".into(),
            cni: "calico".into(),
            topology: "per-namespace".into(),
            cluster: "embedded".into(),
        };
        let mut record = Record::open(case, "claim", &[]);
        record.verdict = Some(verdict);
        record.message = Some(text.into());
        record.entries.push(crate::record::Entry {
            at_seconds: 0.0,
            phase: Phase::Broken,
            event: Event::Observation { what: "log".into(), seen: text.into(), after_seconds: 0.0 },
        });
        record
    }

    /// Parses the whole document; panics where a consumer would stop.
    fn parse(document: &str) -> usize {
        let mut reader = quick_xml::Reader::from_str(document);
        reader.config_mut().check_end_names = true;
        let mut cases = 0;
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => return cases,
                quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag)
                    if tag.name().as_ref() == "testcase" =>
                {
                    for attribute in tag.attributes() {
                        attribute.unwrap();
                    }
                    cases += 1;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn counts_each_verdict_where_consumers_look() {
        let records = [
            record(Verdict::Passed, "a"),
            record(Verdict::Failed, "b"),
            record(Verdict::Inconclusive, "c"),
            record(Verdict::Skipped, "d"),
        ];
        let document = junit(&records).unwrap();
        for attribute in [r#"tests="4""#, r#"failures="1""#, r#"errors="1""#, "<skipped/>"] {
            assert!(document.contains(attribute), "{attribute} in {document}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_document_that_parses(text in "\\PC*|(\u{1b}\\[[0-9;]*m|\u{0}|]]>|&|<|[a-z]| )*") {
            let records = [record(Verdict::Failed, &text), record(Verdict::Passed, &text), record(Verdict::Inconclusive, &text)];
            prop_assert_eq!(parse(&junit(&records).unwrap()), 3);
        }

        #[test]
        fn clean_text_is_legal_and_stays_as_it_is(text in any::<String>()) {
            let once = clean(&text);
            prop_assert!(once.chars().all(is_xml) && !once.contains("]]>"));
            prop_assert_eq!(clean(&once), once.clone());
        }
    }
}
