//! What can be done to objects: read, list, watch, create, update, patch, delete.

use std::sync::Arc;

use crate::authentication::User;
use crate::catalog::{Resource, Scope};
use crate::failure::{Failure, Outcome};
use crate::options::{Query, WriteOptions};
use crate::state::State;

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod patch;
mod prepare;
pub(crate) mod read;
mod selection;
pub(crate) mod update;
pub(crate) mod watch;

pub(crate) use prepare::generated_name;
pub(crate) use selection::Selection;

/// One request about objects of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) state: Arc<State>,
    pub(crate) resource: Arc<Resource>,
    /// `""` for all namespaces and for cluster-scoped kinds.
    pub(crate) namespace: String,
    /// `""` for the collection.
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) query: Query,
    pub(crate) user: User,
    pub(crate) user_agent: String,
}

/// The part of an object that a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status, where the status is a part of its own.
    Main,
    /// The status only.
    Status,
    /// A subresource that replaces part of the spec (`scale`, `ephemeralcontainers`, `resize`, `finalize`), by name.
    Other(&'static str),
}

impl Part {
    /// The subresource's name, `""` for the object itself; as `managedFields` records it.
    pub(crate) fn subresource(self) -> &'static str {
        match self {
            Part::Main => "",
            Part::Status => "status",
            Part::Other(name) => name,
        }
    }
}

impl Call {
    pub(crate) fn write_options(&self) -> Outcome<WriteOptions> {
        WriteOptions::read(&self.query, &self.user_agent)
    }

    /// The same request about another object of the same kind.
    pub(crate) fn about(&self, namespace: &str, name: &str) -> Call {
        Call { namespace: namespace.to_owned(), name: name.to_owned(), ..self.clone() }
    }

    fn expect_namespace(&self) -> Outcome<()> {
        if self.resource.scope == Scope::Namespaced && self.namespace.is_empty() {
            return Err(Failure::method_not_allowed());
        }
        Ok(())
    }
}
