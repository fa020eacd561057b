//! Joining the records that the shards of one run left in directories of their own.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::record::{Case, Record, SCHEMA_VERSION};

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
}

/// The records in `directories`, in no particular order.
///
/// # Errors
/// [`ShardError`], naming the file: nothing is left out.
pub fn read_shards(directories: &[PathBuf]) -> Result<Vec<Record>, ShardError> {
    let mut seen: HashMap<Case, PathBuf> = HashMap::new();
    let mut records = Vec::new();
    for directory in directories {
        let files = record_files(directory)?;
        if files.is_empty() {
            return Err(ShardError::Empty(directory.clone()));
        }
        for file in files {
            let record = read(&file)?;
            if let Some(first) = seen.insert(record.case.clone(), file.clone()) {
                return Err(ShardError::Twice { first, second: file });
            }
            records.push(record);
        }
    }
    Ok(records)
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
        Record::open(case, "a claim", &[])
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

    fn join(shards: &[&tempfile::TempDir]) -> Result<Vec<Record>, ShardError> {
        read_shards(&shards.iter().map(|shard| shard.path().to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn all_records_of_all_shards_are_read() {
        let (one, two) = (shard(&[record("a"), record("b")]), shard(&[record("c")]));
        let names: Vec<String> = join(&[&one, &two]).unwrap().into_iter().map(|it| it.case.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
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
