use serde_json::{Map, Value};

use crate::Gvk;
use crate::schema::{ListType, Node, Structural};
use crate::types::{self, Merge, Shape, Type};

/// What is known of how an object's fields join when several managers write it.
#[derive(Clone, Copy, Debug)]
pub enum MergeTypes<'a> {
    /// A built-in kind.
    Builtin(&'a Gvk),
    /// A custom resource with a schema.
    Custom(&'a Structural),
    /// A custom resource without one: lists are owned as a whole.
    Deduced,
}

/// A place within an object and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cursor<'a> {
    /// A built-in type.
    Builtin { shape: &'a Shape, merge: Merge },
    /// The root of a custom resource or an embedded one: it has `metadata` besides its schema.
    CustomObject(Option<&'a Node>),
    /// A place in a custom resource.
    Custom(&'a Node),
    /// Nothing is known.
    Unknown,
}

/// How the values at a place join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Join<'a> {
    /// Owned as a whole.
    Leaf,
    /// Field by field.
    Fields,
    /// A list of unique values.
    Set,
    /// A list of objects told apart by these fields.
    Keyed(Vec<&'a str>),
}

static META: Shape = Shape::Object("ObjectMeta");
static UNKNOWN: Shape = Shape::Any;

impl<'a> MergeTypes<'a> {
    pub(crate) fn root(self) -> Cursor<'a> {
        match self {
            Self::Builtin(gvk) => types::of(gvk).map_or(Cursor::CustomObject(None), builtin_root),
            Self::Custom(schema) => Cursor::CustomObject(Some(schema.root())),
            Self::Deduced => Cursor::CustomObject(None),
        }
    }
}

fn builtin_root(kind: &'static Type) -> Cursor<'static> {
    Cursor::Builtin { shape: &kind.shape, merge: Merge::Plain }
}

impl<'a> Cursor<'a> {
    /// How values here join; decided by the type, and by the value where the type is not known.
    pub(crate) fn join(self, value: &Value) -> Join<'a> {
        if !matches!(value, Value::Object(_) | Value::Array(_)) {
            return Join::Leaf;
        }
        match (self, value) {
            (Self::Builtin { merge: Merge::Atomic, .. }, _) => Join::Leaf,
            (Self::Builtin { merge: Merge::Set, .. }, Value::Array(_)) => Join::Set,
            (Self::Builtin { merge: Merge::Keyed(keys), .. }, Value::Array(_)) => Join::Keyed(keys.to_vec()),
            (Self::Builtin { shape: Shape::Object(name), .. }, _)
                if types::get(name).is_some_and(|t| t.atomic) =>
            {
                Join::Leaf
            }
            (Self::Custom(node), Value::Object(_)) if node.atomic_map => Join::Leaf,
            (Self::Custom(node), Value::Array(_)) => match &node.list_type {
                ListType::Atomic => Join::Leaf,
                ListType::Set => Join::Set,
                ListType::Map(keys) => Join::Keyed(keys.iter().map(String::as_str).collect()),
            },
            (_, Value::Array(_)) => Join::Leaf,
            _ => Join::Fields,
        }
    }

    /// The place of a field.
    pub(crate) fn field(self, name: &str) -> Cursor<'a> {
        match self {
            Self::Builtin { shape: Shape::Object(owner), .. } => {
                let field = types::get(owner).and_then(|kind| kind.fields.get(name));
                field.map_or(Self::Unknown, |field| Self::Builtin { shape: &field.shape, merge: field.apply })
            }
            Self::Builtin { shape: Shape::Map(item), .. } => {
                Self::Builtin { shape: item, merge: Merge::Plain }
            }
            Self::CustomObject(_) if name == "metadata" => {
                Self::Builtin { shape: &META, merge: Merge::Plain }
            }
            Self::CustomObject(Some(node)) | Self::Custom(node) => match node.field(name) {
                Some(inner) if inner.embedded_resource => Self::CustomObject(Some(inner)),
                Some(inner) => Self::Custom(inner),
                None => Self::Unknown,
            },
            Self::Builtin { .. } | Self::CustomObject(None) | Self::Unknown => Self::Unknown,
        }
    }

    /// The place of an item of a list.
    pub(crate) fn item(self) -> Cursor<'a> {
        match self {
            Self::Builtin { shape: Shape::List(item), .. } => {
                Self::Builtin { shape: item, merge: Merge::Plain }
            }
            Self::Custom(node) => node.items.as_deref().map_or(Self::Unknown, Self::Custom),
            Self::Builtin { .. } => Self::Builtin { shape: &UNKNOWN, merge: Merge::Plain },
            Self::CustomObject(_) | Self::Unknown => Self::Unknown,
        }
    }

    /// Whether a field here is an entry of a map rather than a declared field.
    pub(crate) fn is_map_entry(self, name: &str) -> bool {
        match self {
            Self::Builtin { shape: Shape::Object(owner), .. } => {
                types::get(owner).is_none_or(|kind| !kind.fields.contains_key(name))
            }
            Self::CustomObject(_) if matches!(name, "apiVersion" | "kind" | "metadata") => false,
            Self::CustomObject(Some(node)) | Self::Custom(node) => !node.properties.contains_key(name),
            Self::Builtin { .. } | Self::CustomObject(None) | Self::Unknown => true,
        }
    }

    /// The key fields of an item, with their defaults where it leaves them out.
    pub(crate) fn identity(self, keys: &[&str], item: &Value) -> Map<String, Value> {
        let mut sorted: Vec<&str> = keys.to_vec();
        sorted.sort_unstable();
        let mut identity = Map::new();
        for key in sorted {
            let given = item.get(key).filter(|value| !value.is_null()).cloned();
            if let Some(value) = given.or_else(|| self.key_default(key)) {
                identity.insert(key.to_owned(), value);
            }
        }
        identity
    }

    fn key_default(self, key: &str) -> Option<Value> {
        match self {
            Self::Custom(node) => node.items.as_ref()?.properties.get(key)?.default.clone(),
            // The only key of a built-in list that has a default.
            Self::Builtin { .. } => (key == "protocol").then(|| Value::from("TCP")),
            Self::CustomObject(_) | Self::Unknown => None,
        }
    }
}
