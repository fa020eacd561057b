//! Joining the records that the shards of one run left in directories of their own.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::record::{Case, PartOfRun, Record, SCHEMA_VERSION};

/// What the shards of a run left.
#[derive(Debug)]
pub struct Joined {
    /// All records, in no particular order.
    pub records: Vec<Record>,
    /// What is not there; empty when the records are those of a whole run.
    pub gaps: Vec<Gap>,
}

/// Something that a whole run would have left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// No record of a shard is there.
    Missing(PartOfRun),
    /// A shard has fewer records than cases.
    CutOff {
        /// Which.
        shard: PartOfRun,
        /// How many records it has.
        records: usize,
    },
    /// A record without a verdict: its process was killed.
    Open(PathBuf),
}

/// Why shards cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// A directory or a file in it cannot be read.
    #[error("cannot read {}: {why}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A directory without a record.
    #[error("{} holds no record of a case; name the directory that a run's --records named", .0.display())]
    Empty(PathBuf),
    /// A record of another version of the harness.
    #[error("{} is a record of schema {found}; this program reads {SCHEMA_VERSION}", .file.display())]
    OtherSchema {
        /// Which.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Two shards ran the same case.
    #[error("{} and {} are records of the same case", .first.display(), .second.display())]
    Twice {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The records are not of one run.
    #[error("{} and {} are not of one run: one is {one}, the other {other}", .first.display(), .second.display())]
    OtherRun {
        /// A record.
        first: PathBuf,
        /// What it is part of.
        one: String,
        /// A record that does not fit.
        second: PathBuf,
        /// What that is part of.
        other: String,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Missing(shard) => {
                let PartOfRun { index, count, .. } = shard;
                write!(formatter, "shard {index}/{count} is missing: name its records, too, or run it again")
            }
            Gap::CutOff { shard, records } => {
                let (PartOfRun { index, count, .. }, cases) = (shard, shard.own_cases());
                write!(
                    formatter,
                    "shard {index}/{count} was cut off after {records} of its {cases} cases: run it again"
                )
            }
            Gap::Open(file) => {
                write!(formatter, "{} has no verdict: its run was cut off; run it again", file.display())
            }
        }
    }
}

/// The records in `directories`, and what is missing among them.
///
/// # Errors
/// [`ShardError`], naming the file: nothing is left out.
pub fn read_shards(directories: &[PathBuf]) -> Result<Joined, ShardError> {
    let mut seen: HashMap<Case, PathBuf> = HashMap::new();
    let mut empty = None;
    let mut read_so_far: Vec<(PathBuf, Record)> = Vec::new();
    for directory in directories {
        let files = record_files(directory)?;
        if files.is_empty() {
            empty = empty.or(Some(directory));
        }
        for file in files {
            let record = read(&file)?;
            if let Some(first) = seen.insert(record.case.clone(), file.clone()) {
                return Err(ShardError::Twice { first, second: file });
            }
            read_so_far.push((file, record));
        }
    }
    // Among shards a directory without records is a gap, or the shard has no cases.
    if let Some(directory) = empty.filter(|_| read_so_far.iter().all(|(_, record)| record.shard.is_none())) {
        return Err(ShardError::Empty(directory.clone()));
    }
    let mut gaps = missing(&read_so_far)?;
    let open = read_so_far.iter().filter(|(_, record)| record.verdict.is_none());
    gaps.extend(open.map(|(file, _)| Gap::Open(file.clone())));
    Ok(Joined { records: read_so_far.into_iter().map(|(_, record)| record).collect(), gaps })
}

