//! What comes of a request in a chain of plugins.

use hickory_proto::op::{Message, ResponseCode};

/// Why a plugin wrote no message: the code to answer with and what the log says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ResponseCode,
    pub(crate) reason: Option<String>,
}

impl Failure {
    pub(crate) fn silent(code: ResponseCode) -> Failure {
        Failure { code, reason: None }
    }

    pub(crate) fn because(reason: impl Into<String>) -> Failure {
        Failure { code: ResponseCode::ServFail, reason: Some(reason.into()) }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A message was written.
    Written(Message),
    /// No message; the server answers with the code alone.
    Failed(Failure),
    /// Nothing is ever answered.
    Dropped,
}
