//! Words that must not stand in some places.

use anyhow::Context;
use regex::Regex;

use super::Violation;
use super::rules::{View, WordRule};
use super::tree::{File, Tree};

/// Every violation of `rules` in `tree`.
///
/// # Errors
/// When a pattern is none.
pub(super) fn check(tree: &Tree, rules: &[WordRule]) -> anyhow::Result<Vec<Violation>> {
    let mut found = Vec::new();
    for rule in rules {
        let pattern = Regex::new(&rule.pattern).with_context(|| format!("pattern of {}", rule.rule))?;
        let unless = rule.unless.as_deref().map(Regex::new).transpose().with_context(|| rule.rule.clone())?;
        for file in tree.files.iter().filter(|file| concerns(rule, file)) {
            found.extend(hits(file, rule, &pattern, unless.as_ref()));
        }
    }
    Ok(found)
}

fn concerns(rule: &WordRule, file: &File) -> bool {
    let begins = |prefixes: &[String]| prefixes.iter().any(|prefix| file.path.starts_with(prefix.as_str()));
    let ending = || file.name().rsplit_once('.').map_or("", |(_, ending)| ending);
    begins(&rule.within)
        && !begins(&rule.except)
        && (rule.ext.is_empty() || rule.ext.iter().any(|ext| ext == ending()))
        && (rule.view == View::Text || file.source.is_some())
}

/// One violation for each line.
fn hits(file: &File, rule: &WordRule, pattern: &Regex, unless: Option<&Regex>) -> Vec<Violation> {
    let text = match (rule.view, &file.source) {
        (View::Code | View::Tests, Some(source)) => &source.code,
        _ => &file.text,
    };
    let bodies = file.source.as_ref().filter(|_| rule.view == View::Body).map(|source| source.bodies());
    let seen = |number: usize| match (rule.view, &file.source, &bodies) {
        (View::Tests, Some(source), _) => source.is_test(number),
        (View::Body, _, Some(bodies)) => bodies.iter().any(|body| (body.first..=body.last).contains(&number)),
        _ => true,
    };
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(index, _)| seen(index + 1)) {
        let allowed: Vec<_> =
            unless.iter().flat_map(|unless| unless.find_iter(line)).map(|m| m.range()).collect();
        let free =
            |hit: &regex::Match<'_>| !allowed.iter().any(|a| a.start <= hit.start() && hit.end() <= a.end);
        if let Some(hit) = pattern.find_iter(line).find(free) {
            let text = format!("{:?}: {}", hit.as_str().trim(), rule.remedy);
            found.push(Violation::new(&file.path, index + 1, &rule.rule, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;

    /// The repository's own rules on one file.
    fn broken(path: &str, text: &str) -> Vec<(usize, String)> {
        let rules = Rules::read(&crate::root()).unwrap();
        let found = check(&Tree::of(&[(path, text)]), &rules.word).unwrap();
        found.into_iter().map(|violation| (violation.line, violation.rule)).collect()
    }

    fn one(line: usize, rule: &str) -> Vec<(usize, String)> {
        vec![(line, rule.to_owned())]
    }

    #[test]
    fn a_cluster_has_never_heard_of_seldon() {
        assert_eq!(broken("clusters/embedded/node/src/a.rs", "\n// for Seldon\n"), one(2, "no-seldon-below"));
        assert_eq!(broken("clusters/src/a.rs", "const A: &str = \"SELDON_CONFORMANCE_CACHE\";\n"), []);
        assert_eq!(
            broken("clusters/src/a.rs", "// seldon-conformance, of Seldon\n"),
            one(1, "no-seldon-below")
        );
        assert_eq!(broken("harness/src/a.rs", "// Seldon\n"), []);
    }

    #[test]
    fn sleeps() {
        assert_eq!(broken("harness/src/a.rs", "fn a() { sleep(x) } // sleep(x)\n"), one(1, "no-sleep"));
        assert_eq!(broken("harness/src/world.rs", "fn a() { sleep(x) }\n"), []);
        assert_eq!(
            broken("clusters/embedded/dns/tests/a.rs", "fn a() { sleep(x) }\n"),
            one(1, "no-sleep-in-tests")
        );
        assert_eq!(broken("clusters/embedded/dns/src/a.rs", "fn a() { sleep(x) } // \"sleep(\"\n"), []);
    }

    #[test]
    fn unfinished_work_and_machines() {
        assert_eq!(broken("a/src/a.rs", concat!("// TO", "DO: later\n")), one(1, "nothing-unfinished"));
        assert_eq!(broken("a/src/a.rs", concat!("unimple", "mented!()\n")), one(1, "nothing-unfinished"));
        assert_eq!(broken("README.md", concat!("cd /ro", "ot/x\n")), one(1, "no-machine-paths"));
        assert_eq!(broken("a.lock", concat!("https://py", "pi.org/simple\n")), one(1, "no-registry-hosts"));
        assert_eq!(broken("Cargo.lock", concat!("https://github.com/rust-lang/crates", ".io-index\n")), []);
    }

    #[test]
    fn scenarios_speak_the_harness() {
        let text = "fn s(world: &World) -> Result { kube::x() }\nfn t() { kube::x() }\n";
        assert_eq!(broken("scenarios/src/a.rs", text), one(1, "scenarios-speak-harness"));
    }
}
