//! Words of a Corefile with the place where each stood.

use std::sync::Arc;

/// A word and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The word without its quotes.
    pub text: String,
    /// The file it stood in.
    pub file: Arc<str>,
    /// Its line, counted from 1.
    pub line: usize,
}

/// The words of `text`.
pub(super) fn tokens(file: &str, text: &str) -> Vec<Token> {
    let file: Arc<str> = Arc::from(file);
    let mut found = Vec::new();
    let mut line = 1;
    let mut characters = text.chars().peekable();
    while let Some(&next) = characters.peek() {
        match next {
            '\n' => {
                line += 1;
                characters.next();
            }
            blank if blank.is_whitespace() => {
                characters.next();
            }
            '#' => while characters.next_if(|&character| character != '\n').is_some() {},
            '"' => {
                characters.next();
                let start = line;
                let text = quoted(&mut characters, &mut line);
                found.push(Token { text, file: file.clone(), line: start });
            }
            _ => {
                let mut text = String::new();
                while let Some(character) = characters.next_if(|character| !character.is_whitespace()) {
                    text.push(character);
                }
                // A backslash at a line's end joins it with the next one.
                if text == "\\" && characters.next_if_eq(&'\n').is_some() {
                    continue;
                }
                found.push(Token { text: with_variables(&text), file: file.clone(), line });
            }
        }
    }
    found
}

fn quoted(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, line: &mut usize) -> String {
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' if characters.peek() == Some(&'"') => {
                characters.next();
                text.push('"');
            }
            '\n' => {
                *line += 1;
                text.push('\n');
            }
            other => text.push(other),
        }
    }
    text
}

fn with_variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{$") {
        let Some(length) = rest[start..].find('}') else { break };
        out.push_str(&rest[..start]);
        out.push_str(&std::env::var(&rest[start + 2..start + length]).unwrap_or_default());
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    out
}
