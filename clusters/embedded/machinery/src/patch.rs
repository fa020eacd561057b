//! The three patch formats: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch.

mod strategic;

use serde_json::{Map, Value};

use crate::Gvk;
use crate::status::Status;
use crate::types::{self, Shape};

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not of the form its format wants.
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit the document.
    #[error("{0}")]
    DoesNotFit(String),
    /// The kind has no strategic merge (custom resources).
    #[error("strategic merge patch is not known for this kind")]
    NoStrategy,
}

const MOST_OPERATIONS: usize = 10_000;

impl PatchError {
    /// The reply of kube-apiserver 1.33.1: 400 with the text, 422 without it, 415 for the media type.
    pub fn to_status(&self) -> Status {
        match self {
            Self::Malformed(why) => Status::bad_request(why.clone()),
            Self::DoesNotFit(_) => Status::rejected(),
            Self::NoStrategy => Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
                "application/apply-patch+cbor",
            ]),
        }
    }
}

/// Applies a JSON patch (a list of operations).
///
/// # Errors
/// When the patch is no list of operations, or one of them cannot be done; the document is then as before.
pub fn json(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|why| PatchError::Malformed(why.to_string()))?;
    let count = operations.0.len();
    if count > MOST_OPERATIONS {
        let why = format!("The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {count}");
        return Err(PatchError::Malformed(why));
    }
    let mut patched = document.clone();
    json_patch::patch(&mut patched, &operations).map_err(|why| PatchError::DoesNotFit(why.to_string()))?;
    Ok(patched)
}

/// Applies a JSON merge patch: objects are merged, null removes, everything else replaces.
///
/// # Errors
/// When the patch is not an object.
pub fn merge(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Malformed("Invalid JSON Patch".to_owned()));
    }
    let mut merged = document.clone();
    merge_into(&mut merged, patch);
    Ok(merged)
}

fn merge_into(document: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(target) = document else { return };
    for (key, change) in changes {
        if change.is_null() {
            target.shift_remove(key);
        } else {
            merge_into(target.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Applies a strategic merge patch to an object of a built-in kind: lists with merge keys are merged item by item,
/// and the directives `$patch`, `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…` are obeyed.
///
/// # Errors
/// When the kind is not built in, or a directive or an item without its merge key stands in the patch.
pub fn strategic(gvk: &Gvk, document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let kind = types::of(gvk).ok_or(PatchError::NoStrategy)?;
    let (Value::Object(document), Value::Object(patch)) = (document, patch) else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    strategic::merge_object(&Shape::Object(kind.name), document.clone(), patch).map(Value::Object)
}
