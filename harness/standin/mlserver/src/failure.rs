//! What goes wrong, in MLServer's words, with the statuses it has over HTTP and over gRPC.

use std::path::PathBuf;

use http::StatusCode;
use tonic::{Code, Status};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No such model.
    #[error("Model {0} not found")]
    NoModel(String),
    /// No such version of it.
    #[error("Model {name} with version {version} not found")]
    NoVersion { name: String, version: String },
    /// No artefact where the model's settings say.
    #[error("Invalid URI specified for model {name} ({})", path.display())]
    NoArtefact { name: String, path: PathBuf },
    /// A request that the runtime refuses.
    #[error("{0}")]
    Refused(String),
    /// What would be an exception of Python's that nobody catches.
    #[error("{text}")]
    Raised { class: &'static str, text: String },
}

impl Failure {
    pub(crate) fn raised(class: &'static str, text: impl Into<String>) -> Failure {
        Failure::Raised { class, text: text.into() }
    }

    pub(crate) fn value_error(text: impl Into<String>) -> Failure {
        Failure::raised("ValueError", text)
    }

    /// The status over HTTP.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Failure::NoModel(_) | Failure::NoVersion { .. } => StatusCode::NOT_FOUND,
            Failure::NoArtefact { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Failure::Refused(_) => StatusCode::BAD_REQUEST,
            Failure::Raised { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        let code = match &failure {
            Failure::NoModel(_) | Failure::NoVersion { .. } => Code::NotFound,
            Failure::NoArtefact { .. } => Code::FailedPrecondition,
            Failure::Refused(_) => Code::InvalidArgument,
            Failure::Raised { .. } => Code::Internal,
        };
        Status::new(code, failure.to_string())
    }
}
