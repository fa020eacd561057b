//! Server-side apply: who owns which field, what is merged, what conflicts.

use serde_json::Value;

pub use crate::topology::MergeTypes;

/// Who writes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Name of the field manager, such as `kubectl`.
    pub manager: &'a str,
    /// `apiVersion` of the document as written, such as `apps/v1`.
    pub api_version: &'a str,
    /// Subresource written through, such as `status`.
    pub subresource: Option<&'a str>,
    /// Time of the write as RFC 3339 in UTC with whole seconds: `2026-01-02T03:04:05Z`.
    pub time: &'a str,
}

/// Whether an apply takes fields over from other managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Take them over.
    Yes,
    /// Report a conflict.
    No,
}

/// Fields that other managers own with other values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct Conflicts(pub Vec<Conflict>);

/// One contested field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it, as messages say it: `"kubectl" using apps/v1`.
    pub manager: String,
    /// Path of the field: `.spec.replicas`.
    pub field: String,
}

impl Conflicts {
    /// The API server's sentence: `Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas`.
    pub fn message(&self) -> String {
        String::new()
    }
}

/// Applies `applied` (a partial object without `managedFields`) for a manager and returns the whole new object with
/// its `managedFields`. Fields that the manager applied before and left out now are removed, unless others own them.
///
/// # Errors
/// When other managers own fields with other values and `force` is [`Force::No`].
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer<'_>,
    force: Force,
    types: MergeTypes<'_>,
) -> Result<Value, Conflicts> {
    let _ = (live, writer, force, types);
    Ok(applied.clone())
}

/// Records an ordinary write (create, update, patch) in `managedFields` of `new`: the writer owns what it changed,
/// others lose what was changed or removed. Without `old` the writer owns everything.
pub fn record_update(old: Option<&Value>, new: &mut Value, writer: &Writer<'_>, types: MergeTypes<'_>) {
    let _ = (old, new, writer, types);
}
