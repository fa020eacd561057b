//! Structural schemas of custom resources: defaults, pruning, validation.
//!
//! `x-kubernetes-validations` (CEL) are accepted and not evaluated. Of the string formats `date`, `date-time`,
//! `ipv4`, `ipv6`, `cidr`, `uuid` and `byte` are checked; formats of numbers are not, as in kube-apiserver.

mod defaulting;
mod formats;
mod node;
mod parse;
mod pruning;
mod validation;

use std::sync::Arc;

use serde_json::Value;

use crate::FieldError;
pub(crate) use node::{ListType, Node};

/// The structural schema of one version of a custom resource. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Structural {
    root: Arc<Node>,
}

/// Why a schema is not one the API server would accept.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", FieldError::aggregate(.0))]
pub struct SchemaError(pub Vec<FieldError>);

impl Structural {
    /// Reads `openAPIV3Schema` of a version of a CustomResourceDefinition.
    ///
    /// # Errors
    /// When the schema is not structural; the fields are named from `spec.validation.openAPIV3Schema` on, as the
    /// API server names them when all versions share one schema.
    pub fn parse(openapi: &Value) -> Result<Self, SchemaError> {
        parse::root(openapi).map(|root| Self { root: Arc::new(root) })
    }

    /// Fills in defaults, in place. Null in fields that may not be null counts as absent.
    pub fn default(&self, object: &mut Value) {
        defaulting::drop_nulls(object, Some(&self.root));
        defaulting::fill(object, &self.root);
    }

    /// Removes fields that the schema does not know, in place, and names them, sorted: `spec.foo`.
    /// `apiVersion`, `kind` and `metadata` are always known.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        pruning::prune_root(object, &self.root)
    }

    /// What is wrong with an object, in the words of kube-apiserver 1.33.1.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        validation::check(object, &self.root)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}
