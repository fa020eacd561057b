//! The kinds that the API server knows by itself: their discovery, defaults, fields and rules.

mod decode;
mod defaults;
mod job_selector;
mod kinds;
mod validation;

use serde_json::Value;

pub use decode::{decode_fault, drop_unknown, unknown_fields};
pub use job_selector::select_own_pods;
pub use kinds::{KINDS, Kind, Scope, Subresource, Verbs};

use crate::{FieldError, Gvk};

/// The kind with this group, version and name.
pub fn find(gvk: &Gvk) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.group == gvk.group && kind.version == gvk.version && kind.kind == gvk.kind)
}

/// The kind behind a path such as `/apis/apps/v1/…/deployments`.
pub fn find_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// Fills in what API defaulting fills in, in place. Doing it twice changes nothing more.
///
/// Covers defaults that depend on the document alone. What the server allocates (cluster addresses, node ports,
/// `nodeName`, the service-account volume) is not done here. Unknown kinds are left alone.
pub fn default(gvk: &Gvk, object: &mut Value) {
    defaults::apply(gvk, object);
}

/// What is wrong with `new`; with `old` given, also what may not be changed. Empty when all is well.
///
/// Expects a defaulted document whose fields have the right JSON types (see [`decode_fault`]); of a Service also that
/// `clusterIPs` says what `clusterIP` says. Meant for writes of whole objects, not of their status.
pub fn validate(gvk: &Gvk, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    validation::check(gvk, new, old)
}
