//! The README's table names every scenario of the catalogue, with the escalations it re-enacts.

use regex::Regex;

use super::Violation;
use super::tree::Tree;

const CATALOGUE: &str = "scenarios/src/catalogue.rs";
const README: &str = "README.md";

/// A scenario as the catalogue's text has it.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    family: String,
    name: String,
    seeds: Vec<String>,
}

/// Scenarios without a row in the README, or with one that names other escalations.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let Some(catalogue) = tree.file(CATALOGUE) else { return Vec::new() };
    let readme = tree.file(README).map_or("", |file| file.text.as_str());
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    let said = |entry: &Entry| {
        rows.iter().any(|row| {
            let all = entry.seeds.iter().all(|seed| row.contains(seed.as_str())) || row.contains(" all ");
            row.contains(&entry.family) && row.contains(&entry.name) && all
        })
    };
    let missing = entries(&catalogue.text).into_iter().filter(|entry| !said(entry));
    missing
        .map(|entry| {
            let text = format!(
                "{README} has no row for \"{}: {}\" with {}: write one",
                entry.family,
                entry.name,
                entry.seeds.join(", ")
            );
            Violation::new(CATALOGUE, entry.line, "readme-catalogue", text)
        })
        .collect()
}

fn entries(text: &str) -> Vec<Entry> {
    let pattern = r#"family: "([^"]+)",\s*name: "([^"]+)",(?s:.*?)seeds: &\[([^\]]*)\]"#;
    // The pattern is a constant; a broken one shows in the test below.
    let Ok(pattern) = Regex::new(pattern) else { return Vec::new() };
    let all = pattern.captures_iter(text);
    all.map(|hit| Entry {
        line: text[..hit.get(0).map_or(0, |whole| whole.start())].matches('\n').count() + 1,
        family: hit[1].to_owned(),
        name: hit[2].to_owned(),
        seeds: hit[3]
            .split(',')
            .map(|seed| seed.trim().trim_matches('"').to_owned())
            .filter(|s| !s.is_empty())
            .collect(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Scenario {\n  family: \"dns\",\n  name: \"a b\",\n  claim: \"c\",\n  seeds: &[\"000\", \"004\"],\n},\n";

    #[test]
    fn a_row_says_family_name_and_seeds() {
        let count = |readme: &str| check(&Tree::of(&[(CATALOGUE, TEXT), (README, readme)])).len();
        assert_eq!(count("| dns: a b | 000, 004 | … |\n"), 0);
        assert_eq!(count("| dns: a b | 000 | … |\n"), 1);
        assert_eq!(count("dns: a b 000 004\n"), 1);
        let found = check(&Tree::of(&[(CATALOGUE, TEXT)]));
        assert_eq!((found.len(), found[0].line), (1, 2));
    }

    #[test]
    fn the_catalogue_is_read_whole() {
        let text = std::fs::read_to_string(crate::root().join(CATALOGUE)).unwrap();
        assert_eq!(entries(&text).len(), text.matches("Scenario {\n        family").count());
    }
}
