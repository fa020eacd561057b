//! A part of a run, for machines that share one.

use std::num::ParseIntError;
use std::str::FromStr;

use reports::PartOfRun;

/// The `index`th of `count` shards, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

/// A text that is no shard.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoShard {
    /// It is not two numbers.
    #[error("a shard is written I/N, such as 2/3")]
    Form,
    /// There is no such shard among so many.
    #[error("shards of {0} are 1/{0} to {0}/{0}")]
    Range(usize),
}

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Shard, NoShard> {
        let form = |_: ParseIntError| NoShard::Form;
        let (index, count) = text.split_once('/').ok_or(NoShard::Form)?;
        let (index, count) = (index.parse().map_err(form)?, count.parse().map_err(form)?);
        match count {
            0 => Err(NoShard::Form),
            count if (1..=count).contains(&index) => Ok(Shard { index, count }),
            count => Err(NoShard::Range(count)),
        }
    }
}

impl Shard {
    /// How records of it say which part of a run with so many cases they are.
    pub fn part_of(self, cases: usize) -> PartOfRun {
        PartOfRun { index: self.index, count: self.count, cases }
    }

    /// Its part of `all`: neighbours, which take about the same time, go to different shards.
    pub fn of<T: Clone>(self, all: &[T]) -> Vec<T> {
        all.iter().skip(self.index - 1).step_by(self.count).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1/1", Ok(Shard { index: 1, count: 1 }))]
    #[case("2/3", Ok(Shard { index: 2, count: 3 }))]
    #[case("4/3", Err(NoShard::Range(3)))]
    #[case("0/3", Err(NoShard::Range(3)))]
    #[case("1/0", Err(NoShard::Form))]
    #[case("1", Err(NoShard::Form))]
    #[case("one/two", Err(NoShard::Form))]
    fn reads(#[case] text: &str, #[case] expected: Result<Shard, NoShard>) {
        assert_eq!(text.parse(), expected);
    }

    #[rstest]
    #[case(0)]
    #[case(1)]
    #[case(2)]
    #[case(18)]
    fn every_case_is_in_one_shard(#[case] cases: usize, #[values(1, 2, 3, 5, 20)] count: usize) {
        let all: Vec<usize> = (0..cases).collect();
        let mut joined: Vec<usize> = (1..=count).flat_map(|index| Shard { index, count }.of(&all)).collect();
        joined.sort_unstable();
        assert_eq!(joined, all);
    }

    #[rstest]
    fn a_record_tells_how_many_cases_its_shard_has(
        #[values(0, 1, 2, 17, 18)] cases: usize,
        #[values(1, 2, 3, 5, 20)] count: usize,
    ) {
        for index in 1..=count {
            let shard = Shard { index, count };
            let all: Vec<usize> = (0..cases).collect();
            assert_eq!(shard.part_of(cases).own_cases(), shard.of(&all).len(), "{shard:?} of {cases}");
        }
    }
}
