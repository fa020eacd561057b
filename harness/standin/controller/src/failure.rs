//! What can go wrong in a reconcile, in the words the real operator logs and writes into statuses.

use gonet::GoStatus;

/// An error of a reconcile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A call to the scheduler, or the way to it.
    #[error("{0}")]
    Scheduler(#[from] GoStatus),
    /// The API server said no, or could not be asked.
    #[error("{}", api_text(.0))]
    Api(#[from] Box<kube::Error>),
    /// An object is not there; worded as the operator's cache words it.
    #[error("{kind}.mlops.seldon.io \"{name}\" not found")]
    NotFound {
        /// The kind, such as `Model`.
        kind: String,
        /// The name.
        name: String,
    },
    /// The time of the reconcile is over.
    #[error("context deadline exceeded")]
    Deadline,
    /// Anything that the operator itself refuses.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// Somebody else changed the object since it was read.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Failure::Api(error) if matches!(&**error, kube::Error::Api(status) if status.code == 409))
    }

    /// The object is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Failure::NotFound { .. } => true,
            Failure::Api(error) => matches!(&**error, kube::Error::Api(status) if status.code == 404),
            _ => false,
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Failure {
        Failure::Api(Box::new(error))
    }
}

/// client-go prints a status' message alone.
pub(crate) fn api_text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
