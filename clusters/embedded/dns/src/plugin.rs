//! The plugins: each reads its directive and does its part of an answer.

pub(crate) mod acl;
pub(crate) mod cache;
pub(crate) mod forward;
pub(crate) mod hosts;
pub(crate) mod kubernetes;
pub(crate) mod lookup;
pub(crate) mod rewrite;
pub(crate) mod simple;
pub(crate) mod template;
pub(crate) mod template_text;

use crate::corefile::{CorefileError, Token};
use crate::name;

/// Which of its own misses a plugin hands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fallthrough {
    zones: Vec<String>,
}

impl Fallthrough {
    /// `fallthrough` alone means every zone.
    pub(crate) fn parse(arguments: &[Token]) -> Fallthrough {
        if arguments.is_empty() {
            return Fallthrough { zones: vec![".".to_owned()] };
        }
        Fallthrough { zones: arguments.iter().map(|token| name::zone_of_argument(&token.text)).collect() }
    }

    pub(crate) fn takes(&self, name: &str) -> bool {
        name::closest(&self.zones, name).is_some()
    }
}

/// A number in an argument.
pub(crate) fn number<T: std::str::FromStr>(token: &Token) -> Result<T, CorefileError> {
    token
        .text
        .parse()
        .map_err(|_| token.error(format!("strconv.Atoi: parsing \"{}\": invalid syntax", token.text)))
}
