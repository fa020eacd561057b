//! Asking the node.

use embedded_machinery::status::{Reason, Status};
use tokio::sync::oneshot;

use crate::failure::{Failure, Outcome};
use crate::node_requests::{NodeError, NodeRequest};
use crate::state::State;

/// Sends a request to the node and waits for its answer.
pub(super) async fn ask<T>(
    state: &State,
    request: NodeRequest,
    answer: oneshot::Receiver<Result<T, NodeError>>,
) -> Outcome<T> {
    send(state, request).await?;
    answer.await.map_err(|_| gone())?.map_err(refusal)
}

/// Sends a request to the node.
pub(super) async fn send(state: &State, request: NodeRequest) -> Outcome<()> {
    state.node.send(request).await.map_err(|_| gone())
}

/// The refusal when the node does not answer.
pub(super) fn gone() -> Failure {
    Failure::internal("the node does not answer")
}

/// The refusal that carries a node's error.
pub(super) fn refusal(error: NodeError) -> Failure {
    match error {
        NodeError::BadRequest(why) => Failure::bad_request(why),
        NodeError::NotFound(message) => {
            Status { code: 404, reason: Some(Reason::NotFound), message, details: None }.into()
        }
        NodeError::Internal(why) => Failure::internal(why),
    }
}