/// The shards that are not whole, by what the records say of their run.
fn missing(records: &[(PathBuf, Record)]) -> Result<Vec<Gap>, ShardError> {
    let run = |record: &Record| record.shard.map(|shard| (shard.count, shard.cases));
    let Some((first, one)) = records.first() else { return Ok(Vec::new()) };
    if let Some((second, other)) = records.iter().find(|(_, record)| run(record) != run(one)) {
        let (first, second) = (first.clone(), second.clone());
        return Err(ShardError::OtherRun { first, one: told(one), second, other: told(other) });
    }
    let Some(shard) = one.shard else { return Ok(Vec::new()) };
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for shard in records.iter().filter_map(|(_, record)| record.shard) {
        *counts.entry(shard.index).or_default() += 1;
    }
    // A run on two kinds of clusters leaves each case twice.
    let mut kinds: Vec<&str> = records.iter().map(|(_, record)| record.case.cluster.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let gap = |index: usize| {
        let shard = PartOfRun { index, ..shard };
        match (counts.get(&index).copied().unwrap_or(0), shard.own_cases() * kinds.len()) {
            (found, wanted) if found >= wanted => None,
            (0, _) => Some(Gap::Missing(shard)),
            (records, _) => Some(Gap::CutOff { shard, records }),
        }
    };
    Ok((1..=shard.count).filter_map(gap).collect())
}

/// What a record is part of.
fn told(record: &Record) -> String {
    match record.shard {
        None => "a record of a whole run".to_owned(),
        Some(PartOfRun { index, count, cases }) => format!("of shard {index}/{count} of {cases} cases"),
    }
}

fn record_files(directory: &Path) -> Result<Vec<PathBuf>, ShardError> {
    let unreadable = |error: std::io::Error| unreadable(directory, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|ending| ending == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Record, ShardError> {
    let text = fs::read(file).map_err(|error| unreadable(file, &error))?;
    let record: Record = serde_json::from_slice(&text).map_err(|error| unreadable(file, &error))?;
    if record.version == SCHEMA_VERSION {
        Ok(record)
    } else {
        Err(ShardError::OtherSchema { file: file.to_owned(), found: record.version })
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> ShardError {
    ShardError::Unreadable { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        let text = |text: &str| text.to_owned();
        let case = Case {
            name: name.into(),
            family: text("dns"),
            cni: text("calico"),
            topology: text("cluster-wide"),
            cluster: text("embedded"),
        };
        Record { verdict: Some(crate::Verdict::Passed), ..Record::open(case, "a claim", &[]) }
    }

    fn shard(records: &[Record]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (number, record) in records.iter().enumerate() {
            let file = directory.path().join(format!("{number}.json"));
            fs::write(file, serde_json::to_string(record).unwrap()).unwrap();
        }
        fs::write(directory.path().join("0.cluster.log"), "not a record").unwrap();
        directory
    }

    fn join(shards: &[&tempfile::TempDir]) -> Result<Joined, ShardError> {
        read_shards(&shards.iter().map(|shard| shard.path().to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn all_records_of_all_shards_are_read() {
        let (one, two) = (shard(&[record("a"), record("b")]), shard(&[record("c")]));
        let joined = join(&[&one, &two]).unwrap();
        let names: Vec<String> = joined.records.into_iter().map(|it| it.case.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(joined.gaps, []);
    }

    /// Of shard `index` of `count` of a run of `cases`.
    fn of(index: usize, count: usize, cases: usize, name: &str) -> Record {
        Record { shard: Some(PartOfRun { index, count, cases }), ..record(name) }
    }

    fn gaps(shards: &[&tempfile::TempDir]) -> Vec<String> {
        join(shards).unwrap().gaps.iter().map(Gap::to_string).collect()
    }

    #[test]
    fn a_shard_that_is_missing_or_was_cut_off_is_noticed() {
        let one = shard(&[of(1, 3, 5, "a"), of(1, 3, 5, "d")]);
        let two = shard(&[of(2, 3, 5, "b"), of(2, 3, 5, "e")]);
        let three = shard(&[of(3, 3, 5, "c")]);
        assert_eq!(gaps(&[&one, &two, &three]), [""; 0]);
        assert_eq!(gaps(&[&three, &one]), ["shard 2/3 is missing: name its records, too, or run it again"]);
        let killed_between_cases = shard(&[of(2, 3, 5, "b")]);
        assert_eq!(
            gaps(&[&one, &killed_between_cases, &three]),
            ["shard 2/3 was cut off after 1 of its 2 cases: run it again"]
        );
        let killed_in_a_case = shard(&[Record { verdict: None, ..of(3, 3, 5, "c") }]);
        let told = gaps(&[&one, &two, &killed_in_a_case]);
        assert!(told[0].ends_with("0.json has no verdict: its run was cut off; run it again"), "{told:?}");
    }

    #[test]
    fn a_shard_without_cases_is_not_missed() {
        let (one, two) = (shard(&[of(1, 3, 2, "a")]), shard(&[of(2, 3, 2, "b")]));
        assert_eq!(gaps(&[&one, &two]), [""; 0]);
        assert_eq!(gaps(&[&one, &two, &shard(&[])]), [""; 0]);
    }

    #[test]
    fn shards_of_different_runs_are_not_joined() {
        let one = shard(&[of(1, 2, 5, "a")]);
        let other = join(&[&one, &shard(&[of(2, 2, 6, "b")])]).unwrap_err().to_string();
        assert!(
            other.contains("are not of one run: one is of shard 1/2 of 5 cases, the other of"),
            "{other}"
        );
        let whole = join(&[&one, &shard(&[record("b")])]).unwrap_err().to_string();
        assert!(whole.ends_with("the other a record of a whole run"), "{whole}");
    }

    #[test]
    fn what_cannot_be_joined_is_named() {
        let (one, two) = (shard(&[record("a")]), shard(&[record("b"), record("a")]));
        let twice = join(&[&one, &two]).unwrap_err().to_string();
        assert!(twice.ends_with("1.json are records of the same case"), "{twice}");
        let empty = join(&[&one, &shard(&[])]).unwrap_err().to_string();
        assert!(empty.contains("holds no record of a case"), "{empty}");
        let newer = Record { version: SCHEMA_VERSION + 1, ..record("a") };
        let newer = join(&[&shard(&[newer])]).unwrap_err().to_string();
        assert!(newer.contains("0.json is a record of schema"), "{newer}");
        fs::write(one.path().join("0.json"), "{").unwrap();
        let broken = join(&[&one]).unwrap_err().to_string();
        assert!(broken.starts_with("cannot read ") && broken.contains("0.json: EOF"), "{broken}");
        let missing = read_shards(&["/nowhere".into()]).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read /nowhere: "), "{missing}");
    }
}
