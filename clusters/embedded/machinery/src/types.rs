//! The shapes of built-in types: field names, JSON types and merge rules of Kubernetes 1.33.
//!
//! The tables in `types/*.types` hold one type per block: its name, then one indented line per field with the
//! field's type and its list or map rule. `[T]` is a list, `{T}` a map, `map=k` a list keyed by `k` (for
//! strategic merge; `ssa=` where server-side apply uses other keys), `set` a list of unique values, `atomic` a
//! value owned as a whole, `@ atomic` a type owned as a whole.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::Gvk;

/// A built-in type.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: &'static str,
    /// The type as a shape, for places that need one to stay.
    pub(crate) shape: Shape,
    pub(crate) atomic: bool,
    pub(crate) fields: HashMap<&'static str, Field>,
}

/// A field of a built-in type.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    pub(crate) merge: Merge,
    pub(crate) apply: Merge,
    pub(crate) retain_keys: bool,
}

/// How lists and maps of a field join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// As the type suggests: maps and objects by key, lists as a whole.
    Plain,
    /// As a whole.
    Atomic,
    /// A list of unique scalars.
    Set,
    /// A list of objects told apart by these fields.
    Keyed(&'static [&'static str]),
}

/// The JSON type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar(Scalar),
    List(&'static Shape),
    Map(&'static Shape),
    Object(&'static str),
    /// Anything, unchecked.
    Any,
}

/// The scalar types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Int32,
    Int64,
    Bool,
    Float,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
}

static TYPES: LazyLock<HashMap<&'static str, Type>> = LazyLock::new(|| {
    let texts = [
        include_str!("types/core.types"),
        include_str!("types/apps.types"),
        include_str!("types/networking.types"),
        include_str!("types/others.types"),
        include_str!("types/meta.types"),
        include_str!("types/apiextensions.types"),
    ];
    texts.into_iter().flat_map(parse).map(|found| (found.name, found)).collect()
});

/// The type called `name` in the tables.
pub(crate) fn get(name: &str) -> Option<&'static Type> {
    TYPES.get(name)
}

/// The type of a built-in kind.
pub(crate) fn of(gvk: &Gvk) -> Option<&'static Type> {
    let prefix = gvk.group.split('.').next().unwrap_or_default();
    get(&format!("{prefix}.{}", gvk.kind)).or_else(|| get(&gvk.kind))
}

fn parse(text: &'static str) -> Vec<Type> {
    let mut types: Vec<Type> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if !line.starts_with(' ') {
            types.push(Type {
                name: first,
                shape: Shape::Object(first),
                atomic: false,
                fields: HashMap::new(),
            });
            continue;
        }
        let (Some(current), Some(shape)) = (types.last_mut(), words.next()) else { continue };
        if first == "@" {
            current.atomic = true;
            continue;
        }
        current.fields.insert(first, field(shape, words));
    }
    types
}

fn field(shape: &'static str, rules: impl Iterator<Item = &'static str>) -> Field {
    let mut field =
        Field { shape: parse_shape(shape), merge: Merge::Plain, apply: Merge::Plain, retain_keys: false };
    for rule in rules {
        match rule.split_once('=').unwrap_or((rule, "")) {
            ("map", keys) => {
                field.merge = keyed(keys);
                field.apply = field.merge;
            }
            ("ssa", "atomic") => field.apply = Merge::Atomic,
            ("ssa", keys) => field.apply = keyed(keys),
            ("set", _) => {
                field.merge = Merge::Set;
                field.apply = Merge::Set;
            }
            ("atomic", _) => field.apply = Merge::Atomic,
            ("retainKeys", _) => field.retain_keys = true,
            _ => {}
        }
    }
    field
}

fn keyed(keys: &'static str) -> Merge {
    Merge::Keyed(Vec::leak(keys.split(',').collect()))
}

fn parse_shape(text: &'static str) -> Shape {
    let inner = |text: &'static str| -> &'static Shape { Box::leak(Box::new(parse_shape(text))) };
    if let Some(item) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Shape::List(inner(item));
    }
    if let Some(item) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return Shape::Map(inner(item));
    }
    let scalar = match text {
        "string" => Scalar::String,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "bool" => Scalar::Bool,
        "float64" => Scalar::Float,
        "bytes" => Scalar::Bytes,
        "Time" => Scalar::Time,
        "MicroTime" => Scalar::MicroTime,
        "Quantity" => Scalar::Quantity,
        "IntOrString" => Scalar::IntOrString,
        "any" | "SchemaOrBool" | "SchemaOrArray" | "SchemaOrStrings" => return Shape::Any,
        object => return Shape::Object(object),
    };
    Shape::Scalar(scalar)
}
