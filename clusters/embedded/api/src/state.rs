//! What all requests share.

use std::sync::Mutex;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::authentication::Tokens;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::node_requests::NodeRequest;
use crate::store::Store;

/// The server's state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) catalog: Catalog,
    pub(crate) tokens: Tokens,
    /// Held while a Service's addresses are chosen and stored, so that no two get the same.
    pub(crate) addresses: Mutex<()>,
    pub(crate) node: mpsc::Sender<NodeRequest>,
    /// Ends every stream.
    pub(crate) stop: CancellationToken,
}
