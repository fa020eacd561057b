//! The list of differences that are known and wanted, and how it is applied.

use std::path::Path;

use serde::Deserialize;
use similar::{Algorithm, DiffTag, capture_diff_slices};

/// `differences.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Differences {
    #[serde(default, rename = "difference")]
    all: Vec<Difference>,
}

/// One difference: a line that only the recording has, a line that only ours has, or one instead of the other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// `situation/document`, each of which it is needed in.
    documents: Vec<String>,
    /// Lines that only the recording has; `*` stands for anything.
    #[serde(default)]
    recorded: Vec<String>,
    /// Lines that only we have; `*` stands for anything.
    #[serde(default)]
    ours: Vec<String>,
    /// What cannot or should not be the same, and why.
    why: String,
    #[serde(default)]
    occurs: Occurs,
}

/// Whether a difference shows in every run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Occurs {
    #[default]
    Always,
    /// It hangs on the order of things that happen at the same time.
    Sometimes,
}

impl Differences {
    /// The list beside this file.
    ///
    /// # Errors
    /// An entry without a reason, or one that names no document below `expected`.
    pub(crate) fn load(expected: &Path) -> anyhow::Result<Differences> {
        let list: Differences = toml::from_str(include_str!("differences.toml"))?;
        for difference in &list.all {
            anyhow::ensure!(difference.why.len() > 20, "a difference needs a reason: {difference:?}");
            for document in &difference.documents {
                anyhow::ensure!(expected.join(document).is_file(), "no document {document}: {difference:?}");
            }
            anyhow::ensure!(difference.recorded.len() + difference.ours.len() > 0, "empty: {difference:?}");
        }
        Ok(list)
    }

    /// Takes the known differences of `document` out of both sides; returns the entries that are not needed.
    pub(crate) fn take_out(
        &self,
        document: &str,
        order: Order,
        recorded: &mut Vec<String>,
        ours: &mut Vec<String>,
    ) -> Vec<String> {
        let mut needless = Vec::new();
        for difference in
            self.all.iter().filter(|entry| entry.documents.iter().any(|place| place == document))
        {
            let (left, mut unseen) = order.only_in(recorded, ours, &difference.recorded);
            let (right, unseen_of_ours) = order.only_in(ours, recorded, &difference.ours);
            unseen.extend(unseen_of_ours);
            if difference.occurs == Occurs::Always && !unseen.is_empty() {
                needless.push(format!(
                    "{document}: no longer differs, take it out of differences.toml: {unseen:#?}"
                ));
            }
            remove(recorded, left);
            remove(ours, right);
        }
        needless
    }
}

/// Whether the order of a document's lines counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// A line differs where it stands.
    Counts,
    /// A line differs when the other side has it nowhere.
    IsFree,
}

impl Order {
    /// Indices of lines that only `here` has and that fit one of `patterns`, and the patterns that fit none.
    fn only_in<'p>(
        self,
        here: &[String],
        there: &[String],
        patterns: &'p [String],
    ) -> (Vec<usize>, Vec<&'p str>) {
        let differing: Vec<usize> = match self {
            Order::Counts => capture_diff_slices(Algorithm::Myers, there, here)
                .iter()
                .filter(|change| change.tag() != DiffTag::Equal)
                .flat_map(similar::DiffOp::new_range)
                .collect(),
            Order::IsFree => (0..here.len()).filter(|index| !there.contains(&here[*index])).collect(),
        };
        let (mut found, mut unseen) = (Vec::new(), Vec::new());
        for pattern in patterns {
            let before = found.len();
            found.extend(differing.iter().copied().filter(|index| matches(pattern, &here[*index])));
            if found.len() == before {
                unseen.push(pattern.as_str());
            }
        }
        (found, unseen)
    }
}

fn remove(lines: &mut Vec<String>, mut indices: Vec<usize>) {
    indices.sort_unstable();
    indices.dedup();
    for index in indices.into_iter().rev() {
        lines.remove(index);
    }
}

/// `*` stands for any text.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
