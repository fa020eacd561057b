//! Sizes and names: files, modules, functions, scenario bodies.

use super::Violation;
use super::tree::{File, Tree};

/// Lines of a Rust file.
const FILE: usize = 400;
/// Lines of a `lib.rs` or `main.rs`.
const ROOT: usize = 120;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION: usize = 70;
/// Lines of a scenario's body that are neither blank nor a comment.
const BODY: usize = 25;
/// Module names that say nothing.
const ATTICS: &[&str] = &["utils", "util", "common", "manager", "helpers", "helper", "misc"];

/// Every violation in `tree`.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let rust = tree.files.iter().filter(|file| file.source.is_some() && !is_generated(file));
    rust.flat_map(|file| {
        let mut found = sizes(file);
        found.extend(names(file));
        found.extend(functions(file));
        found.extend(bodies(file));
        found
    })
    .collect()
}

fn is_generated(file: &File) -> bool {
    file.text.lines().take(3).any(|line| line.contains("@generated"))
}

fn sizes(file: &File) -> Vec<Violation> {
    let lines = file.lines();
    let mut found = Vec::new();
    if lines > FILE {
        let text = format!("{lines} lines, at most {FILE}: split it by subject");
        found.push(Violation::new(&file.path, 1, "file-length", text));
    }
    if matches!(file.name(), "lib.rs" | "main.rs") && file.path.contains("/src/") && lines > ROOT {
        let text =
            format!("{lines} lines, at most {ROOT}: a crate's root lists modules, the rest stands in them");
        found.push(Violation::new(&file.path, 1, "root-length", text));
    }
    found
}

fn names(file: &File) -> Option<Violation> {
    if file.name() == "mod.rs" {
        let text = "mod.rs: name the file after the module, beside the module's directory";
        return Some(Violation::new(&file.path, 1, "module-names", text));
    }
    let attic = file.path.trim_end_matches(".rs").split('/').find(|part| ATTICS.contains(part))?;
    let text = format!("{attic} says nothing: name the module after its subject");
    Some(Violation::new(&file.path, 1, "module-names", text))
}

fn functions(file: &File) -> Vec<Violation> {
    let all = file.source.iter().flat_map(|source| source.functions());
    all.filter_map(|function| {
        let lines = function.last - function.first + 1;
        let text = format!("fn {}: {lines} lines, at most {FUNCTION}: split it", function.name);
        (lines > FUNCTION).then(|| Violation::new(&file.path, function.first, "function-length", text))
    })
    .collect()
}

fn bodies(file: &File) -> Vec<Violation> {
    if !file.path.starts_with("scenarios/src/") {
        return Vec::new();
    }
    let all = file.source.iter().flat_map(|source| source.bodies());
    all.filter_map(|function| {
        let inner =
            file.text.lines().skip(function.first).take((function.last - function.first).saturating_sub(1));
        let lines = inner.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        let text =
            format!("scenario {}: {lines} lines, at most {BODY}: give the harness a verb", function.name);
        (lines > BODY).then(|| Violation::new(&file.path, function.first, "scenario-length", text))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_broken(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn long_files_and_roots() {
        assert_eq!(rules_broken("a/src/b.rs", &"\n".repeat(FILE)), [""; 0]);
        assert_eq!(rules_broken("a/src/b.rs", &"\n".repeat(FILE + 1)), ["file-length"]);
        assert_eq!(rules_broken("a/src/b.rs", &format!("// @generated\n{}", "\n".repeat(900))), [""; 0]);
        assert_eq!(rules_broken("a/src/lib.rs", &"\n".repeat(ROOT + 1)), ["root-length"]);
        assert_eq!(rules_broken("a/tests/it/main.rs", &"\n".repeat(ROOT + 1)), [""; 0]);
    }

    #[test]
    fn names_that_say_nothing() {
        assert_eq!(rules_broken("a/src/b/mod.rs", ""), ["module-names"]);
        assert_eq!(rules_broken("a/src/utils.rs", ""), ["module-names"]);
        assert_eq!(rules_broken("a/tests/common/x.rs", ""), ["module-names"]);
        assert_eq!(rules_broken("a/src/commonly.rs", ""), [""; 0]);
    }

    #[test]
    fn long_functions_are_named_with_their_line() {
        let text = format!("\nfn f() {{{}}}\n", "\n".repeat(FUNCTION));
        let found = check(&Tree::of(&[("a/src/b.rs", &text)]));
        assert_eq!(
            found[0].to_string(),
            "a/src/b.rs:2: fn f: 71 lines, at most 70: split it [function-length]"
        );
    }

    #[test]
    fn scenario_bodies_count_what_they_say() {
        let body = |lines: usize| {
            format!("async fn s(world: &World) -> Result {{\n{}\n// why\n}}\n", "x;\n".repeat(lines))
        };
        assert_eq!(rules_broken("scenarios/src/a.rs", &body(BODY)), [""; 0]);
        assert_eq!(rules_broken("scenarios/src/a.rs", &body(BODY + 1)), ["scenario-length"]);
        assert_eq!(rules_broken("harness/src/a.rs", &body(BODY + 1)), [""; 0]);
    }
}
