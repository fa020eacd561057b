//! Rust as far as house rules need it: where code is, where functions begin and end, what belongs to tests.
//!
//! No parser: comments and the contents of literals are blanked, then braces are counted. That is exact for anything
//! the compiler accepts, but for braces that a macro leaves unbalanced in its input, which no file here does.

/// One function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Line of `fn`, counted from 1.
    pub(super) first: usize,
    /// Line of the closing brace.
    pub(super) last: usize,
    /// From `fn` to the opening brace.
    pub(super) signature: String,
}

/// A Rust file, seen for its rules.
#[derive(Debug)]
pub(super) struct Source {
    /// The text with comments and the contents of literals blanked; lines are where they were.
    pub(super) code: String,
    /// Lines that belong to tests, as pairs of first and last.
    tests: Vec<(usize, usize)>,
}

impl Source {
    pub(super) fn of(path: &str, text: &str) -> Source {
        let code = blanked(text);
        let whole = path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs")
            || path.starts_with("scenarios/conformance/");
        let tests = if whole { vec![(1, usize::MAX)] } else { test_modules(&code) };
        Source { code, tests }
    }

    /// Whether line `number`, counted from 1, belongs to a test.
    pub(super) fn is_test(&self, number: usize) -> bool {
        self.tests.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    /// Every function with a body, nested ones too.
    pub(super) fn functions(&self) -> Vec<Function> {
        words_named(&self.code, "fn").filter_map(|at| function(&self.code, at)).collect()
    }

    /// Functions in the way of a scenario: async, with the world as their argument.
    pub(super) fn bodies(&self) -> Vec<Function> {
        let mut found = self.functions();
        found.retain(|function| {
            function.signature.contains("world: &World") && function.signature.contains("-> Result")
        });
        found
    }
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Where `word` stands alone.
fn words_named<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !code[..at].chars().next_back().is_some_and(part)
            && !code[at + word.len()..].chars().next().is_some_and(part)
    })
}

fn function(code: &str, at: usize) -> Option<Function> {
    let rest = &code[at..];
    let name: String =
        rest[2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // `fn(…)` is a type; a `;` before any brace ends a declaration.
    let open = rest.find(['{', ';']).filter(|&open| !name.is_empty() && rest[open..].starts_with('{'))?;
    let end = closing(rest, open)?;
    Some(Function {
        name,
        first: line_of(code, at),
        last: line_of(code, at + end),
        signature: rest[..open].to_owned(),
    })
}

/// Position of the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(open + at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Modules and functions under `#[cfg(test)]`.
fn test_modules(code: &str) -> Vec<(usize, usize)> {
    let region = |(at, mark): (usize, &str)| {
        let rest = &code[at + mark.len()..];
        let open = rest.find(['{', ';']).filter(|&open| rest[open..].starts_with('{'))?;
        Some((line_of(code, at), line_of(code, at + mark.len() + closing(rest, open)?)))
    };
    code.match_indices("#[cfg(test)]").filter_map(region).collect()
}

/// `text` with comments and the contents of literals as spaces.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let (length, keep) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), 0)
        } else if rest.starts_with("/*") {
            (block_comment(rest), 0)
        } else if let Some(length) = raw_string(rest).filter(|_| !after_word) {
            (length, 1)
        } else if first == '"' {
            (quoted(rest, '"'), 1)
        } else if first == '\'' && is_character(rest) {
            (quoted(rest, '\''), 1)
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
        let inner = &rest[keep..length - keep.min(length - keep)];
        out.push_str(&rest[..keep]);
        out.extend(inner.chars().map(blank));
        out.push_str(&rest[keep + inner.len()..length]);
        rest = &rest[length..];
    }
    out
}

fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (2, 1usize);
    while depth > 0 && at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            _ => at += 1,
        }
    }
    at.min(rest.len())
}

/// Length of `r"…"`, `r#"…"#` and their relatives.
fn raw_string(rest: &str) -> Option<usize> {
    let bare =
        rest.strip_prefix("br").or_else(|| rest.strip_prefix("cr")).or_else(|| rest.strip_prefix('r'))?;
    let hashes = bare.len() - bare.trim_start_matches('#').len();
    let inner = bare[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end)?;
    Some(rest.len() - inner.len() + length + end.len())
}

/// Length of a literal with escapes that begins here.
fn quoted(rest: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == mark => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal rather than a lifetime.
fn is_character(rest: &str) -> bool {
    let mut following = rest.chars().skip(1);
    matches!((following.next(), following.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_do_not_count() {
        let text = "fn a<'x>(s: &'x str) { // }\n  let _ = \"}\\\"}\"; let _ = '{'; /* } /* } */ } */\n  let _ = \
                    r#\"}\"}\"#;\n}\nfn b() -> u8 { b'}' }\n";
        let found = Source::of("x.rs", text).functions();
        let seen: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.first, f.last)).collect();
        assert_eq!(seen, [("a", 1, 4), ("b", 5, 5)]);
    }

    #[test]
    fn blanking_keeps_lines_and_columns() {
        let text = "let a = \"ä\n\"; // x\nlet b = '\\'';\n";
        let code = blanked(text);
        assert_eq!(code, "let a = \" \n\";     \nlet b = '  ';\n");
        assert_eq!(code.chars().count(), text.chars().count());
    }

    #[test]
    fn declarations_and_types_are_no_functions() {
        let source = Source::of("x.rs", "trait T { fn a(&self); fn b(&self) {} }\ntype F = fn(u8) -> u8;\n");
        assert_eq!(source.functions().len(), 1);
    }

    #[test]
    fn tests_are_known() {
        let source =
            Source::of("x/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n");
        let lines: Vec<bool> = (1..=6).map(|line| source.is_test(line)).collect();
        assert_eq!(lines, [false, true, true, true, true, false]);
        assert!(Source::of("x/tests/a.rs", "fn a() {}\n").is_test(1));
        assert!(!Source::of("x/src/a.rs", "#[cfg(test)]\nmod tests;\nfn a() {}\n").is_test(3));
    }
}
