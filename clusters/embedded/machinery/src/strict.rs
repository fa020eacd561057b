//! Strict field validation (`fieldValidation=Strict|Warn|Ignore`).
//!
//! Unknown fields come from [`crate::builtin::unknown_fields`] or [`crate::schema::Structural::prune`]; duplicate
//! ones can only be seen in the raw bytes, here.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Paths of the fields that occur twice within one object, in the document's order: `spec.replicas`.
///
/// # Errors
/// When the text is not JSON.
pub fn duplicate_fields(raw: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let found = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    Walk { path: String::new(), found: &found }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found.into_inner())
}

/// The complaints as single warnings: `unknown field "spec.foo"`, `duplicate field "spec.replicas"`.
pub fn warnings(unknown: &[String], duplicate: &[String]) -> Vec<String> {
    let duplicate = duplicate.iter().map(|path| format!("duplicate field \"{path}\""));
    let unknown = unknown.iter().map(|path| format!("unknown field \"{path}\""));
    duplicate.chain(unknown).collect()
}

/// The sentence of a strict refusal: `strict decoding error: unknown field "spec.foo", …`. `None` when there is
/// nothing to refuse.
pub fn refusal(unknown: &[String], duplicate: &[String]) -> Option<String> {
    let faults = warnings(unknown, duplicate);
    (!faults.is_empty()).then(|| format!("strict decoding error: {}", faults.join(", ")))
}

struct Walk<'a> {
    path: String,
    found: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let mut index = 0;
        let inner = |index: usize| Walk { path: format!("{}[{index}]", self.path), found: self.found };
        while sequence.next_element_seed(inner(index))?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if !seen.insert(key) {
                self.found.borrow_mut().push(path.clone());
            }
            map.next_value_seed(Walk { path, found: self.found })?;
        }
        Ok(())
    }
}
