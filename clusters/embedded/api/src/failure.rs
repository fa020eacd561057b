//! Refusals: a `Status` about a kind this server serves.

use embedded_machinery::FieldError;
use embedded_machinery::status::{GroupResource, Reason, Status};

use serde_json::Value;

use crate::catalog::Resource;

/// A refusal. Its text is what `kubectl` shows after `Error from server (…): `.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{status}")]
pub(crate) struct Failure {
    pub(crate) status: Box<Status>,
    /// Where a list may go on although its version has left the window.
    pub(crate) continue_token: Option<String>,
}

/// The result of everything that may be refused.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        Failure { status: Box::new(status), continue_token: None }
    }
}

impl Resource {
    /// The kind as refusals name it: `pods`, `deployments.apps`.
    pub(crate) fn named(&self) -> GroupResource<'_> {
        GroupResource { group: &self.group, resource: &self.plural }
    }
}

impl Failure {
    /// The `Status` object.
    pub(crate) fn to_value(&self) -> Value {
        let mut value = self.status.to_value();
        if let Some(token) = &self.continue_token {
            value["metadata"]["continue"] = token.clone().into();
        }
        value
    }

    pub(crate) fn is_already_exists(&self) -> bool {
        self.status.reason == Some(Reason::AlreadyExists)
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Failure {
        Status::not_found(resource.named(), name).into()
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Failure {
        Status::already_exists(resource.named(), name).into()
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
        Status::conflict(resource.named(), name, why).into()
    }

    /// The conflict of a writer that holds an old version.
    pub(crate) fn modified(resource: &Resource, name: &str) -> Failure {
        Status::modified(resource.named(), name).into()
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Failure {
        Status::forbidden(resource.named(), name, why).into()
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Failure {
        Status::bad_request(message).into()
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Failure {
        Status::invalid(&resource.gvk, name, errors).into()
    }

    pub(crate) fn internal(why: impl std::fmt::Display) -> Failure {
        Status::internal(&why.to_string()).into()
    }

    pub(crate) fn method_not_allowed() -> Failure {
        Status::method_not_allowed().into()
    }

    pub(crate) fn no_such_path() -> Failure {
        Status::unknown_path().into()
    }

    pub(crate) fn expired(message: impl Into<String>) -> Failure {
        Status::expired(message).into()
    }
}
