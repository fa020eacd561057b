//! Contexts that a person has ruled out, once and for all: `config.toml` in the user's configuration directory.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use crate::options::Failure;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Names of contexts; `*` stands for any text.
    #[serde(default)]
    refused_contexts: Vec<String>,
}

fn file() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(config.join("seldon-conformance").join("config.toml"))
}

/// Fails when `context` is ruled out, and when it is not known whether it is.
pub(crate) fn refuse(context: &str) -> Result<(), Failure> {
    let Some(file) = file() else { return Ok(()) };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::machine(format!("cannot read {}: {error}", file.display()))),
    };
    let config: Config =
        toml::from_str(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    match config.refused_contexts.iter().find(|pattern| matches(pattern, context)) {
        Some(pattern) => Err(Failure::usage(format!(
            "context {context:?} is ruled out by {pattern:?} in {}",
            file.display()
        ))),
        None => Ok(()),
    }
}

/// Whether `text` is as `pattern` says.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::same("prod", "prod", true)]
    #[case::longer("prod", "prod-eu", false)]
    #[case::begins("prod*", "prod-eu", true)]
    #[case::ends("*-prod", "eu-prod", true)]
    #[case::within("*prod*", "eu-prod-1", true)]
    #[case::two_parts("a*b*c", "a-b-c", true)]
    #[case::wrong_order("a*b*c", "a-c-b", false)]
    #[case::everything("*", "anything", true)]
    #[case::not_there("*prod*", "staging", false)]
    fn patterns(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, text), expected);
    }
}
