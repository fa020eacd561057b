//! `ci/mutants.toml`: which lines are broken, and what must be said then.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// One broken line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mutant {
    /// What is broken, in words.
    pub(super) name: String,
    /// The file, from the root.
    pub(super) file: String,
    /// Text that stands there exactly once.
    pub(super) find: String,
    /// What is written instead.
    pub(super) replace: String,
    /// Filters of `seldon-conformance run`.
    pub(super) cases: Vec<String>,
    /// Network to run on.
    pub(super) cni: String,
    /// What the message of a case that failed must match.
    pub(super) expect: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutant: Vec<Mutant>,
}

impl Mutant {
    /// `text` with the line broken.
    ///
    /// # Errors
    /// When `find` does not stand there exactly once.
    pub(super) fn applied(&self, text: &str) -> anyhow::Result<String> {
        let count = text.matches(&self.find).count();
        ensure!(
            count == 1,
            "{:?} stands {count} times in {}; it must stand there once",
            self.find,
            self.file
        );
        Ok(text.replacen(&self.find, &self.replace, 1))
    }
}

/// The table of the repository at `root`.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(root: &Path) -> anyhow::Result<Vec<Mutant>> {
    let file = "ci/mutants.toml";
    let text = std::fs::read_to_string(root.join(file)).context(file)?;
    Ok(toml::from_str::<Table>(&text).context(file)?.mutant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_to_break_stands_where_the_table_says() {
        let root = crate::root();
        for mutant in read(&root).unwrap() {
            let text = std::fs::read_to_string(root.join(&mutant.file)).unwrap();
            assert_ne!(mutant.applied(&text).unwrap(), text, "{}", mutant.name);
            regex::Regex::new(&mutant.expect).unwrap();
        }
    }

    #[test]
    fn a_line_that_stands_twice_or_nowhere_is_refused() {
        let mut mutant = read(&crate::root()).unwrap().remove(0);
        mutant.find = "x".into();
        assert!(mutant.applied("x x").unwrap_err().to_string().contains("2 times"));
        assert!(mutant.applied("").is_err());
    }
}
