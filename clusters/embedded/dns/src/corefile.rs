//! The Corefile: server blocks of directives, as CoreDNS 1.12.1 (Caddy's format) reads it.
//!
//! Quoting, comments, `\` at a line's end, `{$VARIABLE}`, `import` of files, globs and snippets, blocks of one level.

mod lexer;
mod parser;

pub use lexer::Token;
pub use parser::parse;

use crate::name;

/// A whole Corefile after its imports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corefile {
    /// The server blocks in file order.
    pub blocks: Vec<ServerBlock>,
    /// Import patterns that no file matched; CoreDNS warns of them and goes on.
    pub unmatched_imports: Vec<String>,
}

/// One server block: who it serves and with which plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBlock {
    /// The keys as written, such as `.:53`.
    pub keys: Vec<Token>,
    /// The directives in file order.
    pub directives: Vec<Directive>,
}

/// One directive of a server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The plugin's name.
    pub name: Token,
    /// The words after it on its line.
    pub arguments: Vec<Token>,
    /// The lines of its block.
    pub block: Vec<Line>,
}

/// One line of a directive's block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The first word.
    pub name: Token,
    /// The rest.
    pub arguments: Vec<Token>,
}

/// What is wrong with a Corefile: file, line and word, worded as CoreDNS words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorefileError {
    /// Wrong syntax or a wrong word.
    #[error("{file}:{line} - Error during parsing: {message}")]
    Syntax {
        /// The file's name as it was given.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A plugin does not take its settings.
    #[error("plugin/{plugin}: {message}")]
    Plugin {
        /// The plugin's name.
        plugin: String,
        /// What is wrong.
        message: String,
    },
    /// A file cannot be read.
    #[error("loading Caddyfile via flag: open {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
}

impl Token {
    /// An error at this word.
    pub(crate) fn error(&self, message: impl Into<String>) -> CorefileError {
        CorefileError::Syntax { file: self.file.to_string(), line: self.line, message: message.into() }
    }

    /// The error for a wrong number of arguments after this word.
    pub(crate) fn wrong_count(&self) -> CorefileError {
        self.error(format!("Wrong argument count or unexpected line ending after '{}'", self.text))
    }
}

impl CorefileError {
    /// The same error as a plugin reports it.
    pub(crate) fn of_plugin(self, plugin: &str) -> CorefileError {
        CorefileError::Plugin { plugin: plugin.to_owned(), message: self.to_string() }
    }
}

impl Directive {
    /// The zones named by `arguments`, or the server block's when there are none.
    pub(crate) fn zones(arguments: &[Token], block_zones: &[String]) -> Vec<String> {
        if arguments.is_empty() {
            return block_zones.to_vec();
        }
        arguments.iter().map(|token| name::zone_of_argument(&token.text)).collect()
    }
}

impl Line {
    /// The words of the arguments.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.arguments.iter().map(|token| token.text.as_str()).collect()
    }

    /// The only argument.
    pub(crate) fn one(&self) -> Result<&Token, CorefileError> {
        match self.arguments.as_slice() {
            [only] => Ok(only),
            _ => Err(self.name.wrong_count()),
        }
    }

    /// No argument is allowed.
    pub(crate) fn none(&self) -> Result<(), CorefileError> {
        if self.arguments.is_empty() { Ok(()) } else { Err(self.name.wrong_count()) }
    }
}

/// The zone and port of a server block's key.
pub(crate) fn zone_and_port(key: &Token) -> Result<(String, u16), CorefileError> {
    let text = key.text.strip_prefix("dns://").unwrap_or(&key.text);
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(
            key.error(format!("the transport {scheme}:// of '{}' is not served here; use dns://", key.text))
        );
    }
    let port = match text.rsplit_once(':') {
        Some((_, "")) => return Err(key.error(format!("expecting data after last colon: \"{text}\""))),
        Some((_, port)) => port.parse().unwrap_or(53),
        None => 53,
    };
    Ok((name::zone_of_argument(text), port))
}

/// A duration as Go writes it: `15s`, `1m30s`, `500ms`, `0`.
pub(crate) fn duration(text: &str) -> Option<std::time::Duration> {
    if text == "0" {
        return Some(std::time::Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|character: char| character.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    (!text.is_empty()).then(|| std::time::Duration::from_secs_f64(seconds))
}
