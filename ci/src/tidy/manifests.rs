//! What the crates' manifests must and must not say.

use anyhow::Context;
use toml::{Table, Value};

use super::Violation;
use super::rules::DependencyRule;
use super::tree::{File, Tree};

/// Every violation of `rules`, and every crate without the workspace's lints.
///
/// # Errors
/// When a manifest is no TOML.
pub(super) fn check(tree: &Tree, rules: &[DependencyRule]) -> anyhow::Result<Vec<Violation>> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.name() == "Cargo.toml") {
        let manifest: Table = file.text.parse().with_context(|| file.path.clone())?;
        let Some(name) =
            manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str)
        else {
            continue;
        };
        if !inherits_lints(&manifest) {
            let text = "the workspace's lints are missing: add [lints] workspace = true";
            found.push(Violation::new(&file.path, 1, "workspace-lints", text));
        }
        for rule in rules.iter().filter(|rule| rule.crates.iter().any(|one| one == name)) {
            found.extend(forbidden(file, &manifest, rule));
        }
    }
    Ok(found)
}

fn inherits_lints(manifest: &Table) -> bool {
    manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool) == Some(true)
}

fn forbidden(file: &File, manifest: &Table, rule: &DependencyRule) -> Vec<Violation> {
    let sections: &[&str] =
        if rule.also_dev { &["dependencies", "dev-dependencies"] } else { &["dependencies"] };
    let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
    let never = |name: &&String| rule.never.iter().any(|pattern| fits(pattern, name));
    tables
        .flat_map(|table| table.keys().filter(never))
        .map(|name| {
            let line =
                file.text.lines().position(|line| line.starts_with(name.as_str())).map_or(1, |line| line + 1);
            Violation::new(&file.path, line, "dependencies", format!("{name}: {}", rule.remedy))
        })
        .collect()
}

/// `pattern` is a name, or the beginning of one with `*`.
fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, also_dev: bool) -> Vec<String> {
        let rule = DependencyRule {
            crates: vec!["pure".into()],
            never: vec!["tokio*".into(), "kube".into()],
            also_dev,
            remedy: "pure".into(),
        };
        let found = check(&Tree::of(&[("a/Cargo.toml", text)]), &[rule]).unwrap();
        found.iter().map(|violation| format!("{}:{}", violation.line, violation.rule)).collect()
    }

    const PURE: &str = "[package]\nname = \"pure\"\n[lints]\nworkspace = true\n";

    #[test]
    fn forbidden_dependencies_by_section() {
        let text = format!("{PURE}[dependencies]\ntokio-util.workspace = true\nkube-core = \"1\"\n");
        assert_eq!(lines(&text, false), ["6:dependencies"]);
        let text = format!("{PURE}[dev-dependencies]\nkube.workspace = true\n");
        assert_eq!(lines(&text, false), [""; 0]);
        assert_eq!(lines(&text, true), ["6:dependencies"]);
    }

    #[test]
    fn lints_are_inherited() {
        assert_eq!(lines("[package]\nname = \"other\"\n", false), ["1:workspace-lints"]);
        assert_eq!(lines("[workspace]\nmembers = []\n", false), [""; 0]);
    }
}
