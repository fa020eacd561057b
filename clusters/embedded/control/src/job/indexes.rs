//! Sets of completion indexes, as a Job's status writes them: `0,2-4`.

use std::collections::BTreeSet;
use std::fmt;

/// Completion indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i32>);

impl Indexes {
    /// Reads the form of a status; what is no index below `completions` is left out.
    pub(super) fn parse(text: &str, completions: i32) -> Indexes {
        let bound = |text: &str| text.parse::<i32>().ok().filter(|index| *index >= 0);
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(bound(first)?..=bound(last)?.min(completions - 1))
        };
        Indexes(text.split(',').filter_map(range).flatten().filter(|index| *index < completions).collect())
    }

    pub(super) fn has(&self, index: i32) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn add(&mut self, index: i32) {
        self.0.insert(index);
    }

    /// How many they are.
    pub(super) fn total(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are in both.
    pub(super) fn common(&self, other: &Indexes) -> i32 {
        i32::try_from(self.0.intersection(&other.0).count()).unwrap_or(i32::MAX)
    }
}

impl FromIterator<i32> for Indexes {
    fn from_iter<I: IntoIterator<Item = i32>>(indexes: I) -> Indexes {
        Indexes(indexes.into_iter().collect())
    }
}

impl fmt::Display for Indexes {
    /// Three or more in a row are a range; two are written out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(i32, i32)> = Vec::new();
        for &index in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => ranges.push((index, index)),
            }
        }
        let one = |(first, last): (i32, i32)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        };
        formatter.write_str(&ranges.into_iter().map(one).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&[], "")]
    #[case::one(&[3], "3")]
    #[case::two_in_a_row(&[0, 1], "0,1")]
    #[case::three_in_a_row(&[0, 1, 2], "0-2")]
    #[case::mixed(&[0, 2, 3, 4, 7], "0,2-4,7")]
    fn are_written(#[case] indexes: &[i32], #[case] expected: &str) {
        assert_eq!(indexes.iter().copied().collect::<Indexes>().to_string(), expected);
    }

    #[rstest]
    #[case::beyond_the_last("0-9", 3, "0-2")]
    #[case::nonsense("a,1,-,2-x", 9, "1")]
    #[case::empty("", 9, "")]
    fn are_read(#[case] text: &str, #[case] completions: i32, #[case] expected: &str) {
        assert_eq!(Indexes::parse(text, completions).to_string(), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(indexes in prop::collection::btree_set(0_i32..40, 0..40)) {
            let indexes: Indexes = indexes.into_iter().collect();
            prop_assert_eq!(Indexes::parse(&indexes.to_string(), 40), indexes);
        }
    }
}
