//! What a kind says about its documents: unknown fields, defaults, validity, patches. Built-in kinds and custom ones
//! answer from different tables; here they answer alike.

use embedded_machinery::apply::{Conflicts, MergeTypes};
use embedded_machinery::status::{Cause, Status};
use embedded_machinery::{FieldError, builtin, strict};
use serde_json::Value;

use crate::catalog::{Origin, Resource};
use crate::failure::{Failure, Outcome};
use crate::object;
use crate::options::FieldValidation;

/// Checks kind and version of a document, and fills them in where a built-in kind's document omits them.
pub(crate) fn expect_kind(resource: &Resource, document: &mut Value) -> Outcome<()> {
    if !document.is_object() {
        return Err(Failure::bad_request(
            "couldn't get version/kind; json parse error: the document is not an object",
        ));
    }
    let api_version = object::text(document, &["apiVersion"]).to_owned();
    let kind = object::text(document, &["kind"]).to_owned();
    if kind.is_empty() && resource.custom().is_some() {
        return Err(Failure::bad_request(format!("Object 'Kind' is missing in '{document}'")));
    }
    if !kind.is_empty() && kind != resource.kind {
        let why = format!(
            "{kind} in version {api_version:?} cannot be handled as a {}: expected kind {}",
            resource.kind, resource.kind
        );
        return Err(Failure::bad_request(why));
    }
    let expected = &resource.api_version;
    if !api_version.is_empty() && api_version != *expected {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    object::set(document, &["apiVersion"], expected.as_str());
    object::set(document, &["kind"], resource.kind.as_str());
    Ok(())
}

/// Removes fields the kind does not have and returns their paths.
///
/// # Errors
/// 400 when a field of a built-in kind has the wrong JSON type.
pub(crate) fn unknown(resource: &Resource, document: &mut Value) -> Outcome<Vec<String>> {
    tidy(resource, document);
    match &resource.origin {
        Origin::Builtin => {
            let gvk = &resource.gvk;
            if let Some(fault) = builtin::decode_fault(gvk, document) {
                return Err(Status::cannot_decode(gvk, &fault).into());
            }
            let unknown = builtin::unknown_fields(gvk, document);
            builtin::drop_unknown(gvk, document);
            Ok(unknown)
        }
        Origin::Custom(custom) => {
            Ok(custom.schema.as_ref().map(|schema| schema.prune(document)).unwrap_or_default())
        }
    }
}

/// Removes fields the kind does not have. Returns the warnings to send about them and about `duplicate` fields of the
/// text; with strict validation they are a refusal.
pub(crate) fn prune(
    resource: &Resource,
    document: &mut Value,
    duplicate: &[String],
    validation: FieldValidation,
) -> Outcome<Vec<String>> {
    let unknown = unknown(resource, document)?;
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(strict::warnings(&unknown, duplicate)),
        FieldValidation::Strict => match strict::refusal(&unknown, duplicate) {
            None => Ok(Vec::new()),
            Some(why) => Err(Status::cannot_decode(&resource.gvk, &why).into()),
        },
    }
}

/// Removes what says nothing: nulls in documents of built-in kinds, empty maps and lists in metadata.
pub(crate) fn tidy(resource: &Resource, document: &mut Value) {
    if matches!(resource.origin, Origin::Builtin) {
        remove_nulls(document);
    }
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        let says_nothing = |value: &Value| match value {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            other => other.is_null(),
        };
        // An empty list of managed fields is a wish to clear them.
        metadata.retain(|key, value| key == "managedFields" || !says_nothing(value));
    }
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // These two are written even when they are null.
            map.retain(|key, value| !value.is_null() || key == "lastProbeTime" || key == "creationTimestamp");
            map.values_mut().for_each(remove_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// Fills in defaults.
pub(crate) fn default(resource: &Resource, document: &mut Value) {
    match &resource.origin {
        Origin::Builtin => builtin::default(&resource.gvk, document),
        Origin::Custom(custom) => {
            if let Some(schema) = &custom.schema {
                schema.default(document);
            }
        }
    }
}

/// Refuses an invalid document.
pub(crate) fn validate(resource: &Resource, document: &Value, old: Option<&Value>) -> Outcome<()> {
    let errors: Vec<FieldError> = match &resource.origin {
        Origin::Builtin => builtin::validate(&resource.gvk, document, old),
        Origin::Custom(custom) => {
            custom.schema.as_ref().map(|schema| schema.validate(document)).unwrap_or_default()
        }
    };
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::invalid(resource, object::name(document), &errors)),
    }
}

/// How lists and maps of the kind merge in server-side apply.
pub(crate) fn merge_types(resource: &Resource) -> MergeTypes<'_> {
    match resource.custom().map(|custom| &custom.schema) {
        None => MergeTypes::Builtin(&resource.gvk),
        Some(Some(schema)) => MergeTypes::Custom(schema),
        Some(None) => MergeTypes::Deduced,
    }
}

/// The refusal of an apply that others stand against.
pub(crate) fn refused_apply(conflicts: &Conflicts) -> Failure {
    let cause = |conflict: &embedded_machinery::apply::Conflict| Cause {
        reason: "FieldManagerConflict".to_owned(),
        message: format!("conflict with {}", conflict.manager),
        field: conflict.field.clone(),
    };
    Status::apply_conflict(conflicts.message(), conflicts.0.iter().map(cause).collect()).into()
}
