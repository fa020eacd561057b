//! `ci/tidy.toml`: the rules that are data.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::Violation;

const FILE: &str = "ci/tidy.toml";

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    #[serde(default)]
    pub(super) word: Vec<WordRule>,
    #[serde(default)]
    pub(super) dependency: Vec<DependencyRule>,
    #[serde(default)]
    exception: Vec<Exception>,
}

/// What must not be written in some places.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WordRule {
    pub(super) rule: String,
    pub(super) pattern: String,
    pub(super) unless: Option<String>,
    #[serde(rename = "in")]
    pub(super) within: Vec<String>,
    #[serde(default)]
    pub(super) except: Vec<String>,
    #[serde(default)]
    pub(super) ext: Vec<String>,
    #[serde(default)]
    pub(super) view: View,
    pub(super) remedy: String,
}

/// Which part of a file a rule looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    /// All of it.
    #[default]
    Text,
    /// Rust without comments and string contents.
    Code,
    /// [`View::Code`] of tests alone.
    Tests,
    /// Scenario bodies with their strings: what takes `world: &World`.
    Body,
}

/// What some crates must not depend on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DependencyRule {
    pub(super) crates: Vec<String>,
    pub(super) never: Vec<String>,
    #[serde(default)]
    pub(super) also_dev: bool,
    pub(super) remedy: String,
}

/// A place that may break a rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    path: String,
    reason: String,
}

impl Rules {
    /// Reads the file of the repository at `root`.
    ///
    /// # Errors
    /// When it is missing or says something unknown.
    pub(super) fn read(root: &Path) -> anyhow::Result<Rules> {
        let text = std::fs::read_to_string(root.join(FILE)).with_context(|| FILE.to_owned())?;
        toml::from_str(&text).with_context(|| FILE.to_owned())
    }

    /// Takes out what is excepted; an exception that excepts nothing, or for no reason, is a violation itself.
    pub(super) fn without_exceptions(&self, found: Vec<Violation>) -> Vec<Violation> {
        let covers = |exception: &Exception, violation: &Violation| {
            exception.rule == violation.rule && exception.path == violation.path
        };
        let idle = self.exception.iter().filter(|exception| {
            exception.reason.trim().is_empty() || !found.iter().any(|violation| covers(exception, violation))
        });
        let mut left: Vec<Violation> = idle
            .map(|exception| {
                let text = format!(
                    "the exception for {} in {} is not needed or has no reason: take it out",
                    exception.rule, exception.path
                );
                Violation::new(FILE, 1, "exceptions", text)
            })
            .collect();
        left.extend(
            found.into_iter().filter(|v| !self.exception.iter().any(|exception| covers(exception, v))),
        );
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_cover_their_place_and_go_stale() {
        let text = "[[exception]]\nrule = 'a'\npath = 'x.rs'\nreason = 'why'\n\n\
                    [[exception]]\nrule = 'a'\npath = 'gone.rs'\nreason = 'why'\n";
        let rules: Rules = toml::from_str(text).unwrap();
        let found = vec![Violation::new("x.rs", 1, "a", "1"), Violation::new("y.rs", 2, "a", "2")];
        let left = rules.without_exceptions(found);
        assert_eq!(left.len(), 2);
        assert!(left[0].text.contains("gone.rs"), "{}", left[0]);
        assert_eq!(left[1].path, "y.rs");
    }
}
