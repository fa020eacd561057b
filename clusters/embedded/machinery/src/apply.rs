//! Server-side apply: who owns which field, what is merged, what conflicts.
//!
//! Ownership is kept in `metadata.managedFields` as sets of fields (`FieldsV1`). The rules are those of
//! structured-merge-diff 4.6 as kube-apiserver 1.33.1 uses it, for objects whose managers all write one version.

mod compare;
mod field_set;
mod managers;
mod merge;

use serde_json::{Value, json};

use crate::status::{Cause, Status};
pub use crate::topology::MergeTypes;
use compare::{Comparison, compare};
use field_set::FieldSet;
use managers::{Managers, Operation};

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
        if let [only] = self.0.as_slice() {
            return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager, only.field);
        }
        let mut managers: Vec<&str> = self.0.iter().map(|conflict| conflict.manager.as_str()).collect();
        managers.sort_unstable();
        managers.dedup();
        let mut lines = Vec::new();
        for manager in managers {
            lines.push(format!("conflicts with {manager}:"));
            let fields = self.0.iter().filter(|conflict| conflict.manager == manager);
            lines.extend(fields.map(|conflict| format!("- {}", conflict.field)));
        }
        format!("Apply failed with {} conflicts: {}", self.0.len(), lines.join("\n"))
    }

    /// The reply: 409 with one cause per field.
    pub fn to_status(&self) -> Status {
        let cause = |conflict: &Conflict| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", conflict.manager),
            field: conflict.field.clone(),
        };
        Status::apply_conflict(self.message(), self.0.iter().map(cause).collect())
    }
}

/// Applies `applied` (a partial object without `managedFields`) for a manager and returns the whole new object with
/// its `managedFields`. Fields that the manager applied before and left out now are removed, unless others own them.
///
/// Without `live` the object is created. The result has no defaults filled in; an apply that changes nothing returns
/// an object equal to `live`.
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
    let root = types.root();
    let empty = json!({});
    let live = live.unwrap_or(&empty);
    let mut managers = Managers::of(live);
    let mut set = FieldSet::of(applied, root);
    managers::strip(&mut set, writer.subresource);
    let last = managers.replace(writer, Operation::Apply, set);
    let mut merged = merge::merge(live, applied, root);
    if let Some(last) = last {
        merge::remove_given_up(&mut merged, &last, &managers.owned(), root);
    }
    let comparison = compare(live, &merged, root);
    let conflicts = managers.conflicts(writer, Operation::Apply, &comparison);
    if force == Force::No && !conflicts.is_empty() {
        return Err(Conflicts(conflicts));
    }
    managers.yield_fields(writer, Operation::Apply, &comparison);
    managers.store(&mut merged, writer.time);
    Ok(merged)
}

/// Records an ordinary write (create, update, patch) in `managedFields` of `new`: the writer owns what it changed,
/// others lose what was changed or removed. Without `old` the writer owns everything.
///
/// The `managedFields` that `new` brings along count as the writer's wish: an empty list clears ownership, an absent
/// one keeps that of `old`.
pub fn record_update(old: Option<&Value>, new: &mut Value, writer: &Writer<'_>, types: MergeTypes<'_>) {
    let root = types.root();
    let empty = json!({});
    let old = old.unwrap_or(&empty);
    let wished = new.pointer("/metadata/managedFields").filter(|value| !value.is_null());
    let mut managers = if wished.is_some() { Managers::of(new) } else { Managers::of(old) };
    let comparison = compare(old, new, root);
    managers.yield_fields(writer, Operation::Update, &comparison);
    let Comparison { added, modified, removed } = comparison;
    let mut set = managers.held(writer, Operation::Update);
    set.subtract(&removed);
    set.unite(&modified);
    set.unite(&added);
    managers::strip(&mut set, writer.subresource);
    managers.replace(writer, Operation::Update, set);
    managers.store(new, writer.time);
}
