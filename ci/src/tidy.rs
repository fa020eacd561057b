//! `tidy`: house rules as failing checks, each with a place and what to do.

mod catalogue;
mod manifests;
mod rules;
mod shape;
mod source;
mod tree;
mod words;
mod workflows;

use std::fmt;
use std::path::Path;

use anyhow::bail;

use rules::Rules;
use tree::Tree;

/// One place that breaks one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    /// Counted from 1.
    line: usize,
    rule: String,
    /// What stands there, and what to do.
    text: String,
}

impl Violation {
    fn new(path: &str, line: usize, rule: &str, text: impl Into<String>) -> Violation {
        Violation { path: path.into(), line, rule: rule.into(), text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {} [{}]", self.path, self.line, self.text, self.rule)
    }
}

/// Prints every violation in the repository at `root`.
///
/// # Errors
/// When there is one.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    let found = violations(&tree, &Rules::read(root)?)?;
    for violation in &found {
        println!("{violation}");
    }
    match found.len() {
        0 => Ok(()),
        1 => bail!("one place breaks a house rule"),
        count => bail!("{count} places break house rules"),
    }
}

fn violations(tree: &Tree, rules: &Rules) -> anyhow::Result<Vec<Violation>> {
    let mut found = shape::check(tree);
    found.extend(words::check(tree, &rules.word)?);
    found.extend(manifests::check(tree, &rules.dependency)?);
    found.extend(catalogue::check(tree));
    found.extend(workflows::check(tree)?);
    let mut found = rules.without_exceptions(found);
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules that the whole repository keeps. A new place that breaks one fails here and in `check`.
    #[test]
    fn this_repository_keeps_its_house_rules() {
        let root = crate::root();
        let found = violations(&Tree::read(&root).unwrap(), &Rules::read(&root).unwrap()).unwrap();
        let lines: Vec<String> = found.iter().map(Violation::to_string).collect();
        assert!(found.is_empty(), "\n{}", lines.join("\n"));
    }
}
