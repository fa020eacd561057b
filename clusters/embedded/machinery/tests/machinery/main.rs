//! What the API server does to documents, seen from outside the crate.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod applying;
mod builtin_kinds;
mod custom_schemas;
mod jobs;
mod patching;
mod selecting;
mod statuses;
mod tables;
mod validating;

use serde_json::Value;

/// A document written as YAML.
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}
