//! The three patch formats: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch.

use serde_json::Value;

use crate::Gvk;

/// Why a patch cannot be applied; the text is the API server's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not of the form its format wants: a bad request (400).
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit the document: unprocessable (422, reason `Invalid`).
    #[error("{0}")]
    DoesNotFit(String),
    /// The kind has no strategic merge (custom resources): unsupported media type (415).
    #[error(
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )]
    NoStrategy,
}

/// Applies a JSON patch (a list of operations).
///
/// # Errors
/// When the patch is no list of operations, or one of them cannot be done.
pub fn json(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let _ = (document, patch);
    Err(PatchError::NoStrategy)
}

/// Applies a JSON merge patch.
///
/// # Errors
/// When the patch is not an object.
pub fn merge(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let _ = (document, patch);
    Err(PatchError::NoStrategy)
}

/// Applies a strategic merge patch to an object of a built-in kind.
///
/// # Errors
/// When the kind is not built in, or a directive or an item without its merge key stands in the patch.
pub fn strategic(gvk: &Gvk, document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let _ = (gvk, document, patch);
    Err(PatchError::NoStrategy)
}
