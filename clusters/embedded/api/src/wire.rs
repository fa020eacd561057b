//! The messages of the Kubernetes API: what protobuf bodies and OpenAPI documents are made of.
//!
//! `kubectl` writes some objects (`create namespace`, `auth can-i`, …) in protobuf whatever the server says it likes,
//! so bodies are read in protobuf; answers are always JSON.

use std::collections::HashMap;
use std::sync::LazyLock;

mod decode;

pub(crate) use decode::object;

const TABLE: &str = include_str!("wire/kubernetes.messages");

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) number: u64,
    /// Its name in JSON.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// Whether an empty value is a value.
    pub(crate) kept_when_empty: bool,
    /// Whether its fields stand in the owner.
    pub(crate) inline: bool,
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    One(Kind),
    List(Kind),
    Map(Kind),
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Integer(&'static str),
    Bool,
    Bytes,
    Double,
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    /// Any JSON.
    Raw,
    /// A message that JSON shows as a list of texts.
    Strings,
    Message(&'static str),
}

impl Kind {
    fn parse(text: &'static str) -> Kind {
        match text {
            "string" => Kind::String,
            "int32" | "int64" | "uint32" | "uint64" => Kind::Integer(text),
            "bool" => Kind::Bool,
            "bytes" => Kind::Bytes,
            "double" => Kind::Double,
            "Time" => Kind::Time,
            "MicroTime" => Kind::MicroTime,
            "Duration" => Kind::Duration,
            "Quantity" => Kind::Quantity,
            "IntOrString" => Kind::IntOrString,
            "Raw" => Kind::Raw,
            "@strings" => Kind::Strings,
            message => Kind::Message(message),
        }
    }
}

impl Field {
    fn parse(line: &'static str) -> Option<Field> {
        let mut words = line.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let name = words.next()?;
        let text = words.next()?;
        let (kept_when_empty, text) = match text.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let within = |open, close| text.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
        let shape = match (within('[', ']'), within('{', '}')) {
            (Some(inner), _) => Shape::List(Kind::parse(inner)),
            (_, Some(inner)) => Shape::Map(Kind::parse(inner)),
            (None, None) => Shape::One(Kind::parse(text)),
        };
        Some(Field { number, name, shape, kept_when_empty, inline: name == "-" })
    }
}

/// All messages by name, such as `core.v1.Pod`.
static MESSAGES: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let mut messages: HashMap<&'static str, Vec<Field>> = HashMap::new();
    let mut current = "";
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix(' ') {
            None => {
                current = line;
                messages.insert(line, Vec::new());
            }
            Some(field) => {
                let fields = messages.get_mut(current);
                fields.zip(Field::parse(field)).map(|(fields, field)| fields.push(field)).unwrap_or_default();
            }
        }
    }
    messages
});

/// The fields of a message.
pub(crate) fn message(name: &str) -> Option<&'static [Field]> {
    MESSAGES.get(name).map(Vec::as_slice)
}

/// The name of the message of a built-in kind: `core.v1.Pod` for `v1` Pod, `rbac.v1.Role` for
/// `rbac.authorization.k8s.io/v1` Role.
pub(crate) fn message_of(gvk: &embedded_machinery::Gvk) -> String {
    let package = match gvk.group.as_str() {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    // Both are of the group policy but live elsewhere.
    let package = match gvk.kind.as_str() {
        "DeleteOptions" => "meta",
        _ => package,
    };
    format!("{package}.{}.{}", gvk.version, gvk.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_a_field_names_is_in_the_table() {
        for (owner, fields) in MESSAGES.iter() {
            for field in fields {
                let (Shape::One(kind) | Shape::List(kind) | Shape::Map(kind)) = &field.shape;
                if let Kind::Message(name) = kind {
                    assert!(MESSAGES.contains_key(name), "{owner}.{} is a {name}", field.name);
                }
            }
        }
    }

    #[test]
    fn every_built_in_kind_but_definitions_has_a_message() {
        for kind in
            embedded_machinery::builtin::KINDS.iter().filter(|kind| kind.group != "apiextensions.k8s.io")
        {
            assert!(message(&message_of(&kind.gvk())).is_some(), "{}", kind.gvk());
        }
    }
}
