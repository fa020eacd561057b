//! From words to server blocks, with imports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::lexer::{self, Token};
use super::{Corefile, CorefileError, Directive, Line, ServerBlock};

/// How many imports one Corefile may make; a file that imports itself would never end.
const MOST_IMPORTS: usize = 256;

/// Reads `text`, which stood in `file`; imports are looked for relative to that file.
///
/// # Errors
/// The first place that is not a Corefile, or an import without a target.
pub fn parse(file: &str, text: &str) -> Result<Corefile, CorefileError> {
    let mut parser = Parser {
        tokens: lexer::tokens(file, text),
        at: 0,
        snippets: HashMap::new(),
        imports: 0,
        unmatched: Vec::new(),
    };
    let mut blocks = Vec::new();
    while parser.at < parser.tokens.len() {
        if let Some(block) = parser.block()? {
            blocks.push(block);
        }
    }
    Ok(Corefile { blocks, unmatched_imports: parser.unmatched })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    snippets: HashMap<String, Vec<Token>>,
    imports: usize,
    unmatched: Vec<String>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn end_of_file(&self) -> CorefileError {
        let last = self.tokens.last();
        CorefileError::Syntax {
            file: last.map(|token| token.file.to_string()).unwrap_or_default(),
            line: last.map_or(1, |token| token.line),
            message: "Unexpected EOF".to_owned(),
        }
    }

    /// The words that follow on the line of `first`, up to an opening brace at its end.
    fn rest_of_line(&mut self, first: &Token) -> Vec<Token> {
        let mut words = Vec::new();
        while let Some(next) = self.peek() {
            if next.line != first.line || next.file != first.file || next.text == "{" {
                break;
            }
            words.extend(self.take());
        }
        words
    }

    fn block(&mut self) -> Result<Option<ServerBlock>, CorefileError> {
        let Some(first) = self.peek().cloned() else { return Ok(None) };
        if first.text == "import" {
            self.import()?;
            return Ok(None);
        }
        let mut keys = Vec::new();
        loop {
            let Some(token) = self.take() else {
                return Err(self.end_of_file());
            };
            if token.text == "{" {
                break;
            }
            if token.text == "}" {
                return Err(token.error("Unexpected '}' because no matching opening brace"));
            }
            for part in token.text.split(',').filter(|part| !part.is_empty()) {
                keys.push(Token { text: part.to_owned(), ..token.clone() });
            }
        }
        if let [only] = keys.as_slice()
            && let Some(name) = only.text.strip_prefix('(').and_then(|text| text.strip_suffix(')'))
        {
            let body = self.snippet()?;
            self.snippets.insert(name.to_owned(), body);
            return Ok(None);
        }
        if keys.is_empty() {
            return Err(first.error("a server block needs a zone before '{'"));
        }
        let directives = self.directives()?;
        Ok(Some(ServerBlock { keys, directives }))
    }

    fn snippet(&mut self) -> Result<Vec<Token>, CorefileError> {
        let mut depth = 0;
        let mut body = Vec::new();
        while let Some(token) = self.take() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 0 => return Ok(body),
                "}" => depth -= 1,
                _ => {}
            }
            body.push(token);
        }
        Err(self.end_of_file())
    }

    fn directives(&mut self) -> Result<Vec<Directive>, CorefileError> {
        let mut found = Vec::new();
        loop {
            let Some(next) = self.peek() else { return Err(self.end_of_file()) };
            match next.text.as_str() {
                "}" => {
                    self.at += 1;
                    return Ok(found);
                }
                "import" => self.import()?,
                _ => found.push(self.directive()?),
            }
        }
    }

    fn directive(&mut self) -> Result<Directive, CorefileError> {
        let Some(name) = self.take() else { return Err(self.end_of_file()) };
        let arguments = self.rest_of_line(&name);
        let mut block = Vec::new();
        if self.peek().is_some_and(|next| next.text == "{" && next.line == name.line) {
            self.at += 1;
            loop {
                let Some(first) = self.take() else { return Err(self.end_of_file()) };
                if first.text == "}" {
                    break;
                }
                let arguments = self.rest_of_line(&first);
                if let Some(brace) = self.peek().filter(|next| next.text == "{") {
                    return Err(brace.error(format!(
                        "a block inside '{}' of '{}' is not understood",
                        first.text, name.text
                    )));
                }
                block.push(Line { name: first, arguments });
            }
        }
        Ok(Directive { name, arguments, block })
    }

    /// Puts the words of the imported files or snippet where the `import` stood.
    fn import(&mut self) -> Result<(), CorefileError> {
        let start = self.at;
        let Some(keyword) = self.take() else { return Err(self.end_of_file()) };
        let arguments = self.rest_of_line(&keyword);
        let [pattern] = arguments.as_slice() else { return Err(keyword.wrong_count()) };
        self.imports += 1;
        if self.imports > MOST_IMPORTS {
            return Err(pattern.error(format!("'{}' is imported without end", pattern.text)));
        }
        let mut words = Vec::new();
        if let Some(snippet) = self.snippets.get(&pattern.text) {
            words.clone_from(snippet);
        } else {
            let files = matching(&keyword.file, &pattern.text);
            if files.is_empty() {
                if !pattern.text.contains(['*', '?']) {
                    return Err(pattern.error(format!("File to import not found: {}", pattern.text)));
                }
                self.unmatched.push(pattern.text.clone());
            }
            for file in files {
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    pattern.error(format!("Could not import {}: {error}", file.display()))
                })?;
                words.extend(lexer::tokens(&file.display().to_string(), &text));
            }
        }
        self.tokens.splice(start..self.at, words);
        self.at = start;
        Ok(())
    }
}

/// The files that match a glob in its last part, sorted by name; a relative pattern starts at the importing file.
fn matching(importer: &str, pattern: &str) -> Vec<PathBuf> {
    let pattern = Path::new(importer).parent().unwrap_or(Path::new("")).join(pattern);
    let (Some(directory), Some(last)) =
        (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    if !last.contains(['*', '?']) {
        return if pattern.is_file() { vec![pattern.clone()] } else { Vec::new() };
    }
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| wildcard(last.as_bytes(), name.as_bytes()))
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            wildcard(rest, name) || name.split_first().is_some_and(|(_, tail)| wildcard(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => wildcard(rest, tail),
        (Some((expected, rest)), Some((found, tail))) => expected == found && wildcard(rest, tail),
        _ => false,
    }
}
